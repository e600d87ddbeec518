package rules_test

import (
	"errors"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/udevd/rules"
)

// Each case is rules and what they make of a device. Properties whose names
// start with X are those that are shown.
var evalCases = []struct {
	name   string
	dev    string // default: the partition
	action string // default: add
	rules  string
	env    fakeEnv
	want   string
}{
	{name: "matches", rules: `
ACTION=="add", DEVPATH=="*/block/sda/*", KERNEL=="sda[0-9]", SUBSYSTEM=="block", ENV{X1}="1"
ACTION=="change", ENV{X2}="1"
ACTION!="change|remove", KERNEL=="|sdb|sda1", ENV{X3}="1"
KERNEL=="", ENV{X4}="1"
KERNEL!="", ENV{X5}="1"
KERNEL=="?*", KERNEL!="sd?", DRIVER=="", ENV{X6}="1"
KERNEL==i"SDA1", SUBSYSTEM==i"BL*", ENV{X7}="1"
KERNEL=="SDA1", ENV{X8}="1"
NAME=="", ENV{X9}="1"
`, want: "X1=1\nX3=1\nX5=1\nX6=1\nX7=1\nX9=1"},

	{name: "attributes: trailing space counts only if asked for", dev: scsiPath, rules: `
ATTR{model}=="SUPER  DISK /1", ENV{X1}="1"
ATTR{model}=="SUPER  DISK /1   ", ENV{X2}="1"
ATTR{model}=="SUPER  DISK /1 ", ENV{X3}="1"
ATTR{vendor}=="ATA*", ENV{X4}="1"
`, want: "X1=1\nX2=1\nX4=1"},

	{name: "a missing attribute fails every comparison", rules: `
ATTR{nosuch}=="", ENV{X1}="1"
ATTR{nosuch}!="a", ENV{X2}="1"
ATTR{partition}!="2", ENV{X3}="1"
`, want: "X3=1"},

	{name: "attributes of other devices and with substitutions", dev: diskPath, rules: `
ATTR{[dmi/id]product_name}=="Box", ENV{X1}="1"
ATTR{[dmi/id]nosuch}=="", ENV{X2}="1"
ATTR{[dmi/nosuch]product_name}!="", ENV{X3}="1"
ATTR{$kernel/partition}=="x", ENV{X4}="1"
ATTR{%k1/partition}=="1", ENV{X5}="1"
ATTR{queue/rotational}=="1", ENV{X6}="1"
ATTR{subsystem}=="block", ENV{X7}="1"
`, want: "X1=1\nX2=1\nX5=1\nX6=1\nX7=1"},

	{name: "parents: all conditions on one device", rules: `
SUBSYSTEMS=="scsi", ATTRS{vendor}=="ATA", ENV{X1}="$id $driver"
SUBSYSTEMS=="pci", ATTRS{vendor}=="ATA", ENV{X2}="1"
KERNELS=="0000:00:1f.2", DRIVERS=="ahci", ENV{X3}="%b %d $attr{vendor}"
KERNELS=="sda1", ENV{X4}="%b"
SUBSYSTEMS=="usb", ENV{X5}="1"
ENV{X6}="[$id]"
`, want: "X1=0:0:0:0 sd\nX3=0000:00:1f.2 ahci 0x8086\nX4=sda1\nX6=[]"},

	{name: "what the last match on parents found stays for later rules", rules: `
SUBSYSTEMS=="scsi", ENV{X1}="1"
ENV{X2}="$id $attr{model}"
`, want: "X1=1\nX2=0:0:0:0 SUPER  DISK /1"},

	{name: "tags of parents", rules: `
TAG+="own"
TAGS=="own", ENV{X1}="1"
TAGS=="other", ENV{X2}="1"
TAG!="other", ENV{X3}="1"
`, want: "X1=1\nX3=1\ntag own"},

	{name: "substitutions", rules: `
ENV{X1}="$kernel %k $number %n $devpath"
ENV{X2}="$major:$minor %M:%m $parent %P $name %D"
ENV{X3}="$root %r $sys %S $devnode %N $tempnode"
ENV{X4}="$$ %% 100$$"
ENV{X5}="$env{DEVTYPE} %E{PARTN} <$env{nosuch}>"
SYMLINK+="b a", ENV{XL}="x"
ENV{X6}="$links"
ENV{X7}="$attr{partition} %s{nosuch} $sysfs{partition} $attr{[block/sda]size}"
ENV{X8}="$env{DEVLINKS} $env{ACTION}"
`, want: `X1=sda1 sda1 1 1 ` + partPath + `
X2=8:1 8:1 sda sda sda1 sda1
X3=/dev /dev /sys /sys /dev/sda1 /dev/sda1 /dev/sda1
X4=$ % 100$
X5=partition 1 <>
X6=a b
X7=1  1 2048
X8=/dev/a /dev/b add
XL=x
link a@0
link b@0`},

	{name: "unsafe characters of attributes", dev: scsiPath, rules: `
ENV{X1}="$attr{model}"
ENV{X2}="a;b<c>d", OPTIONS="string_escape=replace"
ENV{X3}="a;b"
`, want: "X1=SUPER  DISK /1\nX2=a_b_c_d\nX3=a;b"},

	{name: "links", dev: diskPath, env: fakeEnv{programs: map[string]string{"two": "one two"}}, rules: `
ENV{XV}="with space  in\tit"
SYMLINK+="disk/$env{XV} second"
SYMLINK+="weird;$kernel", OPTIONS="string_escape=replace"
SYMLINK+="spaced name", OPTIONS="string_escape=replace"
SYMLINK+="n/$env{XV}", OPTIONS="string_escape=none"
PROGRAM="two", SYMLINK+="%c"
SYMLINK+="/dev/abs /etc/passwd ../x a//b/./c"
SYMLINK-="second nosuch"
SYMLINK+="sda"
SYMLINK=="disk/*", ENV{X1}="1"
SYMLINK=="second", ENV{X2}="1"
SYMLINK!="second", ENV{X3}="1"
`, want: `X1=1
X3=1
XV=with space  in\tit
link a/b/c@0
link abs@0
link disk/with_space_in_tit@0
link in\tit@0
link n/with@0
link one@0
link space@0
link spaced_name@0
link two@0
link weird_sda@0
program two
t.rules:8: SYMLINK: a link has to be below /dev
t.rules:8: SYMLINK: a link must not hold ".."
t.rules:10: SYMLINK: it is the name of the node itself`},

	{name: "assigning links and tags clears, := closes", rules: `
SYMLINK+="a", TAG+="a"
SYMLINK="b", TAG="b"
TAG-="nosuch"
SYMLINK:="c"
SYMLINK+="d"
OWNER:="alice", GROUP:="disk", MODE:="0660"
OWNER="0", GROUP="0", MODE="0600"
RUN:="first"
RUN+="second"
`, want: "link c@0\ntag b\nuid 1000 by t.rules:7\ngid 6 by t.rules:7\nmode 0660 by t.rules:7\nrun first"},

	{name: "owner, group and mode from values", rules: `
OWNER="1", GROUP="2", MODE="640"
ENV{XU}="alice", ENV{XM}="0604"
OWNER="$env{XU}", MODE="$env{XM}"
GROUP="nosuch"
MODE="9$env{XM}"
`, want: "XM=0604\nXU=alice\nuid 1000 by t.rules:4\ngid 2 by t.rules:2\nmode 0604 by t.rules:4\nt.rules:5: GROUP: unknown group \"nosuch\"\nt.rules:6: MODE: \"90604\" is no octal mode"},

	{name: "priority is of all links of the device", rules: `
SYMLINK+="a"
OPTIONS+="link_priority=-100", SYMLINK+="b"
`, want: "link a@-100\nlink b@-100"},

	{name: "options", rules: `
OPTIONS="watch"
OPTIONS:="nowatch"
OPTIONS="watch"
OPTIONS="db_persist"
OPTIONS="log_level=debug"
OPTIONS="dump"
OPTIONS="static_node=loop-control", MODE="0660", TAG+="x"
`, want: "tag x\nmode 0660 by t.rules:8\nwatch 0 by t.rules:3\npersist\nlog 7\ndump"},

	{name: "properties", rules: `
ENV{X1}="a"
ENV{X1}+="b"
ENV{X1}+=""
ENV{X2}+="first"
ENV{X3}="x"
ENV{X3}=""
ENV{X3}=="", ENV{X4}="removed"
ENV{X1}=="a b", ENV{X5}="1"
ENV{X9}!="x", ENV{X6}="1"
ENV{TAGS}!="*:systemd:*", TAG+="systemd"
ENV{TAGS}=="*:systemd:*", ENV{X7}="1"
`, want: "X1=a b\nX2=first\nX4=removed\nX5=1\nX6=1\nX7=1\ntag systemd"},

	{name: "goto", rules: `
ENV{X1}="1", GOTO="on"
ENV{X2}="1"
LABEL="on", ENV{X3}="1"
KERNEL=="sdb", GOTO="end"
ENV{X4}="1"
SUBSYSTEM=="block", GOTO="end"
ENV{X5}="1"
LABEL="end"
`, want: "X1=1\nX3=1\nX4=1"},

	{name: "programs and results", env: fakeEnv{programs: map[string]string{"p": "one  two three\n\n", "q": "bad;chars$x\n"}}, rules: `
PROGRAM=="p 'a b' \"c\"", RESULT=="one*", ENV{X1}="$result{1}|$result{2}|%c{2+}|%c{4}|"
RESULT=="*three", ENV{X2}="%c"
PROGRAM=="q", ENV{X3}="%c"
PROGRAM=="gone", ENV{X4}="1"
RESULT=="", ENV{X5}="1"
PROGRAM!="gone", ENV{X6}="1"
PROGRAM="p $kernel", RESULT=="x", ENV{X7}="1"
`, want: "X1=one|two|two three||\nX2=one  two three\nX3=bad_chars$x\nX5=1\nX6=1\nprogram p|a b|c\nprogram q\nprogram gone\nprogram gone\nprogram p|sda1"},

	{name: "imports", env: fakeEnv{
		programs: map[string]string{"exp": "X1=a\nX2=\"b c\"\n# no\nbroken\nX3=\n X4 = 'd' \nX5='e\n"},
		files:    map[string]string{"/run/f": "X6=file\n"},
		db:       map[string]string{"X7": "old"},
		cmdline:  map[string]string{"X8": "", "Xa": "v"},
		builtins: map[string]map[string]string{"usb_id": {"X9": "b"}, "hwdb --subsystem=usb": {"XH": "h"}},
	}, rules: `
IMPORT{program}="exp --export $devnode"
IMPORT{file}="/run/f"
IMPORT{file}=="/run/none", ENV{XA}="1"
IMPORT{file}!="/run/none", ENV{XB}="1"
IMPORT{db}="X7"
IMPORT{db}!="XX", ENV{XC}="1"
IMPORT{cmdline}="X8"
IMPORT{cmdline}="Xa"
IMPORT{cmdline}=="no", ENV{XD}="1"
IMPORT{builtin}="usb_id"
IMPORT{builtin}=="usb_id", ENV{XE}="1"
IMPORT{builtin}=="path_id", ENV{XF}="1"
IMPORT{builtin}!="path_id", ENV{XG}="1"
IMPORT{builtin}="hwdb --subsystem=usb"
IMPORT{builtin}="hwdb --subsystem=usb"
IMPORT{program}="kmod load x", ENV{XI}="1"
`, want: `X1=a
X2=b c
X4=d
X6=file
X7=old
X8=1
X9=b
XB=1
XC=1
XE=1
XG=1
XH=h
Xa=v
program exp|--export|/dev/sda1
builtin usb_id
builtin path_id
builtin hwdb --subsystem=usb
builtin hwdb --subsystem=usb
builtin kmod load x`},

	{name: "import from the parent", rules: `
IMPORT{parent}="DEVTYP*", ENV{X1}="$env{DEVTYPE}"
IMPORT{parent}=="NO*", ENV{X2}="1"
IMPORT{parent}!="NO", ENV{X3}="1"
IMPORT{parent}="MINOR", ENV{X4}="$env{MINOR}"
`, want: "X1=disk\nX3=1\nX4=0"},

	{name: "tests of files", env: fakeEnv{
		modes: map[string]uint32{"/etc/conf": 0o644, "/run/d/b/flag": 0o600, "/sys" + partPath + "/uevent": 0o644},
		lists: map[string][]string{"/run/d": {".x", "a", "b"}},
	}, rules: `
TEST=="partition", ENV{X1}="1"
TEST=="nosuch", ENV{X2}="1"
TEST!="nosuch", ENV{X3}="1"
TEST=="/sys/module/ahci", ENV{X4}="1"
TEST=="[module/ahci]parameters/mobile", ENV{X5}="1"
TEST=="holders/*/dm/name", ENV{X6}="1"
TEST=="holders/*/dm/uuid", ENV{X7}="1"
TEST{0111}=="/etc/conf", ENV{X8}="1"
TEST{0004}=="/etc/conf", ENV{X9}="1"
TEST{0111}!="/etc/conf", ENV{XA}="1"
TEST=="/run/d/*/flag", ENV{XB}="1"
TEST=="/run/e/*/flag", ENV{XC}="1"
TEST{0200}=="uevent", ENV{XD}="1"
TEST=="/sys$devpath/$env{DEVTYPE}", ENV{XE}="1"
`, want: "X1=1\nX3=1\nX4=1\nX5=1\nX6=1\nX9=1\nXA=1\nXB=1\nXD=1\nXE=1"},

	{name: "constants and kernel parameters", env: fakeEnv{sysctls: map[string]string{"kernel/x": " 1 \n", "net/eth0.1/y": "2", "bad": "EIO"}}, rules: `
CONST{arch}=="x86-64", CONST{virt}!="none", CONST{cvm}=="none", ENV{X1}="1"
SYSCTL{kernel.x}=="1", ENV{X2}="1"
SYSCTL{net.eth0/1.y}=="2", ENV{X3}="1"
SYSCTL{net/eth0.1/y}=="2", ENV{X4}="1"
SYSCTL{nosuch}=="", ENV{X5}="1"
SYSCTL{bad}!="1", ENV{X6}="1"
SYSCTL{kernel.$kernel}="v $minor"
SYSCTL{..}="x"
`, want: "X1=1\nX2=1\nX3=1\nX4=1\nX5=1\nsysctl kernel/sda1=v 1\nt.rules:7: SYSCTL: input/output error\nt.rules:9: SYSCTL: \"..\" names no kernel parameter"},

	{name: "writing attributes", dev: diskPath, rules: `
ATTR{queue/scheduler}="none"
ATTR{[block/sda]queue/nr}="$kernel"
ATTR{device/../../x}="1"
ATTR{../../../../../../../../../../../../x}="1"
ATTR{*/rotational}="0"
`, want: "attr " + diskPath + "/queue/scheduler=none\nattr " + diskPath + "/queue/nr=sda\nattr " + scsiPath + "/block/x=1\nattr " + diskPath + "/queue/rotational=0\nt.rules:5: ATTR: the attribute lies outside sysfs"},

	{name: "run list", rules: `
RUN+="/bin/a 'x y' $kernel", RUN{builtin}+="kmod load $env{DEVTYPE}"
RUN{program}+="b"
RUN+=e"c\x20d"
`, want: "run builtin kmod|load|partition\nrun /bin/a|x y|sda1\nrun b\nrun c|d"},

	{name: "security labels", rules: `
SECLABEL{selinux}="a:$kernel"
SECLABEL{smack}+="b"
SECLABEL{selinux}+="c"
`, want: "label smack=b\nlabel selinux=c"},

	{name: "interfaces are renamed", dev: nicPath, rules: `
NAME="lan/%n:x"
NAME=="lan*", ENV{X1}="1"
SYMLINK+="no"
`, want: "X1=1\nname lan_0_x"},

	{name: "nothing else is", rules: `ENV{X1}="1", NAME="x"`, want: "X1=1\nt.rules:1: NAME: only network interfaces can be renamed"},

	{name: "at remove nodes get no links, owners and modes", action: "remove", rules: `
SYMLINK+="a", MODE="0600"
ENV{X1}="1"
ACTION=="remove", RUN+="x"
`, want: "X1=1\nrun x"},

	{name: "a name with a slash", dev: "/devices/virtual/block/cciss!c0d0", rules: `
KERNEL=="cciss/c0d0", SYMLINK+="x/$kernel", ENV{X1}="%n $name"
ATTR{device/raid_lvl}=="RAID 5", ENV{X2}="$attr{device/raid_lvl}"
`, want: "X1=0 cciss/c0d0\nX2=RAID 5\nlink x/cciss/c0d0@0"},

	{name: "a device without a subsystem", dev: "/devices/virtual/none", rules: `
SUBSYSTEM=="", ENV{X1}="1"
SUBSYSTEM!="block", ENV{X2}="1"
SUBSYSTEM=="?*", ENV{X3}="1"
SUBSYSTEM=="subsystem", ENV{X4}="1"
SUBSYSTEM=="b*", ENV{X5}="1"
`, want: "X1=1\nX2=1"},

	{name: "a subsystem that no rule names", dev: "/devices/virtual/misc/a", rules: `
SUBSYSTEM=="m*", ENV{X1}="1"
SUBSYSTEM=="block|net", ENV{X2}="1"
SUBSYSTEM!="block", GOTO="end"
ENV{X3}="1"
LABEL="end"
SUBSYSTEM==i"MISC", ENV{X4}="1"
SUBSYSTEM!="", ENV{X5}="1"
`, want: "X1=1\nX4=1\nX5=1"},

	{name: "too long after substitution", rules: `
ENV{X}="` + strings.Repeat("x", 300) + `"
ENV{X1}="$env{X}$env{X}"
ENV{X2}="$env{X}"
PROGRAM=="` + strings.Repeat("$env{X}", 60) + `", ENV{X3}="1"
ENV{X}=""
ENV{X2}=""
`, want: "t.rules:3: ENV: the value is too long after substitution"},
}

