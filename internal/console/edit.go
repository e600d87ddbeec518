package console

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

// verdict is what a key has led to.
type verdict uint8

const (
	typing verdict = iota
	entered
	cancelled
)

// escape is how far into an escape sequence of the terminal the input is.
type escape uint8

const (
	plain     escape = iota
	afterEsc         // ESC was seen
	inControl        // ESC [ …: ends with a byte from @ to ~
	inSingle         // ESC O: one more byte
)

// editor is one line as it is typed. It shows an asterisk for each character,
// or nothing in a silent prompt, or the characters themselves after Tab, or in
// a prompt with echo.
type editor struct {
	line   []byte
	show   bool
	silent bool
	esc    escape
}

// key takes a byte and returns what to write to the terminal for it.
func (e *editor) key(c byte) (verdict, string) {
	if e.esc != plain {
		e.sequence(c)
		return typing, ""
	}
	switch c {
	case keyEscape:
		e.esc = afterEsc
	case keyReturn, keyNewline:
		return entered, ""
	case keyCtrlC:
		return cancelled, ""
	case keyCtrlD:
		if len(e.line) == 0 {
			return cancelled, ""
		}
	case keyBackspace, keyDelete:
		return typing, rubOut(e.cut(e.lastRune()))
	case keyCtrlU:
		return typing, rubOut(e.cut(len(e.line)))
	case keyCtrlW:
		return typing, rubOut(e.cut(e.lastWord()))
	case keyTab:
		n := e.columns()
		e.show = !e.show
		return typing, rubOut(n) + e.shown()
	default:
		if c < ' ' || len(e.line) >= MaxLine {
			return typing, ""
		}
		e.line = append(e.line, c)
		if e.show {
			return typing, string([]byte{c})
		}
		if utf8.RuneStart(c) && !e.silent {
			return typing, "*"
		}
	}
	return typing, ""
}

// sequence passes over what a terminal sends for keys without a character and
// around pasted text.
func (e *editor) sequence(c byte) {
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
func (e *editor) columns() int { return e.width(e.line) }

// width is how wide a part of the line is on the screen.
func (e *editor) width(part []byte) int {
	if e.silent && !e.show {
		return 0
	}
	return utf8.RuneCount(part)
}

// cut removes n bytes at the end, wipes them, and returns how many columns
// have to be rubbed out.
func (e *editor) cut(n int) int {
	tail := e.line[len(e.line)-n:]
	cols := e.width(tail)
	clear(tail)
	e.line = e.line[:len(e.line)-n]
	return cols
}

func (e *editor) lastRune() int {
	_, n := utf8.DecodeLastRune(e.line)
	return n
}

func (e *editor) lastWord() int {
	i := len(e.line)
	for i > 0 && e.line[i-1] == ' ' {
		i--
	}
	for i > 0 && e.line[i-1] != ' ' {
		i--
	}
	return len(e.line) - i
}

// shown is the line as it stands on the screen.
func (e *editor) shown() string {
	if e.show {
		return string(e.line)
	}
	stars := make([]byte, e.columns())
	for i := range stars {
		stars[i] = '*'
	}
	return string(stars)
}

// wipe forgets what was typed.
func (e *editor) wipe() {
	clear(e.line[:cap(e.line)])
	e.line = nil
}

func rubOut(columns int) string {
	var b []byte
	for range columns {
		b = append(b, "\b \b"...)
	}
	return string(b)
}
