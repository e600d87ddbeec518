package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

const (
	keptUUID  = "99999999-9999-4999-8999-999999999999"
	stickUUID = "99999999-9999-4999-8999-999999999998"
)

// keeping is a medium on which changes are kept, with what it says of them.
func keeping(label, conf string) *sim.Disk {
	d := &sim.Disk{Content: sim.Ext4(keptUUID, label), Files: map[string]string{"/lost+found/x": ""}}
	if conf != "" {
		d.Files["/persistence.conf"] = conf
	}
	return d
}

// withPersistence is a live system whose medium is the first disk.
func withPersistence(cmdline string, more ...*sim.Disk) (m *sim.Machine, medium, inside *sim.Disk) {
	m, medium, inside = liveMachine(cmdline, "/live/filesystem.squashfs")
	medium.Files["/casper/filesystem.squashfs"] = "image"
	inside.Files["/home/user/.profile"], inside.Files["/etc/hosts"], inside.Files["/opt/a"] = "profile", "hosts", "a"
	n := full(cmdline, append([]*sim.Disk{medium}, more...)...)
	n.Images = m.Images
	fine := func(*sim.Machine, []string) machine.Exit { return machine.Exit{} }
	n.Programs = map[string]func(*sim.Machine, []string) machine.Exit{"/usr/bin/cp": copyTree, "/bin/chown": fine, "/bin/chmod": fine}
	return n, medium, inside
}

// copyTree is cp as far as it is called: a directory into another one, or links
// to what is in it.
func copyTree(m *sim.Machine, args []string) machine.Exit {
	source, target := args[len(args)-2], args[len(args)-1]
	for _, f := range m.FilesBelow(source) {
		text := f.Text
		if args[1] == "-s" {
			text = "-> " + source + f.Path
		}
		if err := m.PutFile(target+f.Path, text); err != nil {
			return machine.Exit{Code: 1, Output: "cp: " + err.Error()}
		}
	}
	return machine.Exit{}
}

// mountedOn is the last mount on a directory.
func mountedOn(m *sim.Machine, dir string) (last machine.Mount) {
	for _, mt := range m.Mounts {
		if mt.Target == dir {
			last = mt
		}
	}
	return last
}

func TestChangesOfALiveSystemAreKept(t *testing.T) {
	const lower = "/run/live/rootfs/filesystem.squashfs"
	for _, tt := range []struct {
		name, cmdline, label, conf string
		root                       string            // options of the root's overlay
		mounts                     map[string]string // directory of the root → source and options
		files                      map[string]string // what is on the medium afterwards
	}{
		{"the whole root", "boot=live persistence", "persistence", "/ union\n",
			"lowerdir=" + lower + ",upperdir=/run/live/persistence/vdb/rw,workdir=/run/live/persistence/vdb/work", nil, nil},
		{"the whole root, in a directory", "boot=live persistence persistence-label=mine", "mine", "# all\n/ union,source=all",
			"lowerdir=" + lower + ",upperdir=/run/live/persistence/vdb/all/rw,workdir=/run/live/persistence/vdb/all/work", nil, nil},
		{"nothing is written", "boot=live persistence persistence-read-only", "persistence", "/ union\n",
			"lowerdir=/run/live/persistence/vdb/rw:" + lower + ",upperdir=/run/live/overlay/rw,workdir=/run/live/overlay/work", nil, nil},
		{"nothing is written, and nothing was", "boot=live persistence persistence-read-only", "persistence", "/ union\n",
			"lowerdir=" + lower + ",upperdir=/run/live/overlay/rw,workdir=/run/live/overlay/work", nil, nil},
		{"a directory, for the first time", "boot=live persistence", "persistence", "/home\n", "",
			map[string]string{"/home": "/run/live/persistence/vdb/home "}, map[string]string{"/home/user/.profile": "profile"}},
		{"a union", "boot=live persistence", "persistence", "/etc union,source=config\n", "",
			map[string]string{"/etc": "overlay lowerdir=" + lower + "/etc,upperdir=/run/live/persistence/vdb/config/rw,workdir=/run/live/persistence/vdb/config/work"}, nil},
		{"Ubuntu's", "boot=casper persistent", "writable", "",
			"lowerdir=" + lower + ",upperdir=/run/live/persistence/vdb/upper,workdir=/run/live/persistence/vdb/work", nil, nil},
		{"Ubuntu's of old", "boot=casper persistent", "casper-rw", "",
			"lowerdir=" + lower + ",upperdir=/run/live/persistence/vdb/upper,workdir=/run/live/persistence/vdb/work", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := keeping(tt.label, tt.conf)
			if strings.Contains(tt.root, "vdb/rw:") {
				d.Files["/rw/kept"] = "k"
			}
			m, _, _ := withPersistence("rw "+tt.cmdline, d)
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s", m.SaidText())
			}
			if got := mountedOn(m, handler.SysRoot).Data; tt.root != "" && got != tt.root {
				t.Errorf("the root is %s", got)
			}
			for dir, want := range tt.mounts {
				if mt := mountedOn(m, handler.SysRoot+dir); mt.Source+" "+mt.Data != want {
					t.Errorf("%s is %s %s", dir, mt.Source, mt.Data)
				}
			}
			for file, want := range tt.files {
				if d.Files[file] != want {
					t.Errorf("%s on the medium is %q", file, d.Files[file])
				}
			}
			if readOnly := mountedOn(m, "/run/live/persistence/vdb").Flags&1 != 0; readOnly != strings.Contains(tt.cmdline, "read-only") {
				t.Errorf("the medium is mounted read-only: %v", readOnly)
			}
			noTimer(t, m)
		})
	}
}