func TestEvaluate(t *testing.T) {
	for _, c := range evalCases {
		t.Run(c.name, func(t *testing.T) {
			devpath, action := c.dev, c.action
			if devpath == "" {
				devpath = partPath
			}
			if action == "" {
				action = "add"
			}
			dev := device.New(machine(t), devpath, nil)
			env := c.env
			o, err := rules.Evaluate(table(t, c.rules), dev, rules.Event{Action: action}, &env)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(dev, o, &env); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// TestStop: an Env that gives up ends the evaluation, and the error says at
// which rule.
func TestStop(t *testing.T) {
	dev := device.New(machine(t), partPath, nil)
	env := &fakeEnv{stop: "blkid"}
	_, err := rules.Evaluate(table(t, "ENV{X1}=\"1\"\nIMPORT{builtin}==\"blkid\", ENV{X2}=\"1\"\nENV{X3}=\"1\"\n"), dev, rules.Event{Action: "add"}, env)
	if !errors.Is(err, rules.ErrStop) || !strings.Contains(err.Error(), "t.rules:2") {
		t.Errorf("error %v", err)
	}
	if dev.Property("X1") != "1" || dev.HasProperty("X2") || dev.HasProperty("X3") {
		t.Errorf("properties %v", dev.Properties())
	}
}

// TestStaticNodes: nodes that have to exist before their driver is there.
func TestStaticNodes(t *testing.T) {
	tab := table(t, `KERNEL=="loop-control", GROUP="6", OPTIONS+="static_node=loop-control", TAG+="uaccess"
KERNEL=="fuse", MODE="0666", OPTIONS+="static_node=fuse"
`)
	nodes := tab.StaticNodes()
	if len(nodes) != 2 {
		t.Fatalf("%d nodes", len(nodes))
	}
	a, b := nodes[0], nodes[1]
	if a.Path != "loop-control" || a.Mode != nil || a.UID != nil || a.GID == nil || *a.GID != 6 || len(a.Tags) != 1 || a.Tags[0] != "uaccess" || a.From.String() != "t.rules:1" {
		t.Errorf("first: %+v", a)
	}
	if b.Path != "fuse" || b.Mode == nil || *b.Mode != 0o666 || b.Tags != nil {
		t.Errorf("second: %+v", b)
	}
}

func TestSplitArgs(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"a b\tc":                "a|b|c",
		` a  'b c' "d e" `:      "a|b c|d e",
		`a'b c'd`:               "ab cd",
		`a '' b`:                "a||b",
		`a\ b \'c 'd\e' "f\"g"`: `a\ b|\'c|d\e|f\"g`,
		`a 'b c`:                "a|b c",
	} {
		if got := strings.Join(rules.SplitArgs(in), "|"); got != want {
			t.Errorf("%q: %q instead of %q", in, got, want)
		}
	}
}
