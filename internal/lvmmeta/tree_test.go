package lvmmeta

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	fixtures "firstlight/test/fixtures/lvmmd"
)

// trees opens the volumes that are made of others, with what the device
// mapper had when LVM had activated each (trees.sh).
func trees(t testing.TB) fixtures.Cases { return fixtures.Open(t, "testdata/trees.tar.zst") }

// raidWords puts the optional parameters of a raid target into one order: the
// kernel prints them in its own.
func raidWords(line string) string {
	f := strings.Fields(line)
	if len(f) < 5 || f[2] != "raid" {
		return strings.Join(f, " ")
	}
	n, err := strconv.Atoi(f[4])
	if err != nil || len(f) < 5+n {
		return line
	}
	var pairs []string
	params := f[6 : 5+n]
	for i := 0; i+1 < len(params); i += 2 {
		if params[i] == "max_write_behind" {
			params[i+1] = "" // the kernel shows what it makes of it
		}
		pairs = append(pairs, params[i]+" "+params[i+1])
	}
	slices.Sort(pairs)
	return strings.Join(f[:6], " ") + " " + strings.Join(pairs, " ") + " " + strings.Join(f[5+n:], " ")
}

// compare holds a tree against what LVM loaded, device numbers included: they
// say in which order the devices were made.
func compare(t *testing.T, tree *Tree, want loaded) {
	t.Helper()
	if len(tree.Nodes) != len(want.info) {
		t.Errorf("%d devices, LVM made %d", len(tree.Nodes), len(want.info))
	}
	for i, n := range tree.Nodes {
		info, ok := want.info[n.Name]
		if !ok {
			t.Errorf("LVM made no %s", n.Name)
			continue
		}
		if want.minors[n.Name] != i {
			t.Errorf("%s is device %d of the tree, LVM's is %d", n.Name, i, want.minors[n.Name])
		}
		if n.UUID != info[0] {
			t.Errorf("%s: UUID %s, LVM's is %s", n.Name, n.UUID, info[0])
		}
		if ro := info[1] == "Read-only"; info[1] != "" && ro != n.ReadOnly {
			t.Errorf("%s: read-only is %v, LVM's is %q", n.Name, n.ReadOnly, info[1])
		}
		if err := devmapper.CheckTable(n.Table); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		var got, lvms []string
		for _, l := range n.Table {
			words := strings.Fields(l.String())
			for j, w := range words {
				if ref, ok := strings.CutPrefix(w, "@"); ok {
					k, err := strconv.Atoi(ref)
					if err != nil || k >= i {
						t.Fatalf("%s stands on %q, which is not before it", n.Name, w)
					}
					words[j] = fmt.Sprintf("252:%d", want.minors[tree.Nodes[k].Name])
				}
			}
			got = append(got, raidWords(strings.Join(words, " ")))
		}
		for _, l := range want.tables[n.Name] {
			lvms = append(lvms, raidWords(l))
		}
		if !slices.Equal(got, lvms) {
			t.Errorf("%s:\n%q, LVM loaded\n%q", n.Name, got, lvms)
		}
	}
}

func TestDevicesAreThoseThatLVMMakes(t *testing.T) {
	cases := trees(t)
	compared, refused := 0, 0
	for _, name := range cases.Names() {
		t.Run(name, func(t *testing.T) {
			pvs := seen(t, cases, name)
			volume := strings.TrimSpace(string(cases[name]["volume"]))
			g := Assemble(pvs, Host{}).Group("t")
			if g == nil || g.VG.LV(volume) == nil {
				t.Fatalf("no volume %q", volume)
			}
			tree, err := g.Tree(g.VG.LV(volume), guestDev)
			if err != nil {
				t.Fatal(err)
			}
			if len(tree.Missing)+len(tree.Legs) != 0 {
				t.Errorf("missing %v, legs %v", tree.Missing, tree.Legs)
			}
			compare(t, tree, whatLVMLoaded(t, cases[name]["whole.table"], cases[name]["whole.info"]))
			compared++
			lost, ok := cases[name]["without"]
			if !ok {
				return
			}
			without := "/dev/" + strings.TrimSpace(string(lost))
			pvs = slices.DeleteFunc(pvs, func(s Seen) bool { return s.Device == without })
			g = Assemble(pvs, Host{}).Group("t")
			if tree, err = g.Tree(g.VG.LV(volume), guestDev); err != nil {
				t.Fatal(err)
			}
			table, ok := cases[name]["degraded.table"]
			if name == "raid0" && len(tree.Missing) == 1 {
				return // LVM maps it with a hole; nobody can start from that
			}
			if refuses := len(tree.Missing) > 0; refuses != !ok {
				t.Fatalf("without %s: missing %v, and LVM says %s", without, tree.Missing, cases[name]["degraded.said"])
			}
			if !ok {
				refused++
				return
			}
			if lacks := strings.Contains(string(table), "-missing_"); lacks != (len(tree.Legs) == 1) {
				t.Errorf("without %s: legs %v", without, tree.Legs)
			}
			compare(t, tree, whatLVMLoaded(t, table, cases[name]["degraded.info"]))
		})
	}
	if compared < 35 || refused < 2 {
		t.Errorf("%d volumes compared, %d that LVM refuses", compared, refused)
	}
}
