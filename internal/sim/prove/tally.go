package prove

import (
	"hash/crc32"

	"firstlight/internal/sim/gen"
)

// Outcome is what a boot came to.
type Outcome string

// Outcomes.
const (
	Started Outcome = "started"  // the real system
	Resumed Outcome = "resumed"  // a hibernated system
	GaveUp  Outcome = "gave up"  // with an explanation; it may have started later all the same
	Asking  Outcome = "asking"   // a question stands that nobody answers
	Other   Outcome = "anything" // else: what is not told
)

// Outcome is what the boot came to.
func (r *Result) Outcome() Outcome {
	switch m := r.Sim; {
	case m == nil:
		return Other
	case m.Resumed != "":
		return Resumed
	case r.Failed >= 0:
		return GaveUp
	case m.Started != nil:
		return Started
	case r.Asked:
		return Asking
	}
	return Other
}

// Tally is the sum of many boots.
type Tally struct {
	Boots    uint64                             `json:"boots"`
	Broken   uint64                             `json:"broken"`   // boots that broke a rule
	Outcomes map[gen.Verdict]map[Outcome]uint64 `json:"outcomes"` // by what was expected
	Faults   map[gen.Trouble]uint64             `json:"faults"`   // how often there was each
	// Journals is a checksum of all journals, whatever the order in which they
	// were added: the same seeds give the same, on any machine.
	Journals uint64 `json:"journals"`
}

// add adds the boot of a seed.
func (t *Tally) add(seed uint64, r *Result) {
	one := Tally{Boots: 1, Outcomes: map[gen.Verdict]map[Outcome]uint64{r.Truth.Verdict: {r.Outcome(): 1}}, Faults: map[gen.Trouble]uint64{}}
	if len(r.Violations) > 0 {
		one.Broken = 1
	}
	for _, f := range r.Machine.Faults {
		one.Faults[f.Trouble]++
	}
	if r.Sim != nil {
		castagnoli := crc32.Checksum(r.Sim.Journal, crc32.MakeTable(crc32.Castagnoli))
		sum := uint64(castagnoli)<<32 | uint64(crc32.ChecksumIEEE(r.Sim.Journal))
		one.Journals = (sum ^ seed*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	}
	t.Merge(one)
}

// Merge adds another sum.
func (t *Tally) Merge(o Tally) {
	t.Boots, t.Broken, t.Journals = t.Boots+o.Boots, t.Broken+o.Broken, t.Journals+o.Journals
	if t.Outcomes == nil {
		t.Outcomes, t.Faults = map[gen.Verdict]map[Outcome]uint64{}, map[gen.Trouble]uint64{}
	}
	for v, list := range o.Outcomes {
		if t.Outcomes[v] == nil {
			t.Outcomes[v] = map[Outcome]uint64{}
		}
		for what, n := range list {
			t.Outcomes[v][what] += n
		}
	}
	for f, n := range o.Faults {
		t.Faults[f] += n
	}
}
