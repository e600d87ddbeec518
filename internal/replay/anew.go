package replay

import (
	"bytes"
	"fmt"
	"slices"

	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/ueventd"
)

// Renewed is a recorded machine booted anew.
type Renewed struct {
	Journal []byte
	Inputs  []byte // replay with Journal gives all records equal
	// Started is the init that the real system was started with, "" if it was
	// not.
	Started string
	// Made are the operations of this build that the record does not have;
	// they were taken to have succeeded and to have found nothing. Left are
	// those of the record that this build did not begin.
	Made, Left []string
}

// Started returns the init that a boot started the real system with, "" for
// none.
func Started(records []journal.Record) string {
	for _, r := range slices.Backward(records) {
		if r.Kind == "switch-root" {
			return r.Text
		}
	}
	return ""
}

// Anew boots the recorded machine with this build, which may decide otherwise:
// the results of operations go by queue and name instead of by their order,
// and come no earlier than they are asked for. Messages of the kernel come when
// they came. So a record lasts longer than the build that made it: what counts
// is whether the machine still boots.
func Anew(rec *inputs.Record, want []journal.Record, opt Options) (*Renewed, error) {
	opt.record = true
	r := &replayer{rec: rec, want: want, sys: newAnswers(), res: &Result{}}
	if err := r.prepare(opt); err != nil {
		return nil, err
	}
	a := &anew{replayer: r, names: operations(want), open: map[string][]ueventd.Operation{}, held: map[string][]inputs.Entry{}, known: map[string]bool{}}
	for _, n := range a.names {
		a.known[n] = true
	}
	for _, e := range rec.Entries {
		r.sys.begin(e.Answers)
		if err := a.feed(e); err != nil {
			return nil, err
		}
		r.res.Inputs++
	}
	a.out.Journal, a.out.Inputs = r.res.Journal, append(a.out.Inputs, r.log.Take()...)
	got, err := journal.Read(bytes.NewReader(a.out.Journal))
	if err != nil {
		return nil, fmt.Errorf("replay: the new journal: %w", err)
	}
	a.out.Started = Started(got)
	for n := range a.held {
		a.out.Left = append(a.out.Left, n)
	}
	slices.Sort(a.out.Left)
	return &a.out, nil
}

// anew is a boot of a recorded machine.
type anew struct {
	*replayer
	out   Renewed
	names []string                       // queue and name of each operation of the record, in order
	known map[string]bool                // the same
	open  map[string][]ueventd.Operation // begun here, not ended
	held  map[string][]inputs.Entry      // ended there, not begun here
	seen  int                            // operations of this boot so far
}

// operations are queue and name of each operation of a journal, in order.
func operations(records []journal.Record) []string {
	var out []string
	for _, r := range records {
		if r.Kind == "do" || r.Kind == "ask" {
			out = append(out, r.Subject+": "+r.Text)
		}
	}
	return out
}

func (a *anew) feed(e inputs.Entry) error {
	if e.Kind == inputs.KindResult {
		if e.Number >= uint64(len(a.names)) {
			return nil // the journal was cut off
		}
		n := a.names[e.Number]
		if len(a.open[n]) == 0 {
			a.held[n] = append(a.held[n], e)
			return nil
		}
		op := a.open[n][0]
		a.open[n] = a.open[n][1:]
		return a.end(op, e)
	}
	if err := a.replayer.feed(e); err != nil || e.Kind != inputs.KindRun {
		return err
	}
	for {
		ended, err := a.begun()
		if err != nil || !ended {
			return err
		}
		if err := a.replayer.feed(inputs.Entry{Kind: inputs.KindRun}); err != nil {
			return err
		}
	}
}

func (a *anew) end(op ueventd.Operation, e inputs.Entry) error {
	value, err := valueOf(op.Value, e.Value)
	if err != nil {
		return fmt.Errorf("replay: the result of %q: %w: %w", op.What, err, ErrRecord)
	}
	a.core.Finish(op.ID, value, errorOf(e.Err))
	return nil
}

// begun looks at the operations that were begun since, and ends those whose
// results are there already; it says whether there were any.
func (a *anew) begun() (ended bool, err error) {
	a.out.Inputs = append(a.out.Inputs, a.log.Take()...)
	a.res.Journal = append(a.res.Journal, a.core.Journal()...)
	got, err := journal.Read(bytes.NewReader(a.res.Journal))
	if err != nil {
		return false, fmt.Errorf("replay: the new journal: %w", err)
	}
	names := operations(got)
	for ; a.seen < len(a.started) && a.seen < len(names); a.seen++ {
		n, op := names[a.seen], a.started[a.seen]
		switch {
		case len(a.held[n]) > 0:
			e := a.held[n][0]
			if a.held[n] = a.held[n][1:]; len(a.held[n]) == 0 {
				delete(a.held, n)
			}
			ended = true
			if err := a.end(op, e); err != nil {
				return false, err
			}
		case !a.known[n]:
			a.out.Made = append(a.out.Made, n)
			ended = true
			if err := a.end(op, inputs.Entry{Value: &inputs.Value{Type: &inputs.Type{Shape: inputs.Structure}}}); err != nil {
				return false, err
			}
		default:
			a.open[n] = append(a.open[n], op)
		}
	}
	return ended, nil
}
