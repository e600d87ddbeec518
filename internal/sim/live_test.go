package sim_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

const (
	mediumUUID = "77777777-7777-4777-8777-777777777777"
	isoUUID    = "88888888-8888-4888-8888-888888888888"
)

// liveMachine has a medium with an image on it, an ext4 in which the whole
// system is.
func liveMachine(cmdline, file string) (m *sim.Machine, medium, inside *sim.Disk) {
	inside = volatileRoot()
	inside.Content = sim.Ext4(usrUUID, "inside")
	medium = &sim.Disk{Content: sim.Ext4(mediumUUID, "LIVE"), Files: map[string]string{file: "image"}}
	m = full(cmdline, medium)
	m.Images = map[string]*sim.Disk{"image": inside}
	return m, medium, inside
}

// lives are the forms in which an image on a medium is asked for, with the file
// that it is in, and where the medium and the root below are.
var lives = []struct{ cmdline, file, medium, lower string }{
	{"root=live:LABEL=LIVE", "/LiveOS/squashfs.img", "/run/initramfs/live", "/run/rootfsbase"},
	{"root=live:CDLABEL=LIVE rd.live.dir=/a rd.live.squashimg=b", "/a/b", "/run/initramfs/live", "/run/rootfsbase"},
	{"root=LABEL=LIVE rd.live.image", "/LiveOS/rootfs.img", "/run/initramfs/live", "/run/rootfsbase"},
	{"root=live:/dev/vda rd.live.overlay.size=100 rd.live.overlay.thin", "/LiveOS/squashfs.img", "/run/initramfs/live", "/run/rootfsbase"},
	{"boot=live overlay-size=30%", "/live/filesystem.squashfs", "/run/live/medium", "/run/live/rootfs/filesystem.squashfs"},
	{"root=live:/dev/vda rd.live.ram=1", "/LiveOS/squashfs.img", "", "/run/rootfsbase"},
	{"root=live:/dev/vda rd.live.ram=1 rd.firstlight.sha256=" + imageSum, "/LiveOS/squashfs.img", "", "/run/rootfsbase"},
	{"root=live:/dev/vda rd.firstlight.sha256=" + imageSum, "/LiveOS/squashfs.img", "/run/initramfs/live", "/run/rootfsbase"},
	{"boot=live", "/live/filesystem.squashfs", "/run/live/medium", "/run/live/rootfs/filesystem.squashfs"},
	{"boot=live components live-media=LABEL=LIVE toram", "/live/filesystem.squashfs", "", "/run/live/rootfs/filesystem.squashfs"},
	{"boot=casper live-media-path=/x", "/x/filesystem.squashfs", "/run/live/medium", "/run/live/rootfs/filesystem.squashfs"},
}

// imageSum is that of the content "image".
const imageSum = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"

func TestEachFormOfALiveMedium(t *testing.T) {
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte("image"))); got != imageSum {
		t.Fatalf("the sum is %s", got)
	}
	for _, l := range lives {
		t.Run(l.cmdline, func(t *testing.T) {
			m, medium, inside := liveMachine("rw "+l.cmdline, l.file)
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s", m.SaidText())
			}
			if d := m.Below(l.lower); d == nil || d.Files["/usr/sbin/init"] == "" {
				t.Errorf("the root below is not on %s: %+v", l.lower, m.Mounts)
			}
			for word, size := range map[string]string{"overlay.size=100": "size=100m", "overlay-size=30%": "size=30%"} {
				if strings.Contains(l.cmdline, word) && !strings.Contains(fmt.Sprint(m.Mounts), "tmpfs 0 mode=0755,"+size) {
					t.Errorf("mounts %+v", m.Mounts)
				}
			}
			if l.medium != "" && m.Below(l.medium) != medium {
				t.Errorf("the medium is not on %s", l.medium)
			}
			if l.medium == "" && inside.Written != "" {
				t.Errorf("the image on the medium was written to by %s", inside.Written)
			}
			for _, mt := range m.Mounts {
				if strings.HasPrefix(mt.Source, "/dev/") && mt.Flags&1 == 0 {
					t.Errorf("%s is mounted writable on %s", mt.Source, mt.Target)
				}
			}
			if l.medium == "" {
				for _, mt := range m.Mounts {
					if mt.Source == "/dev/vda" && m.Below(mt.Target) == medium {
						t.Errorf("the medium is still mounted on %s", mt.Target)
					}
				}
			}
			noTimer(t, m)
		})
	}
}

