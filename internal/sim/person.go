package sim

import (
	"errors"
	"strings"
	"time"

	"firstlight/internal/machine"
)

// Person answers questions at the console.
type Person struct {
	// Knows are the passphrases by what the question is about: a part of its
	// ID or its text; "" is for any.
	Knows map[string]string
	// Wrong is how often something else is typed first, at each question's
	// subject.
	Wrong int
	// After is how long an answer takes; below 0 there is never one.
	After time.Duration
	// Refuses says that the person presses Ctrl-D instead.
	Refuses bool
}

// answers makes the function that a Machine asks.
func (p Person) answers() func(machine.Prompt) (string, time.Duration, error) {
	asked := map[string]int{}
	return func(q machine.Prompt) (string, time.Duration, error) {
		asked[q.ID]++
		if p.Refuses {
			return "", p.After, machine.ErrCancelled
		}
		if asked[q.ID] <= p.Wrong {
			return "not the passphrase", p.After, nil
		}
		best, text := -1, ""
		for _, about := range sortedKeys(p.Knows) {
			if len(about) > best && (strings.Contains(q.ID, about) || strings.Contains(q.Text, about)) {
				best, text = len(about), p.Knows[about]
			}
		}
		if best < 0 {
			return "", p.After, machine.ErrCancelled
		}
		return text, p.After, nil
	}
}

// Ask implements machine.Console.
func (m *Machine) Ask(p machine.Prompt) ([]byte, error) {
	o := m.current
	o.err = nil
	m.asked[p.ID] = o
	defer delete(m.asked, p.ID)
	m.Prompts = append(m.Prompts, p)
	if m.answer == nil {
		if m.Answer != nil {
			m.answer = m.Answer
		} else if m.Person != nil {
			m.answer = m.person().answers()
		}
	}
	if m.answer != nil && len(m.visiting()) == 0 {
		text, after, err := m.answer(p)
		m.sleep(after)
		if o.err != nil {
			return nil, o.err
		}
		return []byte(text), err
	}
	return m.askAll(o, p)
}

// person is the person with the faults that concern one.
func (m *Machine) person() Person {
	p := *m.Person
	if f := m.fault(PersonWrong, ""); f != nil {
		p.Wrong += max(f.Times, 1)
	}
	if f := m.fault(PersonSlow, ""); f != nil {
		p.After += f.For
	}
	if m.fault(PersonGone, "") != nil {
		p.After = -1
	}
	return p
}

// Dismiss implements machine.Console.
func (m *Machine) Dismiss(id string) {
	if o := m.asked[id]; o != nil && !o.woken {
		o.woken, o.err = true, machine.ErrDismissed
		m.At(m.now, o.step)
	}
}

// Shell implements machine.Console.
func (m *Machine) Shell() error {
	if m.ShellFor == 0 {
		return errors.New("this image has no shell")
	}
	m.Shells++
	m.sleep(m.ShellFor)
	return nil
}

// Helper is a program of the image that does nothing but end.
type Helper struct {
	Exit  machine.Exit
	Takes time.Duration // below 0 it never ends
	// Writes is why the device that its last argument names is written to;
	// "" for a helper that only looks.
	Writes string
}

// Run is the helper as one of Machine.Programs.
func (h Helper) Run(m *Machine, args []string) machine.Exit {
	if h.Takes != 0 {
		m.sleep(h.Takes)
	}
	if h.Writes != "" && len(args) > 0 {
		m.Wrote(args[len(args)-1], h.Writes)
	}
	return h.Exit
}
