// Package lineedit is a line as a person types it on a terminal: what each key does
// to it and shows for it. It is pure.
package lineedit

import "unicode/utf8"

// MaxLine bounds what can be typed, in bytes; more is ignored.
const MaxLine = 4096

// Keys that the editor gives a meaning.
const (
	keyCtrlC     = 0x03
	keyCtrlD     = 0x04
	keyBackspace = 0x08
	keyTab       = '\t'
	keyNewline   = '\n'
	keyReturn    = '\r'
	keyCtrlU     = 0x15
	keyCtrlW     = 0x17
	keyEscape    = 0x1b
	keyDelete    = 0x7f
)

// Verdict is what a key has led to.
type Verdict uint8

// The verdicts.
const (
	Typing    Verdict = iota // the line goes on
	Entered                  // it is whole
	Cancelled                // the person gives no answer (Ctrl-C, or Ctrl-D on an empty line)
)

// escape is how far into an escape sequence of the terminal the input is.
type escape uint8

const (
	plain     escape = iota
	afterEsc         // ESC was seen
	inControl        // ESC [ …: ends with a byte from @ to ~
	inSingle         // ESC O: one more byte
)

// Editor is one line as it is typed. It shows an asterisk for each character,
// or nothing in a silent prompt, or the characters themselves after Tab, or in
// a prompt with echo.
type Editor struct {
	Line   []byte // as typed so far
	Show   bool   // the characters themselves are shown
	Silent bool   // nothing is, not even how many there are
	esc    escape
}

// New returns an editor with room for the longest line at once: growing would
// leave copies of what was typed behind.
func New(show, silent bool) Editor {
	return Editor{Line: make([]byte, 0, MaxLine), Show: show, Silent: silent}
}

// Key takes a byte and returns what to write to the terminal for it.
func (e *Editor) Key(c byte) (Verdict, string) {
	if e.esc != plain {
		e.sequence(c)
		return Typing, ""
	}
	switch c {
	case keyEscape:
		e.esc = afterEsc
	case keyReturn, keyNewline:
		return Entered, ""
	case keyCtrlC:
		return Cancelled, ""
	case keyCtrlD:
		if len(e.Line) == 0 {
			return Cancelled, ""
		}
	case keyBackspace, keyDelete:
		return Typing, rubOut(e.cut(e.lastRune()))
	case keyCtrlU:
		return Typing, rubOut(e.cut(len(e.Line)))
	case keyCtrlW:
		return Typing, rubOut(e.cut(e.lastWord()))
	case keyTab:
		n := e.columns()
		e.Show = !e.Show
		return Typing, rubOut(n) + e.Shown()
	default:
		if c < ' ' || len(e.Line) >= MaxLine {
			return Typing, ""
		}
		e.Line = append(e.Line, c)
		if e.Show {
			return Typing, string([]byte{c})
		}
		if utf8.RuneStart(c) && !e.Silent {
			return Typing, "*"
		}
	}
	return Typing, ""
}

// sequence passes over what a terminal sends for keys without a character and
// around pasted text.
func (e *Editor) sequence(c byte) {
	switch {
	case e.esc == afterEsc && c == '[':
		e.esc = inControl
	case e.esc == afterEsc && c == 'O':
		e.esc = inSingle
	case e.esc == inControl && (c < '@' || c > '~'):
	default:
		e.esc = plain
	}
}

// columns is how wide the line is on the screen.
func (e *Editor) columns() int { return e.width(e.Line) }

// width is how wide a part of the line is on the screen.
func (e *Editor) width(part []byte) int {
	if e.Silent && !e.Show {
		return 0
	}
	return utf8.RuneCount(part)
}

// cut removes n bytes at the end, wipes them, and returns how many columns
// have to be rubbed out.
func (e *Editor) cut(n int) int {
	tail := e.Line[len(e.Line)-n:]
	cols := e.width(tail)
	clear(tail)
	e.Line = e.Line[:len(e.Line)-n]
	return cols
}

func (e *Editor) lastRune() int {
	_, n := utf8.DecodeLastRune(e.Line)
	return n
}

func (e *Editor) lastWord() int {
	i := len(e.Line)
	for i > 0 && e.Line[i-1] == ' ' {
		i--
	}
	for i > 0 && e.Line[i-1] != ' ' {
		i--
	}
	return len(e.Line) - i
}

// Shown is the line as it stands on the screen.
func (e *Editor) Shown() string {
	if e.Show {
		return string(e.Line)
	}
	stars := make([]byte, e.columns())
	for i := range stars {
		stars[i] = '*'
	}
	return string(stars)
}

// Wipe forgets what was typed.
func (e *Editor) Wipe() {
	clear(e.Line[:cap(e.Line)])
	e.Line = nil
}

func rubOut(columns int) string {
	var b []byte
	for range columns {
		b = append(b, "\b \b"...)
	}
	return string(b)
}