// Links lead to where things are in the real system.
func TestKeptFilesAreLinked(t *testing.T) {
	d := keeping("persistence", "/home/user link,source=dotfiles\n/opt bind\n")
	d.Files["/dotfiles/.bashrc"], d.Files["/opt/b"] = "mine", "b"
	m, _, _ := withPersistence("boot=live persistence", d)
	boot(t, m)
	if m.Started == nil {
		t.Fatalf("it said:\n%s", m.SaidText())
	}
	root := m.Mounted(handler.SysRoot)
	if got := root.Files["/home/user/.bashrc"]; got != "-> /run/live/persistence/vdb/dotfiles/.bashrc" {
		t.Errorf("the link is %q", got)
	}
	if got := m.Below("/sysroot/opt"); got == nil || got.Files["/b"] != "b" || got.Files["/a"] != "" {
		t.Errorf("/opt has %+v", got)
	}
}

// A file on a stick is used as a medium of its own would be.
func TestChangesAreKeptInAFile(t *testing.T) {
	for cmdline, file := range map[string]string{"boot=live persistence": "/persistence", "boot=live persistence persistence-path=/a/b persistence-label=x": "/a/b/x",
		"boot=casper persistent": "/casper-rw"} {
		stick := &sim.Disk{Content: sim.Ext4(stickUUID, "stick"), Files: map[string]string{file: "kept"}}
		m, _, _ := withPersistence(cmdline, stick)
		m.Images["kept"] = keeping("", "/ union\n")
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: it said:\n%s", cmdline, m.SaidText())
		}
		if got := mountedOn(m, handler.SysRoot).Data; !strings.Contains(got, "upperdir=/run/live/persistence/loop1/") {
			t.Errorf("%s: the root is %s; it said:\n%s", cmdline, got, m.SaidText())
		}
	}
}

func TestKeptChangesThatCannotBeUsedAreExplained(t *testing.T) {
	twin := keeping("persistence", "/ union\n")
	for want, tt := range map[string]struct {
		cmdline string
		disks   []*sim.Disk
		starts  bool
	}{
		"nothing is kept, although persistence asks for it": {"persistence", nil, true},
		"has no persistence.conf":                           {"persistence", []*sim.Disk{keeping("persistence", "")}, true},
		"is kept twice, on /dev/vdb and on /dev/vdc": {"persistence", []*sim.Disk{keeping("persistence", "/home\n"),
			{Content: sim.Ext4(stickUUID, "persistence"), Files: map[string]string{"/persistence.conf": "/home union\n"}}}, false},
		"/dev/vdb and /dev/vdc have the UUID": {"persistence", []*sim.Disk{twin, twinOf(twin)}, false},
		"is the other or in it":               {"persistence", []*sim.Disk{keeping("persistence", "/home source=a\n/opt source=a/b\n")}, false},
		"line 1 (/etc/../x): is no absolute path without . and ..; it is left out": {"persistence", []*sim.Disk{keeping("persistence", "/etc/../x\n/ union\n")}, true},
		"nobody knows the option bnid":                                             {"persistence", []*sim.Disk{keeping("persistence", "/opt bnid\n/ union\n")}, true},
		"is neither removable nor removable-usb":                                   {"persistence persistence-media=usb", nil, false},
		"changes are kept on a filesystem":                                         {"persistence persistence-storage=directory", nil, false},
		"the first copy of it: cp is not in this image":                            {"persistence", []*sim.Disk{keeping("persistence", "/home\n")}, false},
		"persistence-encryption=none,aes is none of":                               {"persistence persistence-encryption=none,aes", nil, false},
		"module=other: it lists":                                                   {"", nil, false},
		"nothing is kept, although persistence asks for i":                         {"persistence persistence-media=removable", []*sim.Disk{keeping("persistence", "/ union\n")}, true},
	} {
		cmdline := "rd.shell=0 rd.emergency=poweroff boot=live " + tt.cmdline
		if strings.HasPrefix(want, "module=") {
			want, cmdline = "/live/other.module in /sysroot: file does not exist", cmdline+" module=other"
		}
		m, _, _ := withPersistence(cmdline, tt.disks...)
		if strings.Contains(want, "first copy") {
			m.Programs = nil
		}
		boot(t, m)
		if said := strings.Join(strings.Fields(m.SaidText()), " "); (m.Started != nil) != tt.starts || !strings.Contains(said, want) {
			t.Errorf("%s: started %v; it said:\n%s", want, m.Started != nil, m.SaidText())
		}
	}
}

