// Package replay feeds the recorded inputs of a boot (package inputs) to this
// build's core and compares what the core decides with the boot's journal.
//
// Where both are the same from the first record to the last, this build would
// have done what the recorded one did. Where they are not, the first record
// that differs, and what led to it, say what has changed.
package replay

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/coro"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
	"firstlight/internal/version"
)

// ErrRecord is wrapped by errors about a record that this build's core cannot
// be fed with: of another version with other types or another table of rules.
var ErrRecord = errors.New("this build cannot replay the record")

// Options say what is replayed with.
type Options struct {
	Handlers []boot.Register
	// Rules replace the recorded table of udev rules, if not nil.
	Rules []byte

	record bool
}

// Result is what a replay found.
type Result struct {
	Compared int             // records that are equal
	Inputs   int             // inputs that were fed
	Want     *journal.Record // the first that differs, as recorded; nil: the core decided more
	Got      *journal.Record // the same of this build; nil: the core decided less
	Chain    []journal.Record
	// Notes say why the comparison may end before the boot did, and what else
	// is worth knowing.
	Notes []string
	// Journal is that of the replayed boot, as far as it went.
	Journal []byte
	// Unknown are answers that the core of this build wants and the recorded
	// one did not.
	Unknown []string
}

// Equal says whether every record that could be compared is equal.
func (r *Result) Equal() bool { return r.Want == nil && r.Got == nil }

// replayer is one replay.
type replayer struct {
	rec     *inputs.Record
	want    []journal.Record
	core    *boot.Core
	stock   coro.Stock // on which its tasks run
	sys     *answers
	started []ueventd.Operation // all, in order
	log     *inputs.Log         // of a boot that is done anew
	res     *Result
}

// Run replays a record and compares with the journal of the same boot.
func Run(rec *inputs.Record, want []journal.Record, opt Options) (*Result, error) {
	r := &replayer{rec: rec, want: want, sys: newAnswers(), res: &Result{}}
	if err := r.prepare(opt); err != nil {
		return nil, err
	}
	defer r.stock.Close()
	defer r.core.Close() // what waits still: whoever replays many has a stack of each
	for _, e := range rec.Entries {
		r.sys.begin(e.Answers)
		if err := r.feed(e); err != nil {
			return nil, err
		}
		r.res.Inputs++
		if !r.compare(false) {
			break
		}
	}
	if r.res.Equal() {
		r.compare(true)
	}
	r.res.Unknown = r.sys.unknown
	return r.res, nil
}

func (r *replayer) prepare(opt Options) error {
	rec := r.rec
	var sources []bootcmd.Source
	for _, s := range rec.Sources {
		sources = append(sources, bootcmd.Source{Name: s.Name, Text: s.Text})
	}
	cfg, problems := bootcmd.Parse(sources...)
	var image handler.Image
	if err := assign(reflect.ValueOf(&image).Elem(), rec.Image, map[*inputs.Value]reflect.Value{}); err != nil {
		return fmt.Errorf("replay: the image: %w: %w", err, ErrRecord)
	}
	compiled := rec.Rules
	if opt.Rules != nil {
		compiled = opt.Rules
		r.note("the udev rules are not those of the recorded boot")
	}
	table, err := rules.Open(compiled)
	if err != nil {
		return fmt.Errorf("replay: the table of udev rules: %w: %w", err, ErrRecord)
	}
	if rec.Version != version.Version {
		r.note("it was recorded by Firstlight %s; this is %s", rec.Version, version.Version)
	}
	if rec.Cut {
		r.note("the end of the inputs was cut off")
	}
	if rec.Full {
		r.note("the record of inputs was full before the boot ended")
	}
	if opt.record {
		s := inputs.Setup{Version: version.Version, Sources: rec.Sources, Args: rec.Args, Start: rec.Start, Image: image, Rules: compiled}
		r.log = inputs.New(s)
	}
	missing := func(text string) { r.core.World().AddMissing(text) }
	r.core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: image, Sys: r.sys,
		Coroutines: &r.stock,
		Rules:      udevd.NewTable(table, cfg.Params, r.log.Matches(r.sys.matches), missing),
		Handlers:   opt.Handlers, Args: rec.Args, Start: rec.Start, Inputs: r.log})
	return nil
}

func (r *replayer) note(format string, a ...any) {
	r.res.Notes = append(r.res.Notes, fmt.Sprintf(format, a...))
}

