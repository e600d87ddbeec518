// Package sshdesk is what the sessions of the SSH server see and do: the question
// that stands is shown at each, the first answer goes to /init, and the others are
// told. It is pure: what is heard and typed goes in, effects come out.
package sshdesk

import (
	"bytes"
	"strings"

	"firstlight/internal/askwire"
	"firstlight/internal/lineedit"
	"firstlight/internal/sshconf"
)

// Session is one person, or script, that has logged in. Name, Mode and PTY are set
// before Open.
type Session struct {
	Name string // "ssh 10.0.0.2": who the others are told of
	Mode sshconf.Mode
	PTY  bool // what is typed comes key by key, and is shown

	edit  lineedit.Editor
	shows bool   // the question stands on its terminal
	lines []byte // without a terminal: what has come and was not used yet
	eof   bool
	shell bool // its terminal belongs to the emergency shell
	gone  bool
}

// Shell says whether the session's terminal belongs to the emergency shell.
func (s *Session) Shell() bool { return s.shell }

// Effect is something that is to be done.
type Effect struct {
	Session *Session
	Show    string           // text for its terminal, with \n at the ends of lines
	Send    *askwire.Message // to /init; its secret is to be wiped
	Shell   string           // the program that its terminal gets
	Close   bool             // the session ends, with the status Exit
	Exit    uint32
}

// Desk is where all sessions are. The zero value has none.
type Desk struct {
	sessions []*Session
	question *askwire.Message
	done     bool     // the question that stands was answered here
	answered *Session // by whom, nil if that one has gone
	last     *Session // has given the last answer
	said     []string
	effects  []Effect
}

// remembered is how many messages a new session is shown.
const remembered = 24

func (d *Desk) take() []Effect {
	out := d.effects
	d.effects = nil
	return out
}

func (d *Desk) show(s *Session, text string) {
	if !s.gone && !s.shell && text != "" {
		d.effects = append(d.effects, Effect{Session: s, Show: text})
	}
}

func (d *Desk) end(s *Session, exit uint32) {
	if !s.gone {
		d.effects = append(d.effects, Effect{Session: s, Close: true, Exit: exit})
		d.drop(s)
	}
}

func (d *Desk) drop(s *Session) {
	s.gone = true
	s.edit.Wipe()
	clear(s.lines[:cap(s.lines)])
	s.lines = nil
	for i, x := range d.sessions {
		if x == s {
			d.sessions = append(d.sessions[:i:i], d.sessions[i+1:]...)
			break
		}
	}
	if d.answered == s {
		d.answered = nil
	}
}

// Open takes a session in.
func (d *Desk) Open(s *Session) []Effect {
	d.sessions = append(d.sessions, s)
	if s.PTY {
		for _, text := range d.said {
			d.show(s, text+"\n")
		}
		if d.question == nil || !s.asked(d.question) {
			d.show(s, "Nothing is asked now; what is asked will stand here. Ctrl-D leaves.\n")
		}
	}
	d.ask(s)
	return d.take()
}

// asked says whether a session is asked a question: whether somebody wants the
// emergency shell only those are that can have it.
func (s *Session) asked(q *askwire.Message) bool {
	return q.ID != askwire.ShellPrompt || s.Mode == sshconf.ModeConsole && s.PTY
}

// ask shows the question at a session, or answers it with what has come already.
func (d *Desk) ask(s *Session) {
	q := d.question
	if q == nil || s.shell || s.shows || !s.asked(q) || s.gone {
		return
	}
	s.shows = true
	d.show(s, q.Text+": ")
	if s.PTY && s.eof {
		d.show(s, "\nNo answer was given.\n")
		d.end(s, 1)
		return
	}
	if s.PTY {
		s.edit = lineedit.New(q.Echo, q.Silent)
		return
	}
	d.script(s)
}

// script takes the next line of a session without a terminal for the answer.
func (d *Desk) script(s *Session) {
	if !s.shows || d.done {
		return
	}
	i := bytes.IndexByte(s.lines, '\n')
	if i < 0 && !s.eof {
		return
	}
	if i < 0 && len(s.lines) == 0 {
		d.show(s, "\nNo answer was given.\n")
		d.end(s, 1)
		return
	}
	line := s.lines
	if i >= 0 {
		line = s.lines[:i]
	}
	d.answer(s, line)
	rest := 0
	if i >= 0 {
		rest = copy(s.lines, s.lines[i+1:])
	}
	clear(s.lines[rest:])
	s.lines = s.lines[:rest]
	d.show(s, "\n")
}

func (d *Desk) answer(s *Session, line []byte) {
	d.done, d.answered, d.last = true, s, s
	d.effects = append(d.effects, Effect{Session: s, Send: &askwire.Message{Kind: askwire.Answer, ID: d.question.ID, By: s.Name, Secret: bytes.Clone(line)}})
}

