package diskup

import (
	"slices"
	"testing"
	"time"

	"firstlight/internal/netreport"
)

type listener []string

func (l *listener) Say(r netreport.Report) { *l = append(*l, r.String()) }

func TestPausesGrow(t *testing.T) {
	const ms = time.Millisecond
	for tries, want := range map[int]time.Duration{0: 250 * ms, 1: 500 * ms, 3: 2000 * ms, 4: 4000 * ms, 5: 4000 * ms, 1 << 40: 4000 * ms} {
		if d := Pause(tries); d != want {
			t.Errorf("after %d tries: %v, want %v", tries, d, want)
		}
	}
}

func TestWhatChangesIsSaid(t *testing.T) {
	var l listener
	var s Said
	for _, text := range []string{"a", "a", "b", "a"} {
		s.Tell(&l, Report("the disk x", "working", text, "").With("device", NBD(-1)))
	}
	s.Tell(&l, Report("the disk x", "there", "c", "d").With("device", NBD(3)))
	want := []string{
		`disk - subject=the\x20disk\x20x condition=working text=a`,
		`disk - subject=the\x20disk\x20x condition=working text=b`,
		`disk - subject=the\x20disk\x20x condition=working text=a`,
		`disk - subject=the\x20disk\x20x condition=there text=c try=d device=/dev/nbd3`,
	}
	if !slices.Equal(l, want) {
		t.Errorf("%q", []string(l))
	}
}
