package replay

import (
	"fmt"
	"strings"
	"syscall"

	"firstlight/internal/inputs"
)

// answers gives the core the answers that it got before. It implements
// sysfs.FS.
type answers struct {
	last    map[inputs.Question]inputs.Answer
	pending map[inputs.Question][]inputs.Answer // during this input
	asked   map[inputs.Question]uint64          // during this input
	unknown []string                            // what was never asked in the recorded boot
}

func newAnswers() *answers {
	return &answers{last: map[inputs.Question]inputs.Answer{}}
}

// begin hands in the answers of an input; those of the one before that were
// not asked for count from now on.
func (a *answers) begin(list []inputs.Answer) {
	for q, left := range a.pending {
		a.last[q] = left[len(left)-1]
	}
	a.pending, a.asked = map[inputs.Question][]inputs.Answer{}, map[inputs.Question]uint64{}
	for _, x := range list {
		a.pending[x.Question] = append(a.pending[x.Question], x)
	}
}

func (a *answers) ask(op inputs.Op, path string) inputs.Answer {
	q := inputs.Question{Op: op, Path: path}
	if p := a.pending[q]; len(p) > 0 && p[0].Before <= a.asked[q] {
		a.last[q] = p[0]
		if a.pending[q] = p[1:]; len(p) == 1 {
			delete(a.pending, q)
		}
	}
	if a.asked != nil {
		a.asked[q]++
	}
	x, ok := a.last[q]
	if !ok {
		if len(a.unknown) < 100 {
			a.unknown = append(a.unknown, string(op)+" "+path)
		}
		return inputs.Answer{Question: q, Err: &inputs.Error{Leaves: []inputs.Leaf{{Errno: uint64(syscall.ENOENT)}}}}
	}
	return x
}

var words = map[inputs.Op]string{inputs.OpRead: "read", inputs.OpReadlink: "readlink", inputs.OpResolve: "resolve", inputs.OpList: "list"}

func (a *answers) text(op inputs.Op, path string) (string, error) {
	x := a.ask(op, path)
	if x.Err == nil {
		return x.Text, nil
	}
	e := *x.Err
	if e.Text == "" && len(e.Leaves) == 1 {
		end := e.Leaves[0].Text
		if n := e.Leaves[0].Errno; n != 0 {
			end = syscall.Errno(n).Error()
		}
		e.Text = "sysfs: " + words[op] + " " + path + ": " + end
	}
	return "", errorOf(&e)
}

func (a *answers) Read(p string) (string, error)     { return a.text(inputs.OpRead, p) }
func (a *answers) Readlink(p string) (string, error) { return a.text(inputs.OpReadlink, p) }
func (a *answers) Resolve(p string) (string, error)  { return a.text(inputs.OpResolve, p) }

// Write implements sysfs.FS; the core never calls it.
func (a *answers) Write(p, _ string) error { return fmt.Errorf("replay: write %s: not recorded", p) }

func (a *answers) List(p string) ([]string, error) {
	text, err := a.text(inputs.OpList, p)
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00"), nil
}

func (a *answers) Exists(p string) bool      { return a.ask(inputs.OpExists, p).Text != "" }
func (a *answers) matches(alias string) bool { return a.ask(inputs.OpMatch, alias).Text != "" }
