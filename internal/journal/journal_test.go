package journal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(records ...Record) []byte {
	var now time.Duration
	l := New(func() time.Duration { return now })
	for _, r := range records {
		now = r.Time
		l.Record(r.Cause, r.Kind, r.Subject, r.Text, r.Fields...)
	}
	return l.Take()
}

func TestWhatIsRecordedIsRead(t *testing.T) {
	want := []Record{
		{1, 1500 * time.Microsecond, 0, "start", "firstlight 1", "6.1", nil},
		{2, 2 * time.Second, 1, "say", "", "two\nlines\twith a tab, a \\n and a \r", nil},
		{3, 2 * time.Second, 2, "wait", "md a", `\\t`, []string{"topic=a b", "topic=c\td", "until=7"}},
		{4, 2 * time.Second, 0, "", "", "", []string{"="}},
	}
	got, cut, err := ReadCut(bytes.NewReader(write(want...)))
	if err != nil || cut {
		t.Fatal(cut, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	r := got[2]
	if r.Field("until") != "7" || r.Field("none") != "" || !cmp.Equal(r.All("topic"), []string{"a b", "c\td"}) {
		t.Error(r.Fields)
	}
}

// A crash may stop the writing anywhere: whatever is left can be read, and
// the reader is told when a record is missing.
func TestJournalCutAnywhere(t *testing.T) {
	whole := write(Record{Kind: "start"}, Record{Cause: 1, Kind: "do", Text: "x"})
	for n := range len(whole) {
		records, cut, err := ReadCut(bytes.NewReader(whole[:n]))
		switch {
		case n < len(Header):
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%d bytes: %v", n, err)
			}
		case err != nil:
			t.Errorf("%d bytes: %v", n, err)
		case cut != (whole[n-1] != '\n'):
			t.Errorf("%d bytes: cut %v, %d records", n, cut, len(records))
		}
	}
}

func TestForeignFilesAreNamed(t *testing.T) {
	for name, text := range map[string]string{
		"empty":          "",
		"other":          "#!/bin/sh\necho\n",
		"later version":  "firstlight-journal 2\n",
		"five columns":   Header + "1\t2\t0\tdo\tx\n",
		"number":         Header + "x\t2\t0\tdo\tx\ty\n",
		"negative time":  Header + "1\t-2\t0\tdo\tx\ty\n",
		"own cause":      Header + "1\t2\t1\tdo\tx\ty\n",
		"number repeats": Header + "1\t2\t0\tdo\tx\ty\n1\t2\t0\tdo\tx\ty\n",
		"long time":      Header + "1\t99999999999999\t0\tdo\tx\ty\n",
	} {
		_, err := Read(strings.NewReader(text))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "journal: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A boot that goes wrong in a loop does not fill the memory.
func TestJournalIsBounded(t *testing.T) {
	l := New(func() time.Duration { return 0 })
	text := strings.Repeat("x", 1000)
	for range 2 * MaxBytes / len(text) {
		l.Record(0, "say", "", text)
	}
	b := l.Take()
	if len(b) > MaxBytes+2*len(text) {
		t.Errorf("%d bytes", len(b))
	}
	records, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if last := records[len(records)-1]; last.Kind != "full" || last.Cause != last.Number-1 {
		t.Errorf("the last record is %v", last)
	}
	if n := l.Record(0, "say", "", ""); n <= uint64(len(records)) {
		t.Errorf("counting stopped at %d", n)
	}
	if l.Take() != nil {
		t.Error("written after the end")
	}
}

// A record without fields costs nothing but its bytes.
func TestRecordDoesNotAllocate(t *testing.T) {
	l := New(func() time.Duration { return time.Hour })
	l.buf = make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(1000, func() { l.Record(7, "queue", "dev /devices/x", "add x") }); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(Record{Kind: "start", Subject: "a", Text: "b\n", Fields: []string{"a=b"}}))
	f.Add([]byte(Header + "1\t2\t0\tdo\tx\ty\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What was read and is written again reads the same.
		var now time.Duration
		l := New(func() time.Duration { return now })
		for _, r := range records {
			now = r.Time
			l.number = r.Number - 1
			l.Record(r.Cause, r.Kind, r.Subject, r.Text, r.Fields...)
		}
		again, err := Read(bytes.NewReader(append([]byte{}, l.Take()...)))
		if err != nil || !cmp.Equal(records, again) {
			t.Errorf("%v\n%s", err, cmp.Diff(records, again))
		}
	})
}
