package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// MaxProblems bounds how many problems Salvage lists.
const MaxProblems = 100

// Problem is a line that Salvage could not take as a record.
type Problem struct {
	Line int    // counted from 1
	Why  string // for a person
	Cut  bool   // the last line has no end: a crash cut it off, and nothing is wrong with the rest
}

// Salvage reads what can be read of a journal: lines that are no records are
// left out and listed, MaxProblems of them at most, then one that counts the
// rest. Only where the first line is not that of a journal, or where r fails
// before the first record, is there an error, which wraps ErrFormat in the
// first case. Not more than MaxBytes and a record are read.
func Salvage(r io.Reader) ([]Record, []Problem, error) {
	limited := &io.LimitedReader{R: r, N: MaxBytes + 2*maxLine}
	br := bufio.NewReaderSize(limited, 64<<10)
	var (
		records  []Record
		problems []Problem
		more     int
		last     uint64
	)
	problem := func(p Problem) {
		if len(problems) < MaxProblems {
			problems = append(problems, p)
		} else {
			more++
		}
	}
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		ended := err != nil
		switch {
		case n == 1 && string(line) != Header && (err == nil || errors.Is(err, io.EOF)):
			if len(line) == 0 {
				return nil, nil, fmt.Errorf("journal: it is empty: %w", ErrFormat)
			}
			return nil, nil, fmt.Errorf("journal: line 1 is %.40q: %w", line, ErrFormat)
		case n == 1 && err != nil:
			return nil, nil, fmt.Errorf("journal: line 1: %w", err)
		case n == 1:
			continue
		case err != nil && !errors.Is(err, io.EOF):
			if len(records) == 0 {
				return nil, nil, fmt.Errorf("journal: line %d: %w", n, err)
			}
			problem(Problem{Line: n, Why: "it cannot be read: " + err.Error()})
		case ended && limited.N <= 0:
			problem(Problem{Line: n, Why: fmt.Sprintf("the file is longer than a journal can be, %d bytes; what follows is not read", MaxBytes)})
		case ended && len(line) > 0:
			problem(Problem{Line: n, Why: "it was cut off", Cut: true})
		}
		if ended {
			if more > 0 {
				problems = append(problems, Problem{Line: n, Why: fmt.Sprintf("%d more lines before it are no records", more)})
			}
			return records, problems, nil
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		rec, ok := parse(line)
		switch {
		case !ok:
			problem(Problem{Line: n, Why: flaw(line)})
		case rec.Number <= last:
			problem(Problem{Line: n, Why: fmt.Sprintf("its number %d does not follow %d", rec.Number, last)})
		case rec.Cause >= rec.Number:
			problem(Problem{Line: n, Why: fmt.Sprintf("its cause %d is not an earlier record", rec.Cause)})
		default:
			last = rec.Number
			records = append(records, rec)
		}
	}
}

// flaw says what is wrong with a line that parse does not take.
func flaw(line []byte) string {
	f := strings.SplitN(string(line), "\t", maxColumns)
	if len(f) < 6 {
		return fmt.Sprintf("it has %d of at least 6 columns", len(f))
	}
	for i, name := range []string{"number", "time", "cause"} {
		v, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			return fmt.Sprintf("its %s %.20q is no number", name, f[i])
		}
		if i == 1 && v > maxTime {
			return fmt.Sprintf("its time %.20q is longer than any boot takes", f[i])
		}
	}
	return "it is no record"
}
