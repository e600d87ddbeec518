// Package journal is the record of a boot: every event that entered the
// deciding core, every decision, every action and its result, each with its
// time and the record that caused it.
//
// The format is text, one record a line, fields separated by tabs:
//
//	number  microseconds  cause  kind  subject  text  [name=value]…
//
// after the first line "firstlight-journal 1". Numbers count from 1; cause is
// the number of an earlier record or 0; the time is that of the kernel's
// monotonic clock, which starts with the kernel. Tab, newline, carriage
// return and backslash inside a field stand as \t, \n, \r and \\. A last line
// without its newline was cut off by a crash and is not a record.
// docs/journal.md says what each kind means.
//
// The package writes nothing itself: the edge takes what has been recorded
// and appends it to the file.
package journal

import (
	"strconv"
	"strings"
	"time"
)

// Header is the first line of a journal, with its newline.
const Header = "firstlight-journal 1\n"

// MaxBytes bounds a journal. When it is reached one last record says so and
// counting goes on without writing.
const MaxBytes = 4 << 20

// Record is one entry.
type Record struct {
	Number  uint64        `json:"number"`
	Time    time.Duration `json:"time_ns"`
	Cause   uint64        `json:"cause"`
	Kind    string        `json:"kind"`
	Subject string        `json:"subject"`
	Text    string        `json:"text"`
	Fields  []string      `json:"fields,omitempty"` // "name=value"; a name may come more than once
}

// Field returns the first value of that name, "" if there is none.
func (r *Record) Field(name string) string {
	for _, f := range r.Fields {
		if k, v, ok := strings.Cut(f, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// All returns every value of that name.
func (r *Record) All(name string) []string {
	var out []string
	for _, f := range r.Fields {
		if k, v, ok := strings.Cut(f, "="); ok && k == name {
			out = append(out, v)
		}
	}
	return out
}

// Log collects records in memory until they are taken. It implements
// ueventd.Recorder. It is not safe for concurrent use.
type Log struct {
	now     func() time.Duration
	buf     []byte
	number  uint64
	written int
	full    bool
}

// New returns an empty log; now gives the time of the input that is being
// handled.
func New(now func() time.Duration) *Log {
	return &Log{now: now, buf: []byte(Header)}
}

// Record adds a record and returns its number. Each of fields is
// "name=value".
func (l *Log) Record(cause uint64, kind, subject, text string, fields ...string) uint64 {
	l.number++
	if l.full {
		return l.number
	}
	n := l.number
	l.add(cause, kind, subject, text, fields)
	if l.written > MaxBytes {
		l.number++
		l.add(n, "full", "journal", "no more records are kept", nil)
		l.full = true
	}
	return n
}

func (l *Log) add(cause uint64, kind, subject, text string, fields []string) {
	start := len(l.buf)
	b := strconv.AppendUint(l.buf, l.number, 10)
	b = append(b, '\t')
	b = strconv.AppendInt(b, l.now().Microseconds(), 10)
	b = append(b, '\t')
	b = strconv.AppendUint(b, cause, 10)
	for _, s := range [...]string{kind, subject, text} {
		b = append(b, '\t')
		b = appendEscaped(b, s)
	}
	for _, s := range fields {
		b = append(b, '\t')
		b = appendEscaped(b, s)
	}
	l.buf = append(b, '\n')
	l.written += len(l.buf) - start
}

// Take returns what has been recorded since the last call, ready to be
// appended to the file, or nil. The slice is valid until the next Record.
func (l *Log) Take() []byte {
	if len(l.buf) == 0 {
		return nil
	}
	b := l.buf
	l.buf = l.buf[:0]
	return b
}

// Pending says whether Take would return anything.
func (l *Log) Pending() int { return len(l.buf) }

func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\\':
			b = append(b, `\\`...)
		default:
			b = append(b, c)
		}
	}
	return b
}
