package bootcmd

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/timespan"
)

// VolumesDegraded is what becomes of RAID volumes of LVM that lack a disk and
// can do without.
type VolumesDegraded struct {
	// Set says that Wait was given; otherwise Wait.Degraded counts.
	Set bool
	// Wait is how long a disk is waited for after the last one has come;
	// timespan.Forever stands for never doing without.
	Wait time.Duration
	// ReadOnly says that they are activated read-only then.
	ReadOnly bool
}

// volumesDegraded reads rd.lvm.degraded=.
func (p *parser) volumesDegraded() {
	v, ok := p.value()
	if !ok {
		return
	}
	d := p.c.LVM.Degraded
	for w := range strings.SplitSeq(v, ",") {
		switch w {
		case "never":
			d.Set, d.Wait = true, timespan.Forever
		case "rw":
			d.ReadOnly = false
		case "ro":
			d.ReadOnly = true
		default:
			span, err := timespan.Parse(w)
			if err != nil {
				p.malformed(strconv.Quote(w) + " is none of never, rw, ro and not a number of seconds")
				return
			}
			d.Set, d.Wait = true, span
		}
	}
	p.c.LVM.Degraded = d
}
