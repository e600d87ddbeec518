package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/fmt"
)

// ErrFormat is wrapped by every error that Read returns for bytes that are
// not a journal of a known version.
var ErrFormat = errors.New("not a journal that this version can read")

// Bounds of one record. A panic's stack is the longest text, in bytes.
const (
	maxLine    = 256 << 10
	maxColumns = 64
	// maxTime is a year or so, in microseconds: no boot takes longer, and
	// sums of times cannot overflow.
	maxTime = 1 << 45
)

// Read reads a journal. A last record that was cut off is left out; anything
// else that is not in the format is an error naming the line.
func Read(r io.Reader) ([]Record, error) {
	records, _, err := ReadCut(r)
	return records, err
}

// ReadCut is Read, and says also whether a last record was cut off.
func ReadCut(r io.Reader) (records []Record, cut bool, err error) {
	br := bufio.NewReaderSize(io.LimitReader(r, MaxBytes+2*maxLine), 64<<10)
	var last uint64
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		switch {
		case err == io.EOF && n == 1 && len(line) == 0:
			return nil, false, fmt.Errorf("journal: it is empty: %w", ErrFormat)
		case err == io.EOF && n == 1:
			return nil, false, fmt.Errorf("journal: line 1 is %.40q: %w", line, ErrFormat)
		case err == io.EOF:
			return records, len(line) > 0, nil
		case err != nil:
			return nil, false, fmt.Errorf("journal: line %d: %w", n, err)
		case n == 1 && string(line) != Header:
			return nil, false, fmt.Errorf("journal: line 1 is %.40q: %w", line, ErrFormat)
		case n == 1:
			continue
		}
		rec, ok := parse(bytes.TrimSuffix(line, []byte("\n")))
		if !ok || rec.Number <= last || rec.Cause >= rec.Number {
			return nil, false, fmt.Errorf("journal: line %d: %w", n, ErrFormat)
		}
		last = rec.Number
		records = append(records, rec)
	}
}

func parse(line []byte) (r Record, ok bool) {
	f := strings.SplitN(string(line), "\t", maxColumns)
	if len(f) < 6 {
		return r, false
	}
	number, err1 := strconv.ParseUint(f[0], 10, 64)
	us, err2 := strconv.ParseInt(f[1], 10, 64)
	cause, err3 := strconv.ParseUint(f[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || us < 0 || us > maxTime {
		return r, false
	}
	r = Record{Number: number, Time: time.Duration(us) * time.Microsecond, Cause: cause,
		Kind: unescape(f[3]), Subject: unescape(f[4]), Text: unescape(f[5])}
	for _, s := range f[6:] {
		r.Fields = append(r.Fields, unescape(s))
	}
	return r, true
}

// unescape undoes appendEscaped. A backslash before anything else stands for
// itself.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if j := strings.IndexByte(`tnr\`, s[i+1]); j >= 0 {
				b = append(b, "\t\n\r\\"[j])
				i++
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