// An image in the initramfs needs no device, and one in another one is found.
func TestAnImageInTheInitramfs(t *testing.T) {
	for cmdline, want := range map[string]string{"root=live:/r.img": "LiveOS_rootfs", "root=live:/r.img rd.overlay=0": "/dev/loop0",
		"rw root=live:/outer.img rd.writable.fsimg": "/dev/loop1"} {
		m := full(cmdline)
		inside, outer := volatileRoot(), volatileRoot()
		outer.Files = map[string]string{"/LiveOS/rootfs.img": "image"}
		m.Initramfs = map[string]string{"/r.img": "image", "/outer.img": "outer"}
		m.Images = map[string]*sim.Disk{"image": inside, "outer": outer}
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: not started; it said:\n%s", cmdline, m.SaidText())
		}
		last := ""
		for _, mt := range m.Mounts {
			if mt.Target == handler.SysRoot {
				last = mt.Source
			}
		}
		if last != want {
			t.Errorf("%s: the root is %s, want %s", cmdline, last, want)
		}
		if inside.Written != "" && strings.Contains(cmdline, "writable") {
			t.Errorf("%s: the image itself was written to", cmdline)
		}
		noTimer(t, m)
	}
}

// An archive is unpacked into memory, or the reason said.
func TestAnArchive(t *testing.T) {
	for name, tt := range map[string]struct {
		exit    machine.Exit
		free    uint64
		program string
		want    string
	}{
		"unpacked":       {program: "/usr/bin/tar"},
		"does not fit":   {program: "/bin/tar", exit: machine.Exit{Code: 2, Output: "tar: a: Cannot write: No space left on device\n"}, want: "does not fit"},
		"is damaged":     {program: "/bin/tar", exit: machine.Exit{Code: 2, Output: "tar: This does not look like a tar archive\n"}, want: "does not look like"},
		"without tar":    {want: "tar is not in this image"},
		"without memory": {program: "/bin/tar", free: 1 << 20, exit: machine.Exit{Code: 2, Output: "No space left"}, want: "0 MiB"},
	} {
		m := full("root=live:/r.tar.zst rd.shell=0 rd.emergency=poweroff")
		m.Initramfs = map[string]string{"/r.tar.zst": "tar"}
		m.Free = tt.free
		if tt.program != "" {
			m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{tt.program: func(m *sim.Machine, args []string) machine.Exit {
				if d := m.Below("/run/initramfs/unpacked"); d != nil && tt.exit.Code == 0 && args[len(args)-1] == "/r.tar.zst" {
					d.Files["/sbin/init"] = "#!"
				}
				return tt.exit
			}}
		}
		boot(t, m)
		if said := m.SaidText(); (m.Started == nil) != (tt.want != "") || !strings.Contains(said, tt.want) {
			t.Errorf("%s: started %v; it said:\n%s", name, m.Started, said)
		}
	}
}

func TestALiveRootThatCannotBeUsedIsExplained(t *testing.T) {
	for cmdline, want := range map[string]string{
		"root=live:LABEL=LIVE": "holds none of squashfs.img, rootfs.img, ext3fs.img in /LiveOS",
		"root=live:LABEL=LIVE rd.live.dir=/a rd.live.squashimg=b rd.live.check": "cannot be verified",
		"root=live:/nowhere.img":                       "no /nowhere.img in this image",
		"root=live:http://a/b":                         "the image that root=live:http://a/b asks for: needs the network, which is not up yet",
		"root=live:torrent://a/b":                      "no device of this machine",
		"root=live:LABEL=LIVE rd.firstlight.sha256=00": "64 hexadecimal digits",
		"root=live:LABEL=LIVE rd.live.dir=/a rd.live.squashimg=b rd.firstlight.sha256=" + strings.Repeat("00", 32): "is not the image",
		"root=live:LABEL=LIVE rd.live.dir=/a rd.live.squashimg=b rd.live.ram rd.minmem=1024":                       "1024 MiB are left",
		"boot=live": "no filesystem that is there has /live/filesystem.squashfs",
	} {
		m, _, _ := liveMachine("rd.shell=0 rd.emergency=poweroff "+cmdline, "/a/b")
		boot(t, m)
		if said := m.SaidText(); m.Started != nil || !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("%s: it said:\n%s", cmdline, said)
		}
	}
	// The small image says what it lacks.
	m, _, _ := liveMachine("root=live:LABEL=LIVE rd.shell=0 rd.emergency=poweroff", "/LiveOS/squashfs.img")
	m.Image.Full = false
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || !strings.Contains(said, "start from nothing else") {
		t.Errorf("it said:\n%s", said)
	}
}

// The medium is a file on some disk. Two that have it are not chosen between.
func TestAnISOFileOnADisk(t *testing.T) {
	for _, copies := range []int{1, 2} {
		m, medium, _ := liveMachine("root=live:LABEL=LIVE iso-scan/filename=/isos/a.iso rd.shell=0 rd.emergency=poweroff", "/LiveOS/squashfs.img")
		m.Images["iso"] = medium
		stick := &sim.Disk{Content: sim.Ext4(isoUUID, "stick"), Files: map[string]string{"/isos/a.iso": "iso"}}
		other := &sim.Disk{Content: sim.Ext4(rootUUID, "other"), Files: map[string]string{"/x": "y"}}
		if copies == 2 {
			other.Files["/isos/a.iso"] = "iso"
		}
		n := full(m.Cmdline, stick, other)
		n.Images = m.Images
		boot(t, n)
		if said := n.SaidText(); (n.Started != nil) != (copies == 1) || copies == 2 && !strings.Contains(said, "only one of them") {
			t.Errorf("%d copies: started %v; it said:\n%s", copies, n.Started, said)
		}
		for _, d := range []*sim.Disk{stick, other} {
			if d.Written != "" {
				t.Errorf("%s was written to by %s", d.Name, d.Written)
			}
		}
	}
}

