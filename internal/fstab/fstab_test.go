package fstab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/testtool"

	"github.com/google/go-cmp/cmp"
)

const example = `# /etc/fstab: static file system information.
UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff / ext4 errors=remount-ro,noatime 0 1
/dev/vg0/usr	/usr/	auto	ro,nodev,x-systemd.device-timeout=1min30s	0 2
LABEL="my\040data" /srv/my\040data xfs,ext4 defaults,nofail 0 0
UUID=44EF-C1A0 /boot/efi vfat umask=0077
/dev/sda3 none swap sw 0 0
tmpfs /tmp tmpfs rw,nosuid,size=1g,mode=1777
/dev/sdb1 /mnt auto`

func TestParse(t *testing.T) {
	entries, errs := Parse("/etc/fstab", example)
	if len(errs) != 0 || len(entries) != 7 {
		t.Fatalf("%d entries, %v", len(entries), errs)
	}
	root := Root(entries)
	want := &Entry{Line: 2, Spec: "UUID=0a1b2c3d-0001-4002-8003-aabbccddeeff", File: "/", FSTypes: []string{"ext4"},
		Options: Options{Set: NoAtime, Clear: StrictAtime | RelAtime, Data: "errors=remount-ro"}, Pass: 1}
	if d := cmp.Diff(want, root); d != "" {
		t.Error("the root's line\n" + d)
	}
	usr := Usr(entries)
	if usr == nil || usr.File != "/usr" || usr.FSTypes != nil || usr.Options.Set != ReadOnly|NoDev {
		t.Fatalf("the line of /usr: %+v", usr)
	}
	if d, ok := usr.Options.DeviceTimeout(); d != 90*time.Second || !ok {
		t.Errorf("timeout %v, %v", d, ok)
	}
	if spec, err := usr.Device(); err != nil || spec != (devspec.Spec{Kind: devspec.LV, Value: "vg0/usr"}) {
		t.Errorf("device %+v, %v", spec, err)
	}
	data := Find(entries, "/srv/my data")
	if data == nil || data.Spec != "LABEL=my data" || len(data.FSTypes) != 2 || !data.Options.NoFail() {
		t.Errorf("escapes and quotes: %+v", data)
	}
	if entries[4].IsSwap() == false || Find(entries, "none") != nil {
		t.Error("the swap area is taken for a mount")
	}
	if Find(entries, "/home") != nil {
		t.Error("found a mount point that is not there")
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	text := "/dev/sda1 / ext4\n\n/dev/sda2\n/dev/sda3 usr ext4\n/dev/sda4 /x ext4 ro 0 1 2\n/dev/sda5 /y ext4 ro 0 -1\nUID=1 /z ext4\n"
	entries, errs := Parse("/etc/fstab", text)
	want := []string{
		"/etc/fstab:3: fewer than three fields: device, mount point, type",
		`/etc/fstab:4: mount point "usr" is neither an absolute path nor none`,
		"/etc/fstab:5: more than six fields",
		`/etc/fstab:6: sixth field (order of checks) is not a number: "-1"`,
	}
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries; the good ones count", len(entries))
	}
	if _, err := entries[1].Device(); err == nil || !strings.HasPrefix(err.Error(), `fstab:7: "UID=1": unknown kind`) {
		t.Errorf("device: %v", err)
	}
	if _, errs := Parse("x", strings.Repeat("a\n", 100)); len(errs) != maxErrors {
		t.Errorf("%d errors of a file that is no fstab", len(errs))
	}
	if _, errs := Parse("x", strings.Repeat("#", maxText+1)); len(errs) != 1 {
		t.Errorf("a file too long: %v", errs)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		list string
		want Options
	}{
		{"", Options{}},
		{"defaults", Options{Clear: ReadOnly | NoSuid | NoDev | NoExec | Synchronous}},
		{"ro,rw", Options{Clear: ReadOnly}},
		{"rw,ro", Options{Set: ReadOnly}},
		{"ro,nosuid,nodev,noexec", Options{Set: ReadOnly | NoSuid | NoDev | NoExec}},
		{"noatime,relatime", Options{Set: RelAtime, Clear: NoAtime | StrictAtime}},
		{"subvol=@,compress=zstd:1,ssd", Options{Data: "subvol=@,compress=zstd:1,ssd"}},
		{`context="system_u:object_r:t:s0,c1",ro`, Options{Set: ReadOnly, Data: `context="system_u:object_r:t:s0,c1"`}},
		{`a="b,ro`, Options{Set: ReadOnly, Data: `a="b`}},
		{"user", Options{Set: NoExec | NoSuid | NoDev, User: []string{"user"}}},
		{"user,exec", Options{Set: NoSuid | NoDev, Clear: NoExec, User: []string{"user"}}},
		{"noauto,nofail,_netdev,comment=x,x-systemd.automount,X-mount.mkdir=0755",
			Options{User: []string{"noauto", "nofail", "_netdev", "comment=x", "x-systemd.automount", "X-mount.mkdir=0755"}}},
		{"bind,rslave", Options{Set: Bind, Propagation: Slave | Rec}},
		{"rbind", Options{Set: Bind | Rec}},
		{",,discard,,", Options{Data: "discard"}},
		{"nodiscard,noload", Options{Data: "nodiscard,noload"}},
	} {
		if d := cmp.Diff(c.want, ParseOptions(c.list)); d != "" {
			t.Errorf("%s:\n%s", c.list, d)
		}
	}
	o := ParseOptions("nofail,fail,auto,noauto,x-a=1,x-a=2,x-b,x-systemd.device-timeout=0")
	if v, ok := o.Value("x-a"); v != "2" || !ok || !o.Has("x-b") || o.Has("x-c") || o.NoFail() || !o.NoAuto() {
		t.Errorf("userspace options: %+v", o)
	}
	if d, ok := o.DeviceTimeout(); !ok || d < time.Hour {
		t.Errorf("a timeout of 0 is %v, not forever", d)
	}
	bad := ParseOptions("x-systemd.device-timeout=soon")
	if _, ok := bad.DeviceTimeout(); ok {
		t.Error("a timeout that cannot be read counts")
	}
}