// Typed takes in what was typed. With the question that it answers it is kept
// only until that; b is the caller's to wipe.
func (d *Desk) Typed(s *Session, b []byte) []Effect {
	if s.gone || s.shell {
		return nil
	}
	if !s.PTY {
		if len(s.lines)+len(b) > lineedit.MaxLine {
			d.show(s, "\nThat is too much for an answer.\n")
			d.end(s, 1)
			return d.take()
		}
		if s.lines == nil { // growing would leave copies behind
			s.lines = make([]byte, 0, lineedit.MaxLine)
		}
		s.lines = append(s.lines, b...)
		d.script(s)
		return d.take()
	}
	for _, c := range b {
		if !s.shows || d.done {
			if c == 3 || c == 4 { // Ctrl-C, Ctrl-D
				d.end(s, 1)
				break
			}
			continue // keys for no question are nobody's
		}
		verdict, echo := s.edit.Key(c)
		d.show(s, echo)
		switch verdict {
		case lineedit.Entered:
			d.answer(s, s.edit.Line)
			s.edit.Wipe()
			d.show(s, "\n")
		case lineedit.Cancelled: // who leaves has not answered
			d.show(s, "\n")
			d.end(s, 1)
		}
		if s.gone {
			break
		}
	}
	return d.take()
}

// EOF says that nothing more is typed. A script waits for what comes of its
// answers.
func (d *Desk) EOF(s *Session) []Effect {
	if s.gone || s.shell {
		return nil
	}
	if s.eof = true; s.PTY {
		if d.last != s || s.shows && d.answered != s {
			d.end(s, 1)
		}
	} else if d.script(s); !s.gone && d.question == nil && len(s.lines) == 0 && d.last != s {
		d.show(s, "Nothing is asked now, and no answer was given.\n")
		d.end(s, 1)
	}
	return d.take()
}

// Closed says that a session has gone: that is no answer.
func (d *Desk) Closed(s *Session) []Effect {
	if s.shell {
		s.shell = false
		d.effects = append(d.effects, Effect{Session: s, Send: &askwire.Message{Kind: askwire.ShellEnded}})
	}
	d.drop(s)
	return d.take()
}

// ShellEnded says that the emergency shell at a session has ended, or why there was
// none.
func (d *Desk) ShellEnded(s *Session, why string) []Effect {
	if !s.shell {
		return nil
	}
	s.shell = false
	d.effects = append(d.effects, Effect{Session: s, Send: &askwire.Message{Kind: askwire.ShellEnded, Text: why}})
	d.show(s, "\nThe shell has ended, and the boot goes on.\n")
	d.ask(s)
	return d.take()
}

// Heard takes in a message of /init.
func (d *Desk) Heard(m askwire.Message) []Effect {
	switch m.Kind {
	case askwire.Ask:
		q := m
		d.question, d.done, d.answered = &q, false, nil
		for _, s := range append([]*Session(nil), d.sessions...) {
			s.shows = false
			if d.ask(s); !s.PTY && s.eof && !s.asked(d.question) { // the boot has failed
				d.end(s, 1)
			}
		}
	case askwire.End:
		d.ended(m)
	case askwire.Told:
		d.said = append(d.said, m.Text)
		if len(d.said) > remembered {
			d.said = append([]string(nil), d.said[len(d.said)-remembered:]...)
		}
		for _, s := range d.sessions {
			switch {
			case !s.PTY:
				d.show(s, m.Text+"\n")
			case s.shows && !d.done:
				d.show(s, "\r\x1b[K"+m.Text+"\n"+d.question.Text+": "+s.edit.Shown())
			default:
				d.show(s, m.Text+"\n")
			}
		}
	case askwire.Shell:
		s := d.last
		if s == nil || s.gone || !s.PTY || s.Mode != sshconf.ModeConsole {
			d.effects = append(d.effects, Effect{Send: &askwire.Message{Kind: askwire.ShellEnded, Text: "the session that wanted the shell has gone"}})
			break
		}
		s.shell, s.shows = true, false
		d.effects = append(d.effects, Effect{Session: s, Shell: m.Text})
	}
	return d.take()
}

// ended takes the question away where it stands.
func (d *Desk) ended(m askwire.Message) {
	if d.question == nil || d.question.ID != m.ID {
		return
	}
	by := d.answered
	d.question, d.done, d.answered = nil, false, nil
	for _, s := range d.sessions {
		if !s.shows {
			continue
		}
		s.shows = false
		s.edit.Wipe()
		switch {
		case s == by && m.By == s.Name:
		case m.By == "":
			d.show(s, " [no longer asked]\n")
		default:
			d.show(s, " [answered at "+strings.TrimPrefix(m.By, "/dev/")+"]\n")
		}
	}
}

// Leave says that the real system is about to start, or the machine to stop: every
// session ends, and as one that has done its work.
func (d *Desk) Leave() []Effect {
	for _, s := range append([]*Session(nil), d.sessions...) {
		d.show(s, "\nThe initramfs is left; this session ends.\n")
		d.end(s, 0)
	}
	return d.take()
}
