package lvmmeta

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loaded is what LVM loaded: the lines of each device's table, the devices in
// the order in which they were made, with UUID and whether they are read-only.
type loaded struct {
	tables map[string][]string
	minors map[string]int
	info   map[string][2]string
}

func whatLVMLoaded(t *testing.T, table, info []byte) loaded {
	l := loaded{map[string][]string{}, map[string]int{}, map[string][2]string{}}
	for line := range strings.Lines(string(table)) {
		if dev, text, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			l.tables[dev] = append(l.tables[dev], text)
		}
	}
	for line := range strings.Lines(string(info)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) < 4 {
			t.Fatalf("line %q of dmsetup info", line)
		}
		f = append(f, "")
		minor, err := strconv.Atoi(f[3])
		if err != nil {
			t.Fatal(err)
		}
		l.minors[f[0]], l.info[f[0]] = minor, [2]string{f[1], f[4]}
	}
	return l
}

// When LVM makes a volume that needs no first copying it says so to the
// kernel, and never again: at the next activation the log knows.
func TestDevicesAreThoseThatLVMMadeAtFirst(t *testing.T) {
	cases := groups(t)
	g := Assemble(seen(t, cases, "kinds"), Host{}).Group("kinds")
	want := whatLVMLoaded(t, cases["kinds"]["dmtable"], cases["kinds"]["dminfo"])
	made := 0
	for _, name := range []string{"mirror", "raid1", "raid5", "pool", "thin", "origin", "snap"} {
		tree, err := g.Tree(g.VG.LV(name), guestDev)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, n := range tree.Nodes {
			words := strings.Fields(n.Table[0].String())
			for j, w := range words {
				if ref, ok := strings.CutPrefix(w, "@"); ok {
					k, err := strconv.Atoi(ref)
					if err != nil {
						t.Fatal(err)
					}
					words[j] = fmt.Sprintf("252:%d", want.minors[tree.Nodes[k].Name])
				}
			}
			lvms := strings.Fields(strings.Join(want.tables[n.Name], "; "))
			if i := slices.Index(lvms, "nosync"); i > 0 {
				lvms = slices.Delete(lvms, i, i+1)
				count, err := strconv.Atoi(lvms[4])
				if err != nil {
					t.Fatalf("%s: %q", n.Name, lvms)
				}
				lvms[4] = strconv.Itoa(count - 1)
			}
			if !slices.Equal(words, lvms) {
				t.Errorf("%s: %q, LVM loaded %q", n.Name, words, lvms)
			}
			if uuid := want.info[n.Name][0]; n.UUID != uuid {
				t.Errorf("%s: UUID %s, LVM's is %s", n.Name, n.UUID, uuid)
			}
			made++
		}
	}
	if made != 4+5+7+4+4+4+4 {
		t.Errorf("%d devices compared", made)
	}
	var tool *NeedsToolError
	if _, err := g.Tree(g.VG.LV("slow"), guestDev); !errors.As(err, &tool) || tool.Kind != "cache" {
		t.Errorf("cache: %v", err)
	}
}
