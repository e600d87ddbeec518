package md

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	fixtures "firstlight/test/fixtures/lvmmd"

	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
)

func members(t testing.TB, name string) (list []mdsuper.Member) {
	t.Helper()
	cases := fixtures.Open(t, "../mdsuper/testdata/arrays.tar.zst")
	for i := 0; ; i++ {
		d, ok := cases.Device(t, name, i)
		if !ok {
			return list
		}
		s, err := mdsuper.Read(d, d.Size)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, mdsuper.Member{Device: fmt.Sprintf("/dev/ram%d", i), Super: s})
	}
}

func devnum(dev string) (string, error) { return "1:" + strings.TrimPrefix(dev, "/dev/ram"), nil }

// world records what is done to it and fails where it is told to.
type world struct {
	did  []string
	fail string
}

var errNo = errors.New("no")

func (w *world) do(s string) error {
	if w.fail != "" && strings.Contains(s, w.fail) {
		return errNo
	}
	w.did = append(w.did, s)
	return nil
}

func (w *world) WriteSysfs(path, value string) error { return w.do(value + " > " + path) }
func (w *world) Load(names ...string) error          { return w.do("load " + strings.Join(names, " ")) }

func TestAnArrayIsStartedReadOnly(t *testing.T) {
	a := mdsuper.Collect(members(t, "raid5journal-1.2"), mdsuper.Options{})
	steps, err := Plan(a, "md127", devnum, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var w world
	if notes, err := Execute(&w, steps); err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	want := []string{
		"load md_mod md-level-5",
		"md127 > /module/md_mod/parameters/new_array",
		"1.2 > /block/md127/md/metadata_version",
		"1:0 > /block/md127/md/new_dev",
		"1:1 > /block/md127/md/new_dev",
		"1:2 > /block/md127/md/new_dev",
		"1:3 > /block/md127/md/new_dev",
		"read-auto > /block/md127/md/array_state",
	}
	if !slices.Equal(w.did, want) {
		t.Errorf("did\n%s", strings.Join(w.did, "\n"))
	}
}

func TestAFailedStartFreesTheMembers(t *testing.T) {
	a := mdsuper.Collect(members(t, "raid1-0.90"), mdsuper.Options{})
	steps, err := Plan(a, "md_x", devnum, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fail := range []string{"0.90", "1:1", "read-auto"} {
		w := world{fail: fail}
		if _, err := Execute(&w, steps); !errors.Is(err, errNo) {
			t.Errorf("%s: %v", fail, err)
		}
		if last := w.did[len(w.did)-1]; last != "clear > /block/md_x/md/array_state" {
			t.Errorf("%s: ended with %s", fail, last)
		}
	}
	w := world{fail: "new_array"}
	if _, err := Execute(&w, steps); !errors.Is(err, errNo) || len(w.did) != 1 {
		t.Errorf("an array that was not created was stopped: %v %q", err, w.did)
	}
}

func TestASpareMayBeMissingInTheEnd(t *testing.T) {
	a := mdsuper.Collect(members(t, "raid1spare-1.2"), mdsuper.Options{})
	steps, err := Plan(a, "md0", devnum, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := world{fail: "1:2"}
	notes, err := Execute(&w, steps)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0].Error(), "/dev/ram2") {
		t.Errorf("%v %v", notes, err)
	}
}

func TestPlanRefusesWhatCollectRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		o    Options
		want error
	}{
		{"raid1split-1.2", 2, Options{Degraded: true}, ErrRefused},
		{"raid5reshape-1.2", 4, Options{}, nil},
		{"raid5journal-1.2", 3, Options{Degraded: true}, ErrIncomplete},
		{"raid0-1.2", 2, Options{Degraded: true}, ErrIncomplete},
		{"raid5dirty-1.2", 2, Options{Degraded: true}, ErrIncomplete},
		{"raid5-1.2", 2, Options{}, ErrDegraded},
		{"raid5-1.2", 2, Options{Degraded: true}, nil},
	} {
		a := mdsuper.Collect(members(t, c.name)[:c.n], mdsuper.Options{})
		if _, err := Plan(a, "md0", devnum, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s with %d members: %v, want %v", c.name, c.n, err, c.want)
		}
	}
	a := mdsuper.Collect(members(t, "raid1-1.2"), mdsuper.Options{})
	for _, name := range []string{"", "md", "sda", "md/../x", "md_" + strings.Repeat("x", 40)} {
		if _, err := Plan(a, name, devnum, Options{}); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if _, err := Plan(a, "md0", func(string) (string, error) { return "", errNo }, Options{}); !errors.Is(err, errNo) {
		t.Errorf("a device without number: %v", err)
	}
}

func TestDirtyDegradedIsAllowedForOneStartOnly(t *testing.T) {
	a := mdsuper.Collect(members(t, "raid5dirty-1.2")[:2], mdsuper.Options{StartDirtyDegraded: true})
	steps, err := Plan(a, "md0", devnum, Options{Degraded: true, StartDirtyDegraded: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, fail := range []string{"", "read-auto"} {
		w := world{fail: fail}
		Execute(&w, steps)
		i := slices.Index(w.did, "1 > /module/md_mod/parameters/start_dirty_degraded")
		j := slices.Index(w.did, "0 > /module/md_mod/parameters/start_dirty_degraded")
		if i < 0 || j < i {
			t.Errorf("did %q", w.did)
		}
	}
}

// The lines are those of mdadm --detail --export, but for MD_DEVNAME, which
// mdadm takes from its map. The members' order there is that of a directory.
func TestPropertiesAreThoseOfMdadm(t *testing.T) {
	cases := fixtures.Open(t, "../mdsuper/testdata/arrays.tar.zst")
	n := 0
	for _, name := range cases.Names() {
		out := string(cases[name]["detail.export"])
		if out == "" || strings.Contains(name, "reshape") || strings.Contains(name, "replace") || strings.Contains(name, "rebuild") || strings.Contains(name, "journal") || strings.Contains(name, "spare") {
			continue
		}
		ms := members(t, name)
		var got strings.Builder
		list := Properties(ms[0].Super, mdsuper.Name{Kernel: "md100"})
		for _, m := range ms {
			list = append(list, MemberProperties(m.Device, m.Super.Role)...)
		}
		for _, p := range list {
			fmt.Fprintf(&got, "%s=%s\n", p.Key, p.Value)
		}
		lines := func(s string) []string { return slices.Sorted(strings.Lines(s)) }
		if g, w := lines(got.String()), lines(out); !slices.Equal(g, w) {
			t.Errorf("%s:\n%q\nmdadm:\n%q", name, g, w)
		}
		n++
	}
	if n < 30 {
		t.Fatalf("only %d compared", n)
	}
	list := Properties(members(t, "raid1-1.2")[0].Super, mdsuper.Name{Kernel: "md127", Link: "data"})
	if !slices.Contains(list, Property{"MD_DEVNAME", "data"}) {
		t.Errorf("%v", list)
	}
}

func TestStateIsReadFromSysfs(t *testing.T) {
	fs := sysfs.Dir(t.TempDir())
	if _, err := ReadState(fs, "md0"); err == nil {
		t.Error("a missing array has a state")
	}
	if number("4 (3)") != 4 || number("none") != 0 || number("") != 0 {
		t.Error("numbers are misread")
	}
	for state, running := range map[string]bool{"clear": false, "inactive": false, "read-auto": true, "clean": true, "active": true} {
		if (State{Array: state}).Running() != running {
			t.Errorf("%s: running is %v", state, !running)
		}
	}
}
