package bench

import (
	"strings"
	"testing"
)

func TestPromises(t *testing.T) {
	got := promised([]Figure{
		{Peer: "firstlight", Row: "a", Bytes: 2_040_000, Built: []float64{0.14, 0.2, 0.15}, BuiltCPU: []float64{0.2}, Again: []float64{0.06}},
		{Peer: "fl-generic", Row: "a", Bytes: 12_000_001, Built: []float64{1.5}, BuiltPeak: 100_000},
		{Peer: "irt-dep", Row: "a", Built: []float64{1.63}},
		{Peer: "dracut", Row: "a", Built: []float64{1.4}},
		{Peer: "dracut", Row: "b", Problem: "no disk"},
	})
	for _, want := range []string{
		"image for one machine, ext4                   2.04 MB     at most 2.5 MB  holds\n",
		"generic image                                12.00 MB      at most 12 MB  DOES NOT HOLD\n",
		"its build, nothing cached                      0.15 s     at most 0.25 s  holds\n",
		"build again                                    0.06 s     at most 0.05 s  DOES NOT HOLD\n",
		"build of the generic image                     1.50 s      at most 1.5 s  holds\n",
		"memory for it                               102.40 MB     at most 150 MB  holds\n",
		"built quicker than by irt-dep, a           10.9 times  at least 10 times  holds\n",
		"built quicker than by dracut, a             9.3 times  at least 10 times  DOES NOT HOLD\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 8 {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

// Each stack is compared with the best of the others, whoever that is.
func TestEachStackIsFarAhead(t *testing.T) {
	got := promised([]Figure{
		{Peer: "firstlight", Row: "k", Bytes: 3_000_000, Icount: []float64{1.8}},
		{Peer: "irt-dep", Row: "k", Bytes: 9_000_000, Icount: []float64{3.5}},
		{Peer: "dracut", Row: "k", Bytes: 7_500_000, Icount: []float64{3.9}},
		{Peer: "firstlight", Row: "n", Bytes: 2_000_000, Icount: []float64{0.5}},
	})
	want := "image smaller than the next, k             2.50 times at least 2 (dracut)  holds\n" +
		"boot quicker than the next, k              1.94 times at least 2 (irt-dep)  DOES NOT HOLD\n"
	if got != want {
		t.Errorf("got\n%s, not\n%s", got, want)
	}
}
