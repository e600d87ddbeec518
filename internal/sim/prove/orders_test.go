package prove

import (
	"os"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/sim/gen"
	"firstlight/internal/testtool"
)

// layout is a machine of which every order of events is tried. Its command
// line says what must come of it.
type layout struct {
	name   string
	nodes  []gen.Node
	params []gen.Param
	// events are what happens: "vda" is that the disk comes, "change vda" that
	// the kernel says that it has changed, "lost" that messages are lost while
	// the next event happens.
	events []string
	gap    int // milliseconds between two events
}

func uuid(n byte) string {
	return strings.Repeat(string('0'+n), 8) + "-1111-4111-8111-111111111111"
}

func systemFiles() map[string]string {
	return map[string]string{"/sbin/init": "#!"}
}

func rootBy(text string, node int, by string) gen.Param {
	return gen.Param{Text: "root=" + text, Subject: gen.Root, Node: node, By: by}
}

func layouts() []layout {
	disk := func(id int, name string) gen.Node { return gen.Node{ID: id, Kind: gen.Disk, Bus: "virtio", Name: name} }
	return []layout{
		{"raid5 of four, with strangers", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"), disk(4, "vdd"), disk(5, "vde"), disk(6, "vdf"), disk(7, "vdg"),
			{ID: 8, Kind: gen.Array, On: []int{1, 2, 3, 4}, UUID: uuid(1), Name: "home", Level: 5},
			{ID: 9, Kind: gen.Ext4, On: []int{8}, UUID: uuid(2), Label: "rootfs", Files: systemFiles()},
			{ID: 10, Kind: gen.Ext4, On: []int{5}, UUID: uuid(3), Label: "other", Files: systemFiles()},
			{ID: 11, Kind: gen.Swap, On: []int{6}, UUID: uuid(4), Label: "swap"}},
			[]gen.Param{rootBy("UUID="+uuid(2), 9, "uuid"), {Text: "resume=UUID=" + uuid(4), Subject: gen.Resume, Node: 11, By: "uuid"}},
			[]string{"vda", "vdb", "vdc", "vdd", "vde", "vdf", "vdg"}, 2},
		{"volume over three disks, its swap hibernated", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"), disk(4, "vdd"),
			{ID: 5, Kind: gen.Group, On: []int{1, 2, 3}, UUID: uuid(1), Name: "vg"},
			{ID: 6, Kind: gen.LV, On: []int{5, 1, 2}, UUID: uuid(2), Name: "root"},
			{ID: 7, Kind: gen.LV, On: []int{5, 3}, UUID: uuid(3), Name: "swap"},
			{ID: 8, Kind: gen.Ext4, On: []int{6}, UUID: uuid(4), Label: "rootfs", Files: systemFiles()},
			{ID: 9, Kind: gen.Swap, On: []int{7}, UUID: uuid(5), Label: "swap", Image: true}},
			[]gen.Param{rootBy("/dev/vg/root", 8, "path"), {Text: "resume=/dev/vg/swap", Subject: gen.Resume, Node: 9, By: "path"}},
			[]string{"vda", "vdb", "vdc", "vdd", "change vda", "change vdc", "lost"}, 3},
		{"encrypted btrfs on two, messages lost", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"),
			{ID: 4, Kind: gen.LUKS, On: []int{1}, UUID: uuid(1), Pass: "open sesame"},
			{ID: 5, Kind: gen.LUKS, On: []int{2}, UUID: uuid(2), Pass: "open sesame"},
			{ID: 6, Kind: gen.Btrfs, On: []int{4, 5}, UUID: uuid(3), Label: "rootfs", Profile: "raid1", Files: systemFiles()}},
			[]gen.Param{rootBy("LABEL=rootfs", 6, "label"), {Text: "rd.luks.uuid=" + uuid(1), Subject: gen.Unlock, Node: 4},
				{Text: "rd.luks.uuid=" + uuid(2), Subject: gen.Unlock, Node: 5}},
			[]string{"vda", "vdb", "vdc", "change vda", "change vdb", "change vdc", "lost"}, 4},
		{"two mirrors below a volume, separate usr", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"), disk(4, "vdd"), disk(5, "vde"), disk(6, "vdf"),
			{ID: 7, Kind: gen.Array, On: []int{1, 2}, UUID: uuid(1), Name: "m1", Level: 1},
			{ID: 8, Kind: gen.Array, On: []int{3, 4}, UUID: uuid(2), Name: "m2", Level: 1},
			{ID: 9, Kind: gen.Group, On: []int{7, 8}, UUID: uuid(3), Name: "vg"},
			{ID: 10, Kind: gen.LV, On: []int{9, 7, 8}, UUID: uuid(4), Name: "root"},
			{ID: 11, Kind: gen.Ext4, On: []int{10}, UUID: uuid(5), Label: "rootfs", Files: map[string]string{
				"/etc/fstab": "UUID=" + uuid(6) + " /usr ext4 defaults 0 2\n", "/sbin": "-> usr/sbin", "/usr/.empty": ""}},
			{ID: 12, Kind: gen.Ext4, On: []int{5}, UUID: uuid(6), Label: "usr", Files: systemFiles()}},
			[]gen.Param{rootBy("/dev/mapper/vg-root", 11, "path")},
			[]string{"vda", "vdb", "vdc", "vdd", "vde", "vdf", "change vde"}, 2},
		{"a mirror that lacks a member for good", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"), disk(4, "vdd"), disk(5, "vde"),
			{ID: 6, Kind: gen.Array, On: []int{1, 2, 3}, UUID: uuid(1), Name: "m1", Level: 1},
			{ID: 7, Kind: gen.Ext4, On: []int{6}, UUID: uuid(5), Label: "rootfs", Files: systemFiles()}},
			[]gen.Param{rootBy("LABEL=rootfs", 7, "label")},
			[]string{"vda", "vdb", "vdd", "vde", "change vda", "change vdb", "lost"}, 3},
		{"two disks that are the same root", []gen.Node{disk(1, "vda"), disk(2, "vdb"), disk(3, "vdc"), disk(4, "vdd"), disk(5, "vde"),
			{ID: 7, Kind: gen.Ext4, On: []int{1}, UUID: uuid(5), Label: "rootfs", Files: systemFiles()}},
			[]gen.Param{rootBy("LABEL=rootfs", 7, "label"), {Text: "rd.timeout=20", Subject: gen.Timeout, Seconds: 20}},
			[]string{"vda", "copy vda", "vdb", "vdc", "vdd", "vde", "change vda"}, 0},
	}
}

