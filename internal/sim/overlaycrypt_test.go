package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// scratch is a disk that changes may be written to: an empty one, or one with
// something on it.
func scratch(content []byte) *sim.Disk {
	return &sim.Disk{Content: content, Files: map[string]string{}}
}

// cryptTools are the programs as far as they are called. A map stands for the
// device that shows what is on it decrypted, and a LUKS device is one that was
// formatted with a password.
func cryptTools(disk *sim.Disk, password string) map[string]func(*sim.Machine, []string) machine.Exit {
	formatted := password != ""
	return map[string]func(*sim.Machine, []string) machine.Exit{
		"/usr/sbin/wipefs": func(*sim.Machine, []string) machine.Exit {
			disk.Content, disk.Written = nil, "wipefs"
			return machine.Exit{}
		},
		"/usr/sbin/mke2fs": func(*sim.Machine, []string) machine.Exit {
			disk.Content, disk.Files, disk.Written = sim.Ext4(changesUUID, "made"), map[string]string{}, "mke2fs"
			return machine.Exit{}
		},
		"/sbin/cryptsetup": func(m *sim.Machine, args []string) machine.Exit {
			if args[0] == "luksFormat" {
				formatted, disk.Written = true, "cryptsetup"
				return machine.Exit{}
			}
			if strings.Contains(strings.Join(args, " "), "--type luks") && !formatted {
				return machine.Exit{Code: 1, Output: "Device is not a valid LUKS device."}
			}
			d, err := m.Mapper()
			if err != nil {
				return machine.Exit{Code: 4, Output: err.Error()}
			}
			name := args[len(args)-1]
			if _, err = d.Create(name, "CRYPT-PLAIN-"+name); err == nil {
				line := devmapper.Target{Length: 64 << 11, Type: "linear", Params: []byte(m.Number("/dev/vdb") + " 0")}
				if _, err = d.Load(devmapper.ByName(name), []devmapper.Target{line}, devmapper.LoadOptions{}); err == nil {
					_, err = d.Resume(devmapper.ByName(name), devmapper.ResumeOptions{Cookie: devmapper.NewCookie(1, 0)})
				}
			}
			if err != nil {
				return machine.Exit{Code: 4, Output: err.Error()}
			}
			return machine.Exit{}
		},
	}
}