// findmnt, of libmount, reads the same fields.
func TestReadsAsFindmnt(t *testing.T) {
	testtool.Need(t, "findmnt")
	file := filepath.Join(t.TempDir(), "fstab")
	if err := os.WriteFile(file, []byte(example+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testtool.Path("findmnt"), "--tab-file", file, "--raw", "--noheadings",
		"-o", "TARGET,FSTYPE,FREQ,PASSNO").Output()
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := Parse(file, example)
	var want, got []string
	for line := range bytes.Lines(out) {
		want = append(want, strings.Replace(strings.Join(strings.Fields(string(line)), " "), "/usr/", "/usr", 1))
	}
	for _, e := range entries {
		types := strings.Join(e.FSTypes, ",")
		if types == "" {
			types = "auto"
		}
		got = append(got, strings.ReplaceAll(e.File, " ", `\x20`)+" "+types+" "+strconv.Itoa(e.Dump)+" "+strconv.Itoa(e.Pass))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findmnt differs:\n%s", d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("LABEL='a' /\\040 - \"x,\" 1 2 # c")
	f.Fuzz(func(t *testing.T, text string) {
		entries, errs := Parse("x", text)
		if len(entries) > strings.Count(text, "\n")+1 || len(errs) > maxErrors {
			t.Fatal("more answers than lines")
		}
		for i := range entries {
			e := &entries[i]
			if e.Options.Set&e.Options.Clear != 0 || e.File == "" || e.Line < 1 {
				t.Fatalf("%+v", e)
			}
			e.Device()
			e.Options.DeviceTimeout()
		}
		Root(entries)
	})
}