// in returns the machine with the events in an order.
func (l layout) in(order []int, seed uint64) *gen.Machine {
	m := &gen.Machine{Seed: seed, Latency: 5, Nodes: l.nodes, Params: l.params}
	node := func(name string) int {
		return l.nodes[slices.IndexFunc(l.nodes, func(n gen.Node) bool { return n.Kind == gen.Disk && n.Name == name })].ID
	}
	come := map[int]int{}
	for i, which := range order {
		if what := l.events[which]; !strings.Contains(what, " ") && what != "lost" {
			come[node(what)] = i * l.gap
		}
	}
	for _, n := range l.nodes {
		if at, ok := come[n.ID]; !ok && n.Kind == gen.Disk {
			m.Faults = append(m.Faults, gen.Fault{Trouble: gen.Missing, Node: n.ID})
		} else if ok && at > 0 {
			m.Faults = append(m.Faults, gen.Fault{Trouble: gen.Late, Node: n.ID, At: at})
		}
	}
	for i, which := range order {
		at := i * l.gap
		what, name, _ := strings.Cut(l.events[which], " ")
		switch what {
		case "change":
			m.Faults = append(m.Faults, gen.Fault{Trouble: gen.Changes, Node: node(name), At: at, N: 1})
		case "copy":
			m.Faults = append(m.Faults, gen.Fault{Trouble: gen.Copy, Node: node(name), At: at})
		case "lost":
			m.Faults = append(m.Faults, gen.Fault{Trouble: gen.Overflow, At: at, Until: at + l.gap + 1})
		}
		if l.gap == 0 && what == name {
			continue
		}
	}
	if l.gap == 0 {
		for _, which := range order {
			if what := l.events[which]; !strings.Contains(what, " ") {
				m.Order = append(m.Order, node(what))
			}
		}
	}
	return m
}

// Every order of seven events comes to the same end, and breaks no rule on the
// way. Without FIRSTLIGHT_SEEDS every fortieth order has to do.
func TestEveryOrderOfSevenEvents(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			if len(l.events) != 7 {
				t.Fatalf("%d events", len(l.events))
			}
			tried := 0
			want := l.in([]int{0, 1, 2, 3, 4, 5, 6}, 1).Truth().Verdict
			if want == gen.May || want == gen.Asks {
				t.Fatalf("nothing is expected of it: %q", want)
			}
			for order := range testtool.Permutations(len(l.events)) {
				if tried++; os.Getenv("FIRSTLIGHT_SEEDS") == "" && tried%40 != 0 {
					continue
				}
				m := l.in(order, uint64(tried))
				r := Safe(m)
				if r.Truth.Verdict != want {
					t.Fatalf("order %v is to end with %q and not %q", order, r.Truth.Verdict, want)
				}
				if len(r.Violations) > 0 {
					t.Fatalf("order %v: %s", order, r)
				}
			}
			if tried != 5040 {
				t.Errorf("%d orders", tried)
			}
		})
	}
}
