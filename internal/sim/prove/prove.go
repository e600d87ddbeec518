// Package prove boots generated machines and checks what must hold: rules of
// every boot at each of its steps, and at the end that it came to what the
// machine's description says. What fails is cut down to the smallest
// description that still fails.
//
// A description alone decides everything, so that a seed, or the description
// as text, is a whole bug report.
package prove

import (
	"fmt"
	"strings"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/sim/gen"
)

// Violation is a rule that did not hold.
type Violation struct {
	Rule string // a few words, the same for all that breaks it
	At   time.Duration
	Text string
}

// String is the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s, at %.3f s: %s", v.Rule, v.At.Seconds(), v.Text)
}

// Result is what came of a boot.
type Result struct {
	Machine    *gen.Machine
	Truth      gen.Truth
	Sim        *sim.Machine
	Violations []Violation
	// Failed is when the failure screen first stood, -1 for never, and
	// Screen its text.
	Failed time.Duration
	Screen string
	// Asked: at the end a question stood.
	Asked bool
}

// Broke says whether a rule was broken.
func (r *Result) Broke(rule string) bool {
	for _, v := range r.Violations {
		if v.Rule == rule {
			return true
		}
	}
	return false
}

// String says what happened, for a person who looks for the reason.
func (r *Result) String() string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	fmt.Fprintf(&b, "expected: %s", r.Truth.Verdict)
	if len(r.Truth.Names) > 0 {
		fmt.Fprintf(&b, ", naming one of %q", r.Truth.Names)
	}
	fmt.Fprintf(&b, "\ncame to: %s\n", r.end())
	return b.String()
}

func (r *Result) end() string {
	m := r.Sim
	switch {
	case m.Started != nil:
		return fmt.Sprintf("started at %v", m.Now())
	case m.Resumed != "":
		return fmt.Sprintf("resumed from %s at %v", m.Resumed, m.Now())
	case m.Stopped != "":
		return fmt.Sprintf("%s at %v", m.Stopped, m.Now())
	}
	return fmt.Sprintf("nothing until %v", m.Now())
}