// feed hands one input in. A panic in it is contained, as the loop of PID 1
// does.
func (r *replayer) feed(e inputs.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.note("input %d: the core panicked: %v", r.res.Inputs+1, p)
		}
	}()
	switch e.Kind {
	case inputs.KindStart:
		r.core.Start()
	case inputs.KindTime:
		r.core.Advance(e.Time)
	case inputs.KindUevent:
		m := new(uevent.Message)
		if err := r.into(&m, e.Value, "a message of the kernel"); err != nil {
			return err
		}
		r.core.Uevent(m)
	case inputs.KindOverflow:
		var found []*uevent.Message
		if err := r.into(&found, e.Value, "a walk of sysfs"); err != nil {
			return err
		}
		r.core.Overflow(found)
	case inputs.KindDropped:
		r.core.Dropped(int(e.Number))
	case inputs.KindMounts:
		var points []string
		if err := r.into(&points, e.Value, "the mount table"); err != nil {
			return err
		}
		r.core.Mounts(points)
	case inputs.KindKeys:
		r.core.CtrlAltDel()
	case inputs.KindResult:
		return r.finish(e)
	case inputs.KindRun:
		r.core.Run()
		r.started = append(r.started, r.core.Operations()...)
		r.core.Messages()
	}
	return nil
}

func (r *replayer) into(p any, v *inputs.Value, what string) error {
	if err := assign(reflect.ValueOf(p).Elem(), v, map[*inputs.Value]reflect.Value{}); err != nil {
		return fmt.Errorf("replay: input %d, %s: %w: %w", r.res.Inputs+1, what, err, ErrRecord)
	}
	return nil
}

func (r *replayer) finish(e inputs.Entry) error {
	if e.Number >= uint64(len(r.started)) {
		r.note("input %d is the result of an operation that this core did not begin", r.res.Inputs+1)
		return nil
	}
	op := r.started[e.Number]
	value, err := valueOf(op.Value, e.Value)
	if err != nil {
		return fmt.Errorf("replay: input %d, the result of %q: %w: %w", r.res.Inputs+1, op.What, err, ErrRecord)
	}
	r.core.Finish(op.ID, value, errorOf(e.Err))
	return nil
}

// compare compares what the core has decided since with the journal, and says
// whether to go on. At the end records of the journal that no input led to are
// missing ones, unless the record ended before the boot did.
func (r *replayer) compare(end bool) bool {
	b := r.core.Journal()
	r.res.Journal = append(r.res.Journal, b...)
	if len(r.res.Journal) > 0 && len(b) > 0 {
		if !bytes.HasPrefix(b, []byte(journal.Header)) {
			b = append([]byte(journal.Header), b...)
		}
		got, err := journal.Read(bytes.NewReader(b))
		if err != nil {
			r.note("the journal of the replay cannot be read: %v", err)
			return false
		}
		for i := range got {
			if !r.same(&got[i]) {
				return false
			}
		}
	}
	left := len(r.want) - r.res.Compared
	if !end || left == 0 {
		return true
	}
	if r.rec.Cut || r.rec.Full {
		r.note("%d records at the end have no inputs to compare with", left)
		return true
	}
	r.differ(&r.want[r.res.Compared], nil)
	return false
}

func (r *replayer) same(got *journal.Record) bool {
	if r.res.Compared >= len(r.want) {
		// The journal may have been cut off before the inputs were.
		if len(r.want) == 0 || r.want[len(r.want)-1].Kind == "full" || r.cutJournal() {
			return true
		}
		r.differ(nil, got)
		return false
	}
	want := &r.want[r.res.Compared]
	if !equal(want, got) {
		r.differ(want, got)
		return false
	}
	r.res.Compared++
	return true
}

// cutJournal says whether the journal ended before the inputs: they are
// written first, and a crash may come between.
func (r *replayer) cutJournal() bool {
	return r.res.Inputs > r.rec.Last
}

func (r *replayer) differ(want, got *journal.Record) {
	r.res.Want, r.res.Got = want, got
	cause := uint64(0)
	switch {
	case want != nil:
		cause = want.Cause
	case got != nil:
		cause = got.Cause
	}
	for cause != 0 && len(r.res.Chain) < 1000 {
		i, ok := slices.BinarySearchFunc(r.want, cause, func(x journal.Record, n uint64) int {
			switch {
			case x.Number < n:
				return -1
			case x.Number > n:
				return 1
			}
			return 0
		})
		if !ok {
			break
		}
		r.res.Chain = append(r.res.Chain, r.want[i])
		cause = r.want[i].Cause
	}
	slices.Reverse(r.res.Chain)
}

// equal compares two records. The stack of a panic is that of its program.
func equal(a, b *journal.Record) bool {
	text := a.Text == b.Text
	if a.Kind == "panic" && b.Kind == "panic" {
		x, _, _ := strings.Cut(a.Text, "\n")
		y, _, _ := strings.Cut(b.Text, "\n")
		text = x == y
	}
	return text && a.Number == b.Number && a.Time.Truncate(time.Microsecond) == b.Time.Truncate(time.Microsecond) && a.Cause == b.Cause &&
		a.Kind == b.Kind && a.Subject == b.Subject && slices.Equal(a.Fields, b.Fields)
}
