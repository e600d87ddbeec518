package check

import (
	"slices"
	"strings"
	"testing"

	"firstlight/internal/handler/all"
)

// What programs of the image, files and memory make of a machine is what it had
// when the snapshot was taken, as far as the image can make it.
func TestWhatProgramsAndFilesMake(t *testing.T) {
	const (
		overlay  = virtio + "layers = [\"overlay\"]\nneeds = [\"usr\"]\n"
		loop     = virtio + "layers = [\"loop\"]\n"
		firmware = scsi + "layers = [\"md-raid1\"]\n"
		imsm     = "IMSM_NO_PLATFORM=1"
	)
	mdadm := []string{"/sbin/mdadm", "/sbin/mdmon"}
	lvm := []string{"/usr/sbin/lvm"}
	zfs := []string{"/sbin/zpool", "/sbin/zfs", "/sbin/mount.zfs"}
	for _, c := range []struct {
		name, snap, image string
		programs, without []string
		cmdline           string // with ROOT for the root of the snapshot
		root              string
		want              Verdict
		says              string
	}{
		{name: "firmware RAID", snap: "imsm", image: firmware, programs: mdadm, cmdline: "ROOT " + imsm, root: "/dev/md126"},
		{name: "firmware RAID without mdadm", snap: "imsm", image: firmware, cmdline: "ROOT " + imsm, want: Fails, says: "mdadm cannot be run"},
		{name: "firmware RAID without its level", snap: "imsm", image: firmware, programs: mdadm, without: []string{"raid1.ko"}, cmdline: "ROOT " + imsm, want: Fails, says: "none of its arrays can be started"},
		{name: "firmware RAID switched off", snap: "imsm", image: firmware, programs: mdadm, cmdline: "ROOT rd.md.imsm=0", want: Fails, says: "rd.md.imsm=0"},
		{name: "firmware RAID of a UUID", snap: "imsm", image: firmware, programs: mdadm, cmdline: "ROOT rd.md.uuid=00000000:00000000:00000000:00000000", want: Unknown, says: "is known to mdadm alone"},
		{name: "an empty root with a /usr", snap: "volatile", image: overlay, cmdline: "ROOT systemd.volatile=yes", root: "a root in memory"},
		{name: "a root in memory", snap: "volatile", image: overlay, cmdline: "root=tmpfs mount.usr=LABEL=nowhere rd.timeout=5", want: Fails, says: "nowhere"},
		{name: "a file", snap: "loop", image: loop, cmdline: "ROOT loop=/images/root.img", root: "/dev/loop0"},
		{name: "a file that is not there", snap: "loop", image: loop, cmdline: "ROOT loop=/images/none.img rd.timeout=5", want: Unknown, says: "did not look at /images/none.img"},
		{name: "a file without the driver", snap: "loop", image: loop, without: []string{"loop.ko"}, cmdline: "ROOT loop=/images/root.img rd.timeout=5", want: Fails, says: "loop"},
		{name: "a volume of LVM's own tool", snap: "cache", image: onLVM, programs: lvm, cmdline: "ROOT", want: Fails, says: "dm_cache"},
		{name: "a ZFS pool without the driver", snap: "zfs", image: virtio, programs: zfs, cmdline: "root=ZFS=pcrypt/ROOT/fl", want: Fails, says: "zfs"},
		{name: "a ZFS pool of another name", snap: "zfs", image: virtio, programs: zfs, cmdline: "root=ZFS=prcypt/ROOT/fl", want: Fails, says: "there is pcrypt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, s := open(t, built(t, c.image)), taken(t, c.snap)
			if c.without != nil {
				im.without(t, c.without...)
			}
			for _, p := range c.programs {
				im.put(p, "#!")
			}
			im.Info.Full = true
			im.Info.Features = append(im.Info.Features, "lvm-tool", "md-external", "zfs")
			line := "ro " + strings.Replace(c.cmdline, "ROOT", rootOf(s), 1)
			r := Run(im, s, Config{Cmdline: line, Handlers: all.Handlers(), Unattended: true})
			text := strings.Join(r.Explanation, "\n")
			if r.Verdict != c.want || c.want == Boots && (r.Root != c.root || len(r.Warnings) > 0) {
				t.Fatalf("it %s from %s, %q: %s", r.Verdict, r.Root, r.Warnings, text)
			}
			if !strings.Contains(strings.Join(strings.Fields(text), " "), c.says) {
				t.Errorf("the explanation has no %q:\n%s", c.says, text)
			}
		})
	}
}

// A passphrase that is given is tried, and not assumed to be right.
func TestPassphrasesThatAreGivenAreTried(t *testing.T) {
	for _, tt := range []struct {
		typed []string
		want  Verdict
	}{{nil, Boots}, {[]string{"no", "neither"}, Fails}, {[]string{"no", key}, Boots}} {
		s, line := lockedMachine(t, true)
		im := open(t, built(t, encrypted))
		r := Run(im, s, Config{Cmdline: line + " rd.timeout=30", Handlers: all.Handlers(), Passphrases: tt.typed})
		if r.Verdict != tt.want {
			t.Errorf("%q: it %s: %s", tt.typed, r.Verdict, strings.Join(r.Explanation, "\n"))
		}
		assumed := slices.ContainsFunc(r.Conditions, func(c string) bool { return strings.HasPrefix(c, "a person types the passphrase") })
		if assumed != (tt.typed == nil) {
			t.Errorf("%q: provided that %q", tt.typed, r.Conditions)
		}
	}
}
