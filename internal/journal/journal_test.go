package journal

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatIsRecordedIsRead(t *testing.T) {
	at := time.Duration(0)
	l := New(func() time.Duration { return at })
	first := l.Record(0, "uevent", "/devices/x", "add")
	at = 1500 * time.Microsecond
	l.Record(first, "panic", "md \t", "tab\tnewline\nback\\slash \\t \\n and\r")
	got, err := Read(bytes.NewReader(l.Take()))
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{{1, 0, 0, "uevent", "/devices/x", "add"},
		{2, 1500 * time.Microsecond, 1, "panic", "md \t", "tab\tnewline\nback\\slash \\t \\n and\r"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if l.Take() != nil {
		t.Error("taken twice")
	}
}

func TestRecordCutOffByACrashIsLeftOut(t *testing.T) {
	l := New(func() time.Duration { return 0 })
	l.Record(0, "a", "b", "c")
	l.Record(0, "d", "e", "f")
	b := l.Take()
	got, err := Read(bytes.NewReader(b[:len(b)-3]))
	if err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWhatIsNoJournalIsNamedByItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "line 1",
		"firstlight-journal 2\n":          "line 1",
		Header + "x\t0\t0\ta\tb\tc\n":     "line 2",
		Header + "1\t0\t0\ta\tb\n":        "line 2",
		Header + "1\t-5\t0\ta\tb\tc\n":    "line 2",
		Header + "1\t0\t0\ta\tb\tc\nzz\n": "line 3",
	} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestJournalThatIsFullSaysSoAndGoesOnCounting(t *testing.T) {
	l := New(func() time.Duration { return 0 })
	size := 0
	text := strings.Repeat("x", 100<<10)
	for i := range 60 {
		if n := l.Record(0, "k", "s", text); n != uint64(i+1) {
			t.Fatalf("record %d has number %d", i+1, n)
		}
		size += len(l.Take())
	}
	if size > MaxBytes+len(text)+200 {
		t.Errorf("%d bytes", size)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(Header + "1\t0\t0\ta\tb\tc\\n\n"))
	f.Add([]byte(Header))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What was read can be written and read again.
		out := []byte(Header)
		for _, r := range records {
			out = appendRecord(out, r)
		}
		again, err := Read(bytes.NewReader(out))
		if err != nil || !slices.Equal(again, records) {
			t.Errorf("%+v became %+v: %v", records, again, err)
		}
	})
}
