// Package journal is the record of a boot: every event that entered the
// deciding core, every decision, every action and its result, each with its
// time and the record that caused it.
//
// The format is text, one record a line, fields separated by tabs:
//
//	number  microseconds  cause  kind  subject  text
//
// after the first line "firstlight-journal 1". Numbers count from 1; cause is
// the number of an earlier record or 0; the time is that of the kernel's
// monotonic clock, which starts with the kernel. Tab, newline, carriage
// return and backslash inside a field stand as \t, \n, \r and \\. A last line
// without its newline was cut off by a crash and is not a record.
//
// The package writes nothing itself: the edge takes what has been recorded
// and appends it to the file.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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

// Record adds a record and returns its number.
func (l *Log) Record(cause uint64, kind, subject, text string) uint64 {
	l.number++
	if l.full {
		return l.number
	}
	start := len(l.buf)
	l.buf = appendRecord(l.buf, Record{l.number, l.now(), cause, kind, subject, text})
	l.written += len(l.buf) - start
	if l.written > MaxBytes {
		l.full = true
		l.buf = appendRecord(l.buf, Record{l.number, l.now(), 0, "full", "journal", "no more records are kept"})
	}
	return l.number
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

func appendRecord(b []byte, r Record) []byte {
	b = strconv.AppendUint(b, r.Number, 10)
	b = append(b, '\t')
	b = strconv.AppendInt(b, r.Time.Microseconds(), 10)
	b = append(b, '\t')
	b = strconv.AppendUint(b, r.Cause, 10)
	for _, s := range [...]string{r.Kind, r.Subject, r.Text} {
		b = append(b, '\t')
		b = appendEscaped(b, s)
	}
	return append(b, '\n')
}

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

var unescape = strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\\`, `\`)

// ErrFormat is wrapped by every error that Read returns for bytes that are
// not a journal of a known version.
var ErrFormat = errors.New("not a journal that this version can read")

// maxLine bounds one record, in bytes; a panic's stack is the longest text.
const maxLine = 256 << 10

// Read reads a journal. A last record that was cut off is left out; anything
// else that is not in the format is an error naming the line.
func Read(r io.Reader) ([]Record, error) {
	br := bufio.NewReaderSize(io.LimitReader(r, MaxBytes+2*maxLine), 64<<10)
	var records []Record
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err == io.EOF {
			if n == 1 {
				return nil, fmt.Errorf("journal: line 1: %w", ErrFormat)
			}
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("journal: line %d: %w", n, err)
		}
		if n == 1 {
			if string(line) != Header {
				return nil, fmt.Errorf("journal: line 1 is %.40q: %w", line, ErrFormat)
			}
			continue
		}
		rec, ok := parse(bytes.TrimSuffix(line, []byte("\n")))
		if !ok {
			return nil, fmt.Errorf("journal: line %d: %w", n, ErrFormat)
		}
		records = append(records, rec)
	}
}

func parse(line []byte) (r Record, ok bool) {
	f := strings.Split(string(line), "\t")
	if len(f) != 6 {
		return r, false
	}
	number, err1 := strconv.ParseUint(f[0], 10, 64)
	us, err2 := strconv.ParseInt(f[1], 10, 64)
	cause, err3 := strconv.ParseUint(f[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || us < 0 || us > 1<<53 {
		return r, false
	}
	return Record{number, time.Duration(us) * time.Microsecond, cause,
		unescape.Replace(f[3]), unescape.Replace(f[4]), unescape.Replace(f[5])}, true
}
