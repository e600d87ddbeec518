package sim

import (
	"errors"

	"firstlight/internal/machine"
)

// OfferShell implements machine.Console: where ShellFor is set somebody takes
// the offer at once, unless NobodyAtShell.
func (m *Machine) OfferShell() error {
	if m.ShellFor == 0 {
		return errors.New("this image has no shell")
	}
	if !m.NobodyAtShell {
		return nil
	}
	o := m.current
	o.err = nil
	m.asked[machine.ShellPrompt] = o
	defer delete(m.asked, machine.ShellPrompt)
	m.sleep(-1)
	return o.err
}

// PressEnter takes the offer of a shell, where one stands.
func (m *Machine) PressEnter() {
	if o := m.asked[machine.ShellPrompt]; o != nil && !o.woken {
		o.woken = true
		m.At(m.now, o.step)
	}
}
