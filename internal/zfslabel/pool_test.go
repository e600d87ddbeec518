package zfslabel

import (
	"testing"

	"firstlight/internal/sim/content"
)

func raidz(parity uint64, guids ...uint64) content.ZVdev {
	v := content.ZVdev{Type: "raidz", GUID: 90, Parity: parity}
	for _, g := range guids {
		v.Children = append(v.Children, content.ZVdev{Type: "disk", GUID: g, Path: "/dev/x"})
	}
	return v
}

// What can be had of a pool of which some is missing.
func TestAssemble(t *testing.T) {
	log := content.ZVdev{Type: "disk", GUID: 60, Log: true}
	disk := content.ZVdev{Type: "disk", GUID: 70}
	of := func(top, tops, guid uint64, tree content.ZVdev) content.ZFS {
		c := member(guid, tree)
		c.Top, c.Tops = top, tops
		return c
	}
	offline := raidz(1, 1, 2, 3)
	offline.Children[1].Offline = true
	holes := func(c content.ZFS) content.ZFS { c.Holes = []uint64{1}; return c }
	for _, x := range []struct {
		name                                string
		there                               []content.ZFS
		missing, lacking, lacksLog, unknown int
		twins                               bool
	}{
		{"a mirror that is whole", []content.ZFS{of(0, 1, 51, mirror), of(0, 1, 52, mirror)}, 0, 0, 0, 0, false},
		{"a half of a mirror", []content.ZFS{of(0, 1, 52, mirror)}, 1, 0, 0, 0, false},
		{"a disk twice", []content.ZFS{of(0, 1, 52, mirror), of(0, 1, 52, mirror)}, 1, 0, 0, 0, true},
		{"raidz1 without one", []content.ZFS{of(0, 1, 1, raidz(1, 1, 2, 3)), of(0, 1, 3, raidz(1, 1, 2, 3))}, 1, 0, 0, 0, false},
		{"raidz1 without two", []content.ZFS{of(0, 1, 1, raidz(1, 1, 2, 3))}, 2, 1, 0, 0, false},
		{"raidz2 without two", []content.ZFS{of(0, 1, 1, raidz(2, 1, 2, 3))}, 2, 0, 0, 0, false},
		{"raidz1 without one that was taken out", []content.ZFS{of(0, 1, 1, offline), of(0, 1, 3, offline)}, 0, 0, 0, 0, false},
		{"two disks, one of which is missing", []content.ZFS{of(0, 2, 70, disk)}, 0, 0, 0, 1, false},
		{"two disks with a hole between them", []content.ZFS{holes(of(0, 3, 70, disk)), holes(of(2, 3, 71, content.ZVdev{Type: "disk", GUID: 71}))}, 0, 0, 0, 0, false},
		{"a pool with its log", []content.ZFS{of(0, 2, 70, disk), of(1, 2, 60, log)}, 0, 0, 0, 0, false},
		{"a log of which one half is there", []content.ZFS{of(0, 2, 70, disk), of(1, 2, 51, content.ZVdev{Type: "mirror", Log: true, GUID: 50, Children: mirror.Children})}, 1, 0, 0, 0, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			var ms []Member
			for i, c := range x.there {
				ms = append(ms, Member{string(rune('a' + i)), read(t, c)})
			}
			p := Assemble(ms)
			if len(p.Missing) != x.missing || len(p.Lacking) != x.lacking || len(p.LacksLog) != x.lacksLog || len(p.Unknown) != x.unknown || (p.Twins[0] != "") != x.twins || p.Apart[0] != "" {
				t.Errorf("%+v", p)
			}
		})
	}
}

// Two halves of a mirror that were each used without the other have different
// states in the same transaction group; one that only lags behind has not.
func TestApart(t *testing.T) {
	half := func(guid, txg uint64, ubers ...content.ZUber) Member {
		c := member(guid, mirror)
		c.Txg, c.Ubers = txg, ubers
		return Member{"/dev/" + string(rune('a'+guid-51)), read(t, c)}
	}
	a := half(51, 42, content.ZUber{Txg: 40, Root: 1}, content.ZUber{Txg: 41, Root: 2}, content.ZUber{Txg: 42, Root: 3})
	if p := Assemble([]Member{a, half(52, 43, content.ZUber{Txg: 40, Root: 1}, content.ZUber{Txg: 41, Root: 9})}); p.Apart != [2]string{"/dev/a", "/dev/b"} || p.Common != 40 {
		t.Errorf("%+v", p)
	}
	if p := Assemble([]Member{a, half(52, 40, content.ZUber{Txg: 40, Root: 1})}); p.Apart[0] != "" || p.Label.Txg != 42 {
		t.Errorf("%+v", p)
	}
}