func twinOf(d *sim.Disk) *sim.Disk {
	twin := *d
	return &twin
}

// A root of several images has what the upper ones add.
func TestARootOfSeveralImages(t *testing.T) {
	for cmdline, files := range map[string]map[string]string{
		"boot=live":            {"/live/filesystem.module": "base.squashfs\nextra.squashfs more.squashfs\n", "/live/base.squashfs": "image", "/live/extra.squashfs": "extra", "/live/more.squashfs": "more"},
		"boot=live toram":      {"/live/filesystem.module": "base.squashfs\nextra.squashfs more.squashfs\n", "/live/base.squashfs": "image", "/live/extra.squashfs": "extra", "/live/more.squashfs": "more"},
		"boot=live module=big": {"/live/big.module": "base.squashfs extra.squashfs more.squashfs", "/live/base.squashfs": "image", "/live/extra.squashfs": "extra", "/live/more.squashfs": "more"},
		"boot=casper layerfs-path=a.b.c.squashfs": {"/casper/a.squashfs": "image", "/casper/a.b.squashfs": "extra", "/casper/a.b.c.squashfs": "more"},
	} {
		m, medium, _ := withPersistence(cmdline)
		for file, text := range files {
			medium.Files[file] = text
		}
		m.Images["extra"] = &sim.Disk{Content: sim.Ext4(stickUUID, "extra"), Files: map[string]string{"/extra": "1", "/etc/hosts": "other"}}
		m.Images["more"] = &sim.Disk{Content: sim.Ext4(keptUUID, "more"), Files: map[string]string{"/more": "1", "/etc/hosts": "third"}}
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: it said:\n%s", cmdline, m.SaidText())
		}
		root := m.Mounted(handler.SysRoot)
		if root.Files["/extra"] == "" || root.Files["/more"] == "" || root.Files["/etc/hosts"] != "third" || root.Files["/usr/sbin/init"] == "" {
			t.Errorf("%s: the root has %v", cmdline, root.Files)
		}
		if still := m.Below("/run/live/medium") != nil; still == strings.Contains(cmdline, "toram") {
			t.Errorf("%s: the medium is mounted: %v", cmdline, still)
		}
		noTimer(t, m)
	}
}

// A medium of casper is the one that the initramfs belongs to.
func TestTheMediumOfAnotherInitramfs(t *testing.T) {
	for cmdline, starts := range map[string]bool{"boot=casper": false, "boot=casper ignore_uuid": true, "boot=casper right": true} {
		m, medium, _ := withPersistence("rd.shell=0 rd.emergency=poweroff " + cmdline)
		medium.Files["/.disk/casper-uuid-generic"] = "0a1b\n"
		m.Files = map[string]string{"/conf/uuid.conf": "ffff\n"}
		if strings.HasSuffix(cmdline, "right") {
			m.Files = map[string]string{"/conf/uuid.conf": "0a1b\n"}
		}
		boot(t, m)
		if said := m.SaidText(); (m.Started != nil) != starts || !starts && !strings.Contains(said, "ignore_uuid") {
			t.Errorf("%s: started %v; it said:\n%s", cmdline, m.Started != nil, said)
		}
	}
}

