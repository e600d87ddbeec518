package trial

import (
	"bytes"
	"fmt"
	"time"

	"firstlight/internal/journal"
)

// attempt is the last attempt to start the real init that a journal tells of.
type attempt struct {
	init   string
	begun  time.Duration // of /init
	at     time.Duration
	failed string // why it failed, "" if nothing says so
}

// lastAttempt looks for it in a journal, which may be cut off anywhere.
func lastAttempt(records []journal.Record) (a attempt, ok bool) {
	var decided uint64
	operations := map[uint64]bool{}
	var begun time.Duration
	for i := range records {
		switch r := &records[i]; {
		case r.Kind == "start":
			begun = r.Time
		case r.Kind == "switch-root":
			a, ok, decided = attempt{init: r.Text, begun: begun, at: r.Time}, true, r.Number
		case r.Kind == "do" && decided != 0 && r.Cause == decided:
			operations[r.Number] = true
		case r.Kind == "result" && operations[r.Cause]:
			a.failed = r.Text
		}
	}
	return a, ok
}

// records reads what there is of a journal.
func records(text []byte) []journal.Record {
	list, _, err := journal.ReadCut(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	return list
}

// handedOver says whether the real init is being started, with nothing known
// against it.
func handedOver(text []byte) bool {
	if !bytes.Contains(text, []byte("\tswitch-root\t")) {
		return false // which is much cheaper to see
	}
	a, ok := lastAttempt(records(text))
	return ok && a.failed == ""
}

// judge says how a boot went, from its journal, from how the machine ended and
// from whether its time ran out.
func judge(text []byte, ended string, late bool, timeout time.Duration) *Result {
	list := records(text)
	res := &Result{Journal: text}
	a, ok := lastAttempt(list)
	switch {
	case ok && a.failed != "":
		res.State, res.Why = Failed, "the real system could not be started: "+a.failed
	case ok && (ended == "guest-reset" || ended == "guest-panic"):
		res.State, res.Why = Failed, a.init+" was started, and the machine ended at once, as when the kernel panics; its last words are on the console"
	case ok:
		res.State, res.Init, res.Took = Started, a.init, a.at-a.begun
	case len(list) == 0 && late:
		res.State, res.Why = Late, fmt.Sprintf("nothing was heard of /init in %v", timeout)
	case len(list) == 0:
		res.State, res.Why = Unknown, "the image has left no journal: it is not Firstlight's, or its /init was not reached; the console says more"
	case late:
		res.State, res.Why = Late, fmt.Sprintf("the real system was not started in %v", timeout)
	default:
		res.State, res.Why = Failed, "the boot was given up"
	}
	return res
}

// Explanation is the last screen that the boot showed on what it needs and
// lacks, nil if it showed none.
func (r *Result) Explanation() []string {
	list := records(r.Journal)
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kind == "explanation" {
			return append([]string{list[i].Text}, list[i].All("line")...)
		}
	}
	return nil
}
