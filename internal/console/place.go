package console

import (
	"slices"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
)

// Place is one more place at which questions are asked, besides the terminals: the
// sessions of an SSH server. Its methods must not block, and must not call the
// Console: they are called while it is locked.
type Place interface {
	// Show shows a question. Only one stands at a time.
	Show(p *machine.Prompt)
	// End says that the question needs no answer any more: it was answered at by,
	// or, where that is "", withdrawn.
	End(id, by string)
	// Tell shows a message.
	Tell(text string)
	// GiveShell gives the person who has answered the last question a shell, and
	// returns when it ends. It alone may block, and is called without the lock.
	GiveShell(program string) error
}

// several are places together. A value of it is not changed.
type several []Place

func (s several) Show(p *machine.Prompt) {
	for _, x := range s {
		x.Show(p)
	}
}

func (s several) End(id, by string) {
	for _, x := range s {
		x.End(id, by)
	}
}

func (s several) Tell(text string) {
	for _, x := range s {
		x.Tell(text)
	}
}

func (several) GiveShell(string) error { return machine.ErrNoConsole } // one has answered, not all

// AddPlace has questions asked at a place too, at once if one stands.
func (c *Console) AddPlace(p Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, _ := c.places.(several)
	c.places = append(slices.Clip(all), p)
	if c.asking != nil {
		p.Show(c.asking)
	}
}

// DropPlace takes a place away: nothing is answered there any more.
func (c *Console) DropPlace(p Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left several
	all, _ := c.places.(several)
	for _, x := range all {
		if x != p {
			left = append(left, x)
		}
	}
	if c.places = left; len(left) == 0 {
		c.places = nil
	}
	unix.Write(c.wake[1], []byte{0})
}

// Answer answers the question id at a place; by is what the place is called. It
// says whether this was the first answer, and keeps answer then; whoever asked
// wipes it.
func (c *Console) Answer(p Place, id, by string, answer []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking == nil || c.asking.ID != id || c.by != "" || !c.waiting[id] {
		return false
	}
	c.answer, c.by, c.From = append(make([]byte, 0, len(answer)+1), answer...), by, p
	unix.Write(c.wake[1], []byte{0})
	return true
}

// Hold calls f while no question is asked.
func (c *Console) Hold(f func() error) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	return f()
}