func TestChangesAreEncrypted(t *testing.T) {
	for _, tt := range []struct {
		cmdline, password string
		content           []byte
		want              string // why it does not start
		made              bool
		source, upper     string
	}{
		{cmdline: "overlayroot=crypt:dev=/dev/vdb", made: true, source: "overlayroot", upper: "/media/root-rw/overlay"},
		{cmdline: "overlayroot=crypt:dev=vdb,dir=a,recurse=0", made: true, source: "overlayroot", upper: "/media/root-rw/a/overlay"},
		{cmdline: "rd.overlay.crypt=/dev/vdb", made: true, source: "LiveOS_rootfs", upper: "/run/initramfs/overlayfs/overlayfs"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,pass=p", password: "p", content: sim.Ext4(changesUUID, "inside"), source: "overlayroot", upper: "/media/root-rw/overlay"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,pass=p,mkfs=1", content: sim.Ext4(changesUUID, "old"), made: true, source: "overlayroot", upper: "/media/root-rw/overlay"},
		// What is there is not overwritten unless that is asked for.
		{cmdline: "overlayroot=crypt:dev=/dev/vdb", content: sim.Ext4(changesUUID, "old"), want: "is to be overwritten, and holds ext4"},
		{cmdline: "rd.overlay.crypt=/dev/vdb", content: sim.Ext4(changesUUID, "old"), want: "is to be overwritten, and holds ext4"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,mkfs=1", content: sim.Ext4(changesUUID, "old"), made: true, source: "overlayroot", upper: "/media/root-rw/overlay"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,pass=p,mkfs=2", want: "mkfs=2 says that nothing is made on it"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,mkfs=0", want: "neither a password nor may a filesystem be made"},
		{cmdline: "overlayroot=crypt:dev=/dev/vdb,fstype=xfs", want: "is none of ext2, ext3, ext4"},
		{cmdline: "rd.overlay.crypt=/dev/vdc rd.timeout=20", want: "/dev/vdc, which has not appeared"},
	} {
		d := scratch(tt.content)
		m := full("rw root=LABEL=root rd.shell=0 rd.emergency=poweroff "+tt.cmdline, volatileRoot(), d)
		m.Programs = cryptTools(d, tt.password)
		boot(t, m)
		said := strings.Join(strings.Fields(m.SaidText()), " ")
		if tt.want != "" {
			if m.Started != nil || !strings.Contains(said, tt.want) || d.Written != "" {
				t.Errorf("%s: started %v, written by %q; it said:\n%s", tt.cmdline, m.Started != nil, d.Written, m.SaidText())
			}
			continue
		}
		covered(t, m, tt.source)
		if got := mountedOn(m, handler.SysRoot).Data; !strings.Contains(got, "upperdir="+tt.upper+",") {
			t.Errorf("%s: the overlay is %s", tt.cmdline, got)
		}
		if made := strings.Contains(fmt.Sprint(m.Mounts), "/dev/dm-0") && d.Files != nil && len(d.Content) > 0; made != true {
			t.Errorf("%s: mounts %+v", tt.cmdline, m.Mounts)
		}
		noTimer(t, m)
	}
}

// A root says itself that it is to be covered, and the command line is stronger.
func TestOverlayrootConfOfTheRoot(t *testing.T) {
	for _, tt := range []struct {
		cmdline string
		files   map[string]string
		image   map[string]string
		source  string
		want    string
	}{
		{"", map[string]string{"/etc/overlayroot.conf": "overlayroot=\"tmpfs\"\n"}, nil, "overlayroot", ""},
		{"", map[string]string{"/etc/overlayroot.conf": "overlayroot=\"\"\n", "/etc/overlayroot.local.conf": "overlayroot=LABEL=changes\n"}, nil, "overlayroot", ""},
		{"", nil, map[string]string{"/conf/conf.d/overlayroot": "overlayroot=tmpfs\n"}, "overlayroot", ""},
		{"overlayroot=disabled", map[string]string{"/etc/overlayroot.conf": "overlayroot=tmpfs\n"}, nil, "/dev/vda", ""},
		{"overlayroot=", map[string]string{"/etc/overlayroot.conf": "overlayroot=tmpfs\n"}, nil, "/dev/vda", ""},
		{"", map[string]string{"/etc/overlayroot.conf": "overlayroot=tmpfs\n", "/etc/overlayroot.local.conf": "overlayroot=disabled\n"}, nil, "/dev/vda", ""},
		{"", map[string]string{"/etc/overlayroot.local.conf": "overlayroot=nonsense\n"}, nil, "", "what cannot be understood"},
		{"", map[string]string{"/etc/overlayroot.local.conf": "overlayroot=LABEL=nowhere\n"}, nil, "", "LABEL=nowhere, which has not appeared"},
	} {
		root := volatileRoot()
		for name, text := range tt.files {
			root.Files[name] = text
		}
		m := full("ro root=LABEL=root rd.shell=0 rd.emergency=poweroff rd.timeout=20 "+tt.cmdline, root, changesDisk())
		m.Image.Features, m.Files = []string{"overlayroot-conf"}, tt.image
		boot(t, m)
		if tt.want != "" {
			if said := m.SaidText(); m.Started != nil || !strings.Contains(said, tt.want) {
				t.Errorf("%v: started %v; it said:\n%s", tt.files, m.Started != nil, said)
			}
			continue
		}
		covered(t, m, tt.source)
	}
}

// Whatever goes wrong on the way: what is on the device is overwritten only where
// it is nothing or that was asked for, and the root is never used uncovered.
func TestEncryptedChangesFamily(t *testing.T) {
	var d *sim.Disk
	var held, allowed bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		held, allowed = rng.IntN(2) == 0, rng.IntN(2) == 0
		d = scratch(nil)
		if held {
			d = scratch(sim.Ext4(keyUUID, "other"))
		}
		cmdline := [...]string{"overlayroot=crypt:dev=/dev/vdb", "rd.overlay.crypt=/dev/vdb"}[rng.IntN(2)]
		if allowed {
			cmdline += ",mkfs=1"
		}
		m := full("rw root=LABEL=root rd.shell=0 "+cmdline, volatileRoot(), d)
		m.Programs = cryptTools(d, "")
		return m
	}, func(m *sim.Machine) string {
		switch {
		case held && !allowed && d.Written != "":
			return "the disk was written to by " + d.Written
		case held && !allowed && m.Started != nil:
			return "started without a place for its changes"
		case (!held || allowed) && m.Started == nil && !slices.ContainsFunc(m.Faults, func(f sim.Fault) bool {
			return f.Kind == sim.DiskVanishes && f.Target == "vdb" // what was mapped to it is dead
		}):
			return "not started"
		}
		for _, mt := range m.Mounts {
			if mt.Source == "/dev/vda" && mt.Flags&1 == 0 {
				return "the root is mounted writable"
			}
		}
		if m.Started != nil && strings.HasPrefix(mountedOn(m, handler.SysRoot).Source, "/dev/") {
			return "the real system starts on the bare root"
		}
		return ""
	})
}
