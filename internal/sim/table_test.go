package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
)

// withTables is a machine whose image has tables of its own of what is to be
// mounted, and a disk for that.
func withTables(cmdline string, tables map[string]string) (m *sim.Machine, root *sim.Disk) {
	root = volatileRoot()
	extra := &sim.Disk{Content: sim.Ext4(usrUUID, "extra"), Files: map[string]string{"/there": "1"}}
	m = full("ro root=LABEL=root rd.shell=0 "+cmdline, root, extra)
	m.Image.Features = []string{"fstab-sys"}
	m.Initramfs = tables
	return m, root
}

func TestTablesOfTheImage(t *testing.T) {
	for name, tt := range map[string]struct {
		cmdline, own, ownFstab string
		tables                 map[string]string
		mounts                 string // directories of the root, in this order
	}{
		"dracut's":                     {tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /srv/x ext4 ro 0 0\n"}, mounts: "/srv/x"},
		"the image's fstab":            {tables: map[string]string{"/etc/fstab": "LABEL=extra /sysroot/srv ext4 ro 0 0\nLABEL=extra /elsewhere ext4 ro 0 0\n"}, mounts: "/srv"},
		"one within another":           {tables: map[string]string{"/etc/fstab.sys": "/srv /opt none bind 0 0\ntmpfs /srv/y tmpfs size=1m 0 0\nLABEL=extra /srv ext4 ro 0 0\n"}, mounts: "/srv /opt /srv/y"},
		"the root's own counts":        {own: "LABEL=extra /mine ext4 ro 0 0\n", tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /srv ext4 ro 0 0\n"}, mounts: "/mine"},
		"the root's fstab has it, too": {ownFstab: "LABEL=extra /usr ext4 ro 0 0\n", tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /usr ext4 ro 0 0\n"}, mounts: "/usr"},
		"not asked for":                {cmdline: "rootonly", tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /srv ext4 ro 0 0\n"}},
		"not asked for at all":         {cmdline: "rd.fstab=0", tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /srv ext4 ro 0 0\n"}},
		"may be missing":               {tables: map[string]string{"/etc/fstab.sys": "LABEL=none /srv ext4 nofail 0 0\n"}},
		"later, or swap":               {tables: map[string]string{"/etc/fstab.sys": "LABEL=extra /srv ext4 noauto 0 0\nLABEL=extra none swap sw 0 0\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, root := withTables(tt.cmdline, tt.tables)
			if tt.own != "" {
				root.Files["/etc/fstab.sys"] = tt.own
			}
			root.Files["/etc/fstab"] += tt.ownFstab
			if tt.ownFstab != "" {
				m.Disks()[1].Files["/sbin/init"] = "#!"
			}
			boot(t, m)
			if m.Started == nil {
				t.Fatalf("not started; it said:\n%s", m.SaidText())
			}
			var got []string
			for _, mt := range m.Mounts {
				if dir, ok := strings.CutPrefix(mt.Target, handler.SysRoot+"/"); ok {
					got = append(got, "/"+dir)
				}
			}
			if strings.Join(got, " ") != tt.mounts {
				t.Errorf("mounted %v, want %s; it said:\n%s", got, tt.mounts, m.SaidText())
			}
			noTimer(t, m)
		})
	}
	m, _ := withTables("rd.emergency=poweroff rd.timeout=20", map[string]string{"/etc/fstab.sys": "LABEL=none /srv ext4 ro 0 0\n"})
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || !strings.Contains(said, "LABEL=none") {
		t.Errorf("started %v; it said:\n%s", m.Started != nil, said)
	}
}

// Whatever goes wrong on the way: a system that starts has what the image's
// table names.
func TestTableFamily(t *testing.T) {
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		m, _ := withTables("", map[string]string{"/etc/fstab.sys": [...]string{"LABEL=extra /srv ext4 ro 0 0\n", "/srv /opt none bind 0 0\nLABEL=extra /srv ext4 ro 0 0\n"}[rng.IntN(2)]})
		return m
	}, func(m *sim.Machine) string {
		if m.Started == nil {
			return "not started"
		}
		if d := m.Below(handler.SysRoot + "/srv"); d == nil || d.Files["/there"] == "" {
			return "started without /srv"
		}
		return ""
	})
}

// root=fstab is the root of the image's own fstab.
func TestRootOfTheImagesTable(t *testing.T) {
	for table, want := range map[string]string{
		"LABEL=root /sysroot ext4 noatime,ro 0 1\nLABEL=extra /sysroot/srv ext4 ro 0 0\n": "",
		"LABEL=extra /sysroot/srv ext4 ro 0 0\n":                                          "has no line for /sysroot",
		"nfs:/x /sysroot nfs ro 0 0\n":                                                    "names no device",
	} {
		m, _ := withTables("rd.emergency=poweroff", map[string]string{"/etc/fstab": table})
		m.Cmdline = strings.Replace(m.Cmdline, "root=LABEL=root", "root=fstab", 1)
		boot(t, m)
		if said := m.SaidText(); (m.Started != nil) != (want == "") || !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("%q: started %v; it said:\n%s", table, m.Started != nil, said)
		}
		if want == "" && (m.Mounts[0].Source != "/dev/vda" || m.Mounts[0].Flags&1024 == 0 || m.Below("/sysroot/srv") == nil) {
			t.Errorf("mounts %+v", m.Mounts)
		}
	}
}
