package console

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"firstlight/internal/machine"
)

// recorder is a place that keeps what it is told.
type recorder struct {
	mu    sync.Mutex
	heard []string
	asked chan string
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, s)
}

func (r *recorder) Show(p *machine.Prompt) { r.note("ask " + p.ID); r.asked <- p.ID }
func (r *recorder) End(id, by string)      { r.note("end " + id + " " + by) }
func (r *recorder) Tell(text string)       { r.note("told " + text) }
func (r *recorder) GiveShell(string) error { return nil }

func place(c *Console) *recorder {
	r := &recorder{asked: make(chan string, 8)}
	c.AddPlace(r)
	return r
}

// The first answer wins: the second is told so, and the place that was slower
// hears where the question was answered.
func TestFirstAnswerWinsAmongPlaces(t *testing.T) {
	c := Open([]string{"/nonexistent"})
	c.ttys = nil // a machine without any console
	one, two := place(c), place(c)
	done := make(chan string)
	go func() {
		b, err := c.Ask(machine.Prompt{ID: "q", Text: "Passphrase"})
		done <- string(b)
		if err != nil {
			t.Error(err)
		}
	}()
	<-one.asked
	<-two.asked
	if c.Answer(one, "other", "ssh 1", []byte("no")) {
		t.Error("an answer to another question was taken")
	}
	if !c.Answer(two, "q", "ssh 2", []byte("hunter2")) {
		t.Error("the first answer was not taken")
	}
	if c.Answer(one, "q", "ssh 1", []byte("late")) {
		t.Error("a second answer was taken")
	}
	if got := <-done; got != "hunter2" {
		t.Errorf("the answer is %q", got)
	}
	if c.From != two {
		t.Error("it was not the second place that answered")
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if want := []string{"ask q", "end q ssh 2"}; !slices.Equal(one.heard, want) {
		t.Errorf("the slower place heard %q, not %q", one.heard, want)
	}
}

// A question that is withdrawn is nobody's answer, and a place that goes while one
// stands on a machine without consoles leaves nobody to ask.
func TestQuestionsEndWithoutAnAnswer(t *testing.T) {
	c := Open([]string{"/nonexistent"})
	c.ttys = nil
	r := place(c)
	done := make(chan error)
	ask := func() { _, err := c.Ask(machine.Prompt{ID: "q"}); done <- err }
	go ask()
	<-r.asked
	c.Dismiss("q")
	if err := <-done; !errors.Is(err, machine.ErrDismissed) {
		t.Errorf("withdrawn: %v", err)
	}
	go ask()
	<-r.asked
	c.DropPlace(r)
	if err := <-done; !errors.Is(err, machine.ErrNoConsole) {
		t.Errorf("nobody left: %v", err)
	}
	if _, err := c.Ask(machine.Prompt{ID: "q"}); !errors.Is(err, machine.ErrNoConsole) {
		t.Errorf("nobody there: %v", err)
	}
}

// Who comes while a question stands sees it.
func TestPlaceThatComesLateIsAsked(t *testing.T) {
	c := Open([]string{"/nonexistent"})
	c.ttys = nil
	first := place(c)
	done := make(chan error)
	go func() { _, err := c.Ask(machine.Prompt{ID: "q"}); done <- err }()
	<-first.asked
	late := place(c)
	if id := <-late.asked; id != "q" {
		t.Errorf("it was asked %q", id)
	}
	c.Answer(late, "q", "ssh", nil) // Enter alone is an answer, too
	if err := <-done; err != nil {
		t.Error(err)
	}
}
