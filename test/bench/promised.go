package bench

import (
	"fmt"
	"strings"
)

// promise is a figure that is to hold: of a peer on a row, at most so much.
type promise struct {
	what, peer, row string
	most            float64
	unit            string
	of              func(f Figure) float64 // 0 is not measured
}

func megabytes(f Figure) float64  { return float64(f.Bytes) / 1e6 }
func built(f Figure) float64      { return median(f.Built) }
func builtCPU(f Figure) float64   { return median(f.BuiltCPU) }
func builtAgain(f Figure) float64 { return median(f.Again) }
func builtPeak(f Figure) float64  { return float64(f.BuiltPeak) * 1024 / 1e6 }

// promises are the limits of the project: of images for one machine, rows a and e,
// and of the generic one.
var promises = []promise{
	{"image for one machine, ext4", "firstlight", "a", 2.5, "MB", megabytes},
	{"image for one machine, nested", "firstlight", "e", 3.5, "MB", megabytes},
	{"generic image", "fl-generic", "a", 12, "MB", megabytes},
	{"its build, nothing cached", "firstlight", "a", 0.25, "s", built},
	{"its build, nested, nothing cached", "firstlight", "e", 0.25, "s", built},
	{"processor time of it", "firstlight", "e", 0.6, "s", builtCPU},
	{"build again", "firstlight", "a", 0.05, "s", builtAgain},
	{"build of the generic image", "fl-generic", "a", 1.5, "s", built},
	{"memory for it", "fl-generic", "a", 150, "MB", builtPeak},
}

// quicker are the peers that a build is to be ten times as quick as, on every row
// that both have.
var quicker = []string{"irt-dep", "irt-most", "dracut"}

const timesQuicker = 10

// ahead is what an image and its boot are to be in, of each row: so many times the
// best of the others, by the clock that counts instructions.
var ahead = []struct {
	what string
	of   func(f Figure) float64
}{
	{"image smaller than the next", megabytes},
	{"boot quicker than the next", func(f Figure) float64 { return median(f.Icount) }},
}

const timesAhead = 2

// promised says of each promise what was measured and whether it holds.
func promised(figures []Figure) string {
	var b strings.Builder
	cells := map[string]Figure{}
	for _, f := range figures {
		if f.Problem == "" {
			cells[f.Peer+" "+f.Row] = f
		}
	}
	line := func(what, got, limit string, holds bool) {
		verdict := "holds"
		if !holds {
			verdict = "DOES NOT HOLD"
		}
		fmt.Fprintf(&b, "%-40s %12s %18s  %s\n", what, got, limit, verdict)
	}
	for _, p := range promises {
		v := p.of(cells[p.peer+" "+p.row])
		if v == 0 {
			continue
		}
		line(p.what, fmt.Sprintf("%.2f %s", v, p.unit), fmt.Sprintf("at most %g %s", p.most, p.unit), v <= p.most)
	}
	for _, peer := range quicker {
		for _, r := range rows {
			ours, theirs := median(cells["firstlight "+r.name].Built), median(cells[peer+" "+r.name].Built)
			if ours == 0 || theirs == 0 {
				continue
			}
			line(fmt.Sprintf("built quicker than by %s, %s", peer, r.name), fmt.Sprintf("%.1f times", theirs/ours), fmt.Sprintf("at least %d times", timesQuicker), theirs/ours >= timesQuicker)
		}
	}
	for _, a := range ahead {
		for _, r := range rows {
			ours, next, who := a.of(cells["firstlight "+r.name]), 0.0, ""
			for _, peer := range quicker {
				if v := a.of(cells[peer+" "+r.name]); v > 0 && (next == 0 || v < next) {
					next, who = v, peer
				}
			}
			if ours == 0 || next == 0 {
				continue
			}
			line(a.what+", "+r.name, fmt.Sprintf("%.2f times", next/ours), fmt.Sprintf("at least %d (%s)", timesAhead, who), next/ours >= timesAhead)
		}
	}
	return b.String()
}