// Whatever goes wrong on the way: the medium is not written to, and the root
// is what is in the image.
func TestLiveFamily(t *testing.T) {
	var medium *sim.Disk
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		l := lives[rng.IntN(len(lives))]
		var m *sim.Machine
		m, medium, _ = liveMachine("rw rd.shell=0 "+l.cmdline, l.file)
		return m
	}, func(m *sim.Machine) string {
		if medium.Written != "" && !strings.Contains(medium.Written, "mount on") {
			return "the medium was written to by " + medium.Written
		}
		for _, mt := range m.Mounts {
			if strings.HasPrefix(mt.Source, "/dev/") && mt.Flags&1 == 0 {
				return mt.Source + " is mounted writable"
			}
		}
		if m.Started == nil {
			return "not started"
		}
		if d := m.Mounted(handler.SysRoot); d == nil || d.Files["/usr/sbin/init"] == "" {
			return "the root is not what is in the image"
		}
		return ""
	})
}

func ramdiskMachine(cmdline string) (*sim.Machine, *sim.Disk) {
	inside := volatileRoot()
	inside.Content, inside.Size = sim.Ext4(usrUUID, "inside"), 8<<20
	m := full(cmdline, rootDisk())
	m.Initramfs = map[string]string{"/initrd.image": "image"}
	m.Images = map[string]*sim.Disk{"image": inside}
	return m, inside
}

func TestARAMDisk(t *testing.T) {
	for cmdline, want := range map[string]string{"rw root=/dev/ram0": "/dev/ram0", "ro root=/dev/zram0": "/dev/zram0", "rw root=/dev/ram0 rootfstype=ext4": "/dev/ram0"} {
		m, _ := ramdiskMachine(cmdline)
		boot(t, m)
		started(t, m, want)
		if m.Initramfs["/initrd.image"] != "" {
			t.Error("the memory of the image was not given back")
		}
		noTimer(t, m)
	}
	for want, change := range map[string]func(m *sim.Machine, inside *sim.Disk){
		"brd.rd_size=4096":                  func(m *sim.Machine, inside *sim.Disk) { inside.Size, m.RAMDisk = 4<<20, 1<<20 },
		"no /initrd.image in this image":    func(m *sim.Machine, _ *sim.Disk) { m.Initramfs = nil },
		"holds no filesystem that is known": func(_ *sim.Machine, inside *sim.Disk) { inside.Content = nil },
	} {
		m, inside := ramdiskMachine("rw root=/dev/ram0 rd.shell=0 rd.emergency=poweroff")
		change(m, inside)
		boot(t, m)
		if said := m.SaidText(); m.Started != nil || !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("it said:\n%s", said)
		}
	}
}

// Whatever goes wrong on the way: the root is the ramdisk once it is whole, and
// no disk is written to.
func TestRAMDiskFamily(t *testing.T) {
	var disk *sim.Disk
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		m, _ := ramdiskMachine("rd.shell=0 rw root=" + [...]string{"/dev/ram0", "/dev/zram0"}[rng.IntN(2)])
		disk = m.Disks()[0]
		return m
	}, func(m *sim.Machine) string {
		if disk.Written != "" {
			return "a disk was written to by " + disk.Written
		}
		if m.Started == nil {
			return "not started"
		}
		if d := m.Mounted(handler.SysRoot); d == nil || d.Files["/usr/sbin/init"] == "" {
			return "the root is not what was in the image"
		}
		return ""
	})
}

// Only what an overlay has kept is forgotten, and only when that is asked for.
func TestAnOverlayForgets(t *testing.T) {
	for cmdline, left := range map[string]bool{"": true, "rd.overlay.reset=0": true, "rd.overlay.reset": false, "rd.live.overlay.reset=1": false,
		"rd.overlay.reset rd.overlay.readonly": true} {
		d := changesDisk()
		d.Files = map[string]string{"/overlayfs/etc/x": "kept", "/home/y": "a person's"}
		m := full("rw root=LABEL=root rd.overlay=UUID="+changesUUID+" "+cmdline, volatileRoot(), d)
		boot(t, m)
		covered(t, m, "LiveOS_rootfs")
		if got := d.Files["/overlayfs/etc/x"] != ""; got != left {
			t.Errorf("%s: kept %v", cmdline, got)
		}
		if d.Files["/home/y"] == "" {
			t.Errorf("%s: what is no overlay's is gone", cmdline)
		}
	}
}