// Whatever goes wrong on the way: the medium of the system is not written to,
// what is kept is written to only where that is asked for, and a system that
// starts has it.
func TestPersistenceFamily(t *testing.T) {
	var medium, store *sim.Disk
	var readOnly bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		conf := [...]string{"/ union\n", "/home\n", "/home\n/etc union\n", "/home/user link,source=x\n"}[rng.IntN(4)]
		readOnly = rng.IntN(3) == 0
		store = keeping("persistence", conf)
		store.Files["/home/kept"], store.Files["/x/kept"], store.Files["/rw/kept"] = "k", "k", "k"
		cmdline := "rd.shell=0 boot=live persistence"
		if readOnly {
			cmdline += " persistence-read-only"
		}
		var m *sim.Machine
		m, medium, _ = withPersistence(cmdline, store)
		return m
	}, func(m *sim.Machine) string {
		if medium.Written != "" && !strings.Contains(medium.Written, "mount on") {
			return "the medium was written to by " + medium.Written
		}
		for _, mt := range m.Mounts {
			if mt.Source == "/dev/vda" && mt.Flags&1 == 0 || mt.Source == "/dev/vdb" && mt.Flags&1 == 0 && readOnly {
				return fmt.Sprintf("%s is mounted writable", mt.Source)
			}
		}
		if m.Started == nil {
			return "not started"
		}
		if m.Below("/run/live/persistence/vdb") == nil && !strings.Contains(m.SaidText(), "is not used") && !strings.Contains(m.SaidText(), "nothing is kept") {
			return "what is kept is missing, and nobody was told"
		}
		return ""
	})
}

// Of two disks with the image the one that is meant by its kind is the medium.
func TestTheMediumIsRemovable(t *testing.T) {
	for cmdline, starts := range map[string]bool{"boot=live": false, "boot=live live-media=removable": true, "boot=live live-media=removable-usb": false,
		"boot=live live-media=/dev/vdb": true} {
		other := &sim.Disk{Content: sim.Ext4(stickUUID, "other"), Files: map[string]string{"/live/filesystem.squashfs": "image"}, Attrs: map[string]string{"removable": "1"}}
		m, medium, _ := withPersistence("rd.shell=0 rd.emergency=poweroff "+cmdline, other)
		boot(t, m)
		if (m.Started != nil) != starts || starts && m.Below("/run/live/medium") != other {
			t.Errorf("%s: started %v from %v; it said:\n%s", cmdline, m.Started != nil, m.Below("/run/live/medium") == medium, m.SaidText())
		}
	}
}

// fromiso= names the disk with the file, whatever other disk has it too.
func TestAnISOFileOnTheDiskThatIsNamed(t *testing.T) {
	for cmdline, starts := range map[string]bool{"fromiso=/dev/vdb/isos/a.iso": true, "isofrom=LABEL=other/isos/a.iso": true, "findiso=/isos/a.iso": false,
		"fromiso=/dev/vdb": false, "fromiso=nowhere/a.iso": false} {
		m, medium, _ := withPersistence("boot=live rd.shell=0 rd.emergency=poweroff " + cmdline)
		m.Images["iso"] = medium
		stick := &sim.Disk{Content: sim.Ext4(isoUUID, "stick"), Files: map[string]string{"/isos/a.iso": "iso"}}
		other := &sim.Disk{Content: sim.Ext4(rootUUID, "other"), Files: map[string]string{"/isos/a.iso": "iso"}}
		n := full(m.Cmdline, stick, other)
		n.Images = m.Images
		boot(t, n)
		if d := n.Below("/run/initramfs/isoscan"); (n.Started != nil) != starts || starts && d != other {
			t.Errorf("%s: started %v; it said:\n%s", cmdline, n.Started != nil, n.SaidText())
		}
	}
}

// What is kept may be encrypted. Who is asked for its passphrase is told of no
// fault: that it is not unlocked yet is why there is a question.
func TestChangesAreKeptEncrypted(t *testing.T) {
	d := sim.Encrypt(content.LUKS{Version: 2, UUID: luksUUID, Label: "persistence", Passphrases: []string{passphrase}}, keeping("persistence", "/ union\n"))
	m, _, _ := withPersistence("boot=live persistence persistence-encryption=luks", d)
	m.Answer = func(machine.Prompt) (string, time.Duration, error) { return passphrase, time.Minute, nil }
	boot(t, m)
	if m.Started == nil || len(m.Prompts) != 1 {
		t.Fatalf("asked %d times; it said:\n%s", len(m.Prompts), m.SaidText())
	}
	if got := mountedOn(m, handler.SysRoot).Data; !strings.Contains(got, "upperdir=/run/live/persistence/dm-0/rw") {
		t.Errorf("the root is %s", got)
	}
	if said := m.SaidText(); strings.Contains(said, "not unlocked yet") {
		t.Errorf("it said:\n%s", said)
	}
}
