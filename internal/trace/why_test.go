package trace

import (
	"slices"
	"strings"
	"testing"
)

// However a person names a thing, it is found.
func TestFind(t *testing.T) {
	b := fixture(t, "raid-lvm-luks")
	dm1 := "dev /devices/virtual/block/dm-1"
	for name, want := range map[string]string{
		"root": "goal root", "goal init": "goal init", "dm-1": dm1, "/dev/dm-1": dm1, "cryptroot": dm1, "/dev/mapper/cryptroot": dm1,
		"dev " + "/devices/virtual/block/dm-1": dm1, "/sys/devices/virtual/block/dm-1": dm1, "/devices/virtual/block/dm-1": dm1,
		"luks": "luks 13e535fd-c136-45c5-b93a-c08e98e5a600", "vg vg": "vg vg", "md": "md 8661396b-1d86-4693-85c5-ee4fd02894ec",
		"UUID=13E535FD-c136-45c5-b93a-c08e98e5a600": "dev /devices/virtual/block/dm-0", "any:array": "dev /devices/virtual/block/md127",
		"381": "boot", "#11": "goal root", "wakeup8": "", "nothing of it": "", "UUID=": "", "": "many",
		"LABEL=any:array": "many",
	} {
		got := b.Find(name)
		switch {
		case want == "many":
			if len(got) < 2 {
				t.Errorf("%q: %v", name, got)
			}
		case want == "":
			if len(got) != 0 {
				t.Errorf("%q: %v", name, got)
			}
		case len(got) != 1:
			t.Errorf("%q: %d: %v", name, len(got), got)
		default:
			s := got[0].Subject
			if got[0].Goal {
				s = "goal " + s
			}
			if s != want {
				t.Errorf("%q: %q, want %q", name, s, want)
			}
		}
	}
}

// The chain of why leads through every layer to an input, and each hop is
// earlier than the one before.
func TestWhyLeadsThroughEveryLayer(t *testing.T) {
	b := fixture(t, "raid-lvm-luks")
	r := b.Why(b.Find("root")[0])
	if !r.Complete || r.State != "met" || !strings.HasPrefix(r.Input, "the start of /init") {
		t.Errorf("%+v", r)
	}
	var layers []string
	for i, h := range r.Causes {
		layers = append(layers, Handler(h.Subject))
		if i > 0 && h.From > r.Causes[i-1].From {
			t.Errorf("%s at %v leads to %s at %v", h.Title, h.From, r.Causes[i-1].Title, r.Causes[i-1].From)
		}
	}
	layers = slices.Compact(layers)
	if want := []string{"root", "udev", "luks", "udev", "vg", "pv", "udev", "md", "udev", "boot"}; !slices.Equal(layers, want) {
		t.Errorf("through %v, want %v", layers, want)
	}
	golden(t, "testdata/why.want", r.Text(Style{Width: 100}))
}

// Of what did not come about the console's explanation and what was missing
// are said.
func TestWhyOfAFailure(t *testing.T) {
	b := fixture(t, "lost")
	r := b.Why(b.Find("root")[0])
	if r.Complete || r.State != "given up" || r.Detail != "it did not come in time" || !strings.Contains(r.Said, "no block device at all") {
		t.Errorf("%+v", r)
	}
	golden(t, "testdata/why-lost.want", r.Text(Style{Width: 100}))

	m := &maker{}
	s := m.add(0, 0, "start", "firstlight 1", "6.1")
	m.add(0, s, "goal", "root", "unmet", "want=a root")
	q := m.add(5, s, "queue", "md x", "add /dev/sda")
	m.add(6, q, "fact", "array x", "incomplete: 1 of 2 members")
	m.add(6, q, "fact", "array y", "there: runs")
	m.add(7, q, "wait", "md x", "another member", "topic=device")
	do := m.add(8, q, "queue", "luks y", "add")
	m.add(9, do, "do", "luks y", "unlock")
	b = New(m.records)
	for name, want := range map[string][]string{
		"root":   {"goal root: unmet", "array x: incomplete: 1 of 2 members", "md x waited for: another member (since 0.007 s)"},
		"md":     {"md x: still waiting for: another member", "array x: incomplete"},
		"luks y": {"luks y: still under way: unlock", "unlock (had not ended)", "the start of /init"},
	} {
		text := b.Why(b.Find(name)[0]).Text(Style{Width: 100})
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in\n%s", name, w, text)
			}
		}
		if strings.Contains(text, "array y") {
			t.Errorf("%s: what is there is called missing:\n%s", name, text)
		}
	}
}

func TestWrap(t *testing.T) {
	if got := wrap("one two three fourteencharact", 9); !slices.Equal(got, []string{"one two", "three", "fourteenc", "haract"}) {
		t.Errorf("%q", got)
	}
}
