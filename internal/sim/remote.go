package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/netreport"
)

// The helpers that people and servers are reached by.
const (
	sshProgram  = "/usr/lib/firstlight/ssh"
	tangProgram = "/usr/lib/firstlight/tang"
)

// Visitor is a person at a session of the SSH server, who is asked what the person
// at the console is asked.
type Visitor struct {
	Person
	Name     string
	From, To time.Duration // when the session is there; To 0 is for ever

	answer func(machine.Prompt) (string, time.Duration, error)
}

// Tang is a server, as the helper that asks it sees it.
type Tang struct {
	// Answers is how long after the helper's start it does; below 0 never.
	Answers time.Duration
	// Secret is what it gives, by the helper's name; "" is for all.
	Secret map[string]string
	// Ends says that the helper ends in its stead, with this as the reason.
	Ends string
}

// stay is a helper that stays, other than the one for the network.
type stay struct {
	said   machine.Said
	waiter *operation
	ended  bool // it was asked to end, and has
}

// wake lets whoever listens to it hear what it has said.
func (h *stay) wake() {
	if o := h.waiter; o != nil && !o.woken {
		o.woken = true
		o.step()
	}
}

// Start implements machine.Programs.
func (m *Machine) Start(name string, p machine.Program) error {
	switch {
	case (p.Path == fetchProgram || p.Path == ociProgram) && m.Web != nil:
		return m.startFetch(p)
	case p.Path == cacheProgram && m.Web != nil:
		return m.startCache(p)
	case m.startRemote(name, p):
		return nil
	case p.Path == networkProgram:
		return m.startNetwork(p)
	}
	crashes := m.fault(HelperCrashes, p.Path) != nil
	switch {
	case p.Path == sshProgram && m.Visitors != nil:
		h := m.stay(name)
		if crashes {
			h.said.Ended, h.said.Code = true, 128+11
			break
		}
		m.sshRuns = true
		h.said.Lines = []string{netreport.Report{State: netreport.StateReady}.With("port", "22").String()}
	case (p.Path == tangProgram || p.Path == tangProgram+"-tls") && m.Tang != nil:
		h := m.stay(name)
		h.said.Lines = []string{netreport.Report{State: "asking"}.With("url", "http://tang").String()}
		if crashes {
			h.said.Ended, h.said.Code = true, 128+11
			break
		}
		if m.Tang.Answers < 0 {
			break
		}
		m.At(m.now+m.Tang.Answers, func() {
			if h.ended {
				return
			}
			if m.Tang.Ends != "" {
				h.said.Lines = append(h.said.Lines, netreport.Report{State: netreport.StateProblem}.With("text", m.Tang.Ends).String())
				h.said.Ended, h.said.Code = true, 1
			} else {
				secret, ok := m.Tang.Secret[name]
				if !ok {
					secret = m.Tang.Secret[""]
				}
				h.said.Opens, h.said.Secret = true, []byte(secret)
			}
			h.wake()
		})
	default:
		return fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	return nil
}

func (m *Machine) stay(name string) *stay {
	if m.stays == nil {
		m.stays = map[string]*stay{}
	}
	h := &stay{}
	m.stays[name] = h
	return h
}

// Listen implements machine.Programs.
func (m *Machine) Listen(name string) (machine.Said, error) {
	if h := m.stays[name]; h != nil {
		if len(h.said.Lines) == 0 && !h.said.Ended && !h.said.Opens {
			h.waiter = m.current
			m.sleep(-1)
			h.waiter = nil
		}
		said := h.said
		h.said = machine.Said{Ended: said.Ended, Code: said.Code}
		return said, nil
	}
	switch {
	case name == "fetch":
		return m.listenFetch()
	case m.Network == nil || name != "network":
		return m.listenTo(name)
	}
	return m.listenNetwork()
}

// End implements machine.Programs. Only helpers for what waits are ever ended.
func (m *Machine) End(name string) error {
	h := m.stays[name]
	if h == nil {
		return fmt.Errorf("%s was not started", name)
	}
	m.Ended = append(m.Ended, name)
	m.At(m.now, func() {
		if !h.said.Ended {
			h.ended, h.said.Ended, h.said.Code = true, true, 128+15
		}
		h.wake()
	})
	return nil
}

// visiting are the people who may be at sessions.
func (m *Machine) visiting() []*Visitor {
	if !m.sshRuns {
		return nil
	}
	return m.Visitors
}

// askAll asks the person at the console and everybody who has logged in or will
// while the question stands. The first answer counts; who goes, or refuses, has not
// given one, unless it is at the console.
func (m *Machine) askAll(o *operation, p machine.Prompt) ([]byte, error) {
	var got []byte
	var failed error
	by := ""
	o.woken = false
	answer := func(name string, at time.Duration, text string, err error, there func() bool) {
		m.At(at, func() {
			if o.woken || !there() {
				return
			}
			o.woken = true
			got, failed, by = []byte(text), err, name
			o.step()
		})
	}
	if m.answer != nil {
		if text, after, err := m.answer(p); after >= 0 {
			answer("console", m.now+after, text, err, func() bool { return true })
		}
	}
	for _, v := range m.visiting() {
		if v.answer == nil {
			v.answer = v.Person.answers()
		}
		text, after, err := v.answer(p)
		if after < 0 || errors.Is(err, machine.ErrCancelled) {
			continue
		}
		answer(v.Name, max(m.now, v.From)+after, text, err, func() bool { return v.To == 0 || m.now < v.To })
	}
	m.sleep(-1)
	if o.err != nil {
		return nil, o.err
	}
	m.AnsweredBy = append(m.AnsweredBy, by)
	return got, failed
}
