package postmortem

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// logged is what the kernel makes of the writes: a record a write, a prefix
// before every line of it.
func logged(writes [][]byte) []string {
	var out []string
	for i, w := range writes {
		for line := range strings.SplitSeq(string(w), "\n") {
			out = append(out, fmt.Sprintf("<15>[%12.6f] %s\n", 10+float64(i), line))
		}
	}
	return out
}

// The persistent store gets the end of the kernel's log, in parts of its own
// size and order, with the kernel's own lines between ours.
func TestNoteIsGatheredFromTheKernelsLog(t *testing.T) {
	long := []byte("1\t2\t0\tdo\tx\t" + strings.Repeat("é", 300) + "\n2\t3\t1\tend\tx\ty\n")
	for _, limit := range []int{400, 1000, 4000, 8000} {
		writes := Lines(screen, append(slices.Clone(lines), long...), limit)
		all := logged(writes)
		if n := len(strings.Join(all, "")); n > limit {
			t.Errorf("limit %d: %d bytes of log", limit, n)
		}
		for _, w := range writes {
			if len(w) > maxRecord {
				t.Errorf("limit %d: a write of %d bytes", limit, len(w))
			}
		}
		other := logged(Lines("another boot\n", nil, limit))
		mixed := append(slices.Clone(all), other...)
		mixed = append(mixed, all[0], "<6>[    1.000000] reboot: Restarting system\n", "<15>[ 1.0] "+lineMark+"zz 1/2\n")
		rand.New(rand.NewPCG(1, uint64(limit))).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		half := len(mixed) / 2
		got := Gather([]byte("Shutdown#1 Part1\n"+strings.Join(mixed[:half], "")), []byte(strings.Join(mixed[half:], "")))
		slices.Sort(got)
		if len(got) != 2 || !strings.HasPrefix(got[0], "The system cannot be started.\nWanted") || got[1] != "another boot\n" {
			t.Fatalf("limit %d: %q", limit, got)
		}
		if limit == 8000 && !strings.Contains(got[0], string(long)) {
			t.Errorf("long records are not put together again: %q", got[0])
		}
	}
	if Lines(screen, nil, 60) != nil {
		t.Error("a note where not even a line fits")
	}
}

// A note of which a line is missing, or has lost a bit, is none.
func TestNoteWithALineLostIsNotGathered(t *testing.T) {
	all := logged(Lines(screen, lines, 2000))
	for i := range all {
		rest := append(slices.Clone(all[:i]), all[i+1:]...)
		if got := Gather([]byte(strings.Join(rest, ""))); len(got) != 0 {
			t.Fatalf("without line %d: %q", i, got)
		}
		b := []byte(all[i])
		b[bytes.LastIndexAny(b, ":+")+1] ^= 1
		if got := Gather([]byte(strings.Join(rest, "")), b); len(got) != 0 {
			t.Fatalf("line %d changed: %q", i, got)
		}
	}
}

func FuzzGather(f *testing.F) {
	f.Add([]byte(strings.Join(logged(Lines(screen, lines, 600)), "")))
	f.Add([]byte(lineMark + "00000000 1/1:\n" + lineMark + "00000000 999/999+\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, s := range Gather(b) {
			n += len(s)
		}
		if n > len(b) {
			t.Error("more than there was")
		}
	})
}
