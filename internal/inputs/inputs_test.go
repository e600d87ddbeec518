package inputs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"
)

type image struct {
	Name   string
	Parts  []string
	hidden uint32
}

type node struct {
	Name string
	Next *node
	Key  []byte `inputs:"-"`
	Pass Secret
	Err  error
	F    func()
	Of   map[string]string
	Flag bool
	Raw  [2]byte
}

func setup() Setup {
	return Setup{Version: "1.0", Sources: []Source{{"/proc/cmdline", "root=/dev/sda rootflags=password=hunter2,ro"}}, Args: []string{"-b"},
		Start: 2 * time.Second, Image: image{"i", []string{"a", "b"}, 7}, Rules: []byte("table\x00")}
}

func sample() *Log {
	l := New(setup())
	l.Start()
	l.Advance(3 * time.Second)
	l.Mounts([]string{"/", "/proc"})
	l.Started(11)
	l.Started(12)
	a := &node{Name: "a", Key: []byte("volume key"), Pass: Secret("correct horse\n"), Err: fmt.Errorf("x: %w", syscall.ENOENT),
		Of: map[string]string{"b": "2", "a": "1"}, Flag: true, Raw: [2]byte{1, 2}}
	a.Next = &node{Name: "b", Next: a, Pass: Secret("tr0ub4dor")}
	l.Result(12, a, errors.Join(errors.New("one"), fmt.Errorf("two: %w", fs.ErrNotExist)))
	l.Result(11, nil, nil)
	l.Keys()
	l.Dropped(3)
	l.Run()
	return l
}

func read(t *testing.T, b []byte) *Record {
	t.Helper()
	rec, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestWhatIsRecordedIsRead(t *testing.T) {
	rec := read(t, bytes.Clone(sample().Take()))
	if rec.Version != "1.0" || rec.Start != 2*time.Second || string(rec.Rules) != "table\x00" || len(rec.Sources) != 1 ||
		rec.Args[0] != "-b" || rec.Image.Field("Parts").Items[1].Text != "b" || rec.Image.Field("hidden").Number != 7 {
		t.Errorf("%+v", rec)
	}
	kinds := ""
	for _, e := range rec.Entries {
		kinds += string(e.Kind)
	}
	if kinds != "STMFFKDR" {
		t.Fatal(kinds)
	}
	e := rec.Entries
	if e[1].Time != 3*time.Second || e[2].Value.Items[1].Text != "/proc" || e[3].Number != 1 || e[4].Number != 0 || e[6].Number != 3 {
		t.Errorf("%+v", e)
	}
	n := e[3].Value
	v := n.Items[0]
	if v.Field("Name").Text != "a" || v.Field("Of").Keys[0] != "a" || v.Field("Of").Items[1].Text != "2" || v.Field("Flag").Number != 1 ||
		v.Field("Raw").Text != "\x01\x02" || v.Field("Err").Err.Leaves[0].Errno != uint64(syscall.ENOENT) || v.Field("Pass").Number != 3 {
		t.Errorf("%+v", v)
	}
	if b := v.Field("Next").Items[0]; b.Field("Next") != n || b.Field("Pass").Number != 1 || b.Field("Key").Type.Shape != Omitted {
		t.Error("what is shared is not shared any more")
	}
	if err := e[3].Err; len(err.Leaves) != 2 || err.Leaves[1].Text != fs.ErrNotExist.Error() {
		t.Errorf("%+v", err)
	}
}

// What opens something is not in the file, however it came in.
func TestSecretsAreLeftOut(t *testing.T) {
	b := sample().Take()
	for _, secret := range []string{"hunter2", "volume key", "correct", "horse", "tr0ub4dor"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%q is in the record", secret)
		}
	}
	for in, want := range map[string]string{
		"password=a b": "password=… b", "user=x,password='a b',ro": "user=x,password='…',ro", "pass=": "pass=",
		"x.cifs_passwd=1 secretkey=2": "x.cifs_passwd=… secretkey=…", "compass=1": "compass=1", "bypass=2 a=b": "bypass=2 a=b",
		"passphrase=\"q": "passphrase=\"…", "a=password-echo=no b=password=no": "a=password-echo=no b=password=…",
		"luks,password-cache=read-only": "luks,password-cache=read-only",
	} {
		if got := Scrub(in); got != want || Scrub(got) != got {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

type sys struct{ size string }

func (s *sys) Read(p string) (string, error) {
	if p == "/size" {
		return s.size, nil
	}
	return "", fmt.Errorf("sysfs: read %s: %w", p, syscall.ENOENT)
}
func (*sys) Write(string, string) error      { return nil }
func (*sys) Readlink(string) (string, error) { return "../x", nil }
func (*sys) Resolve(string) (string, error)  { return "", errors.New("odd") }
func (*sys) List(string) ([]string, error)   { return []string{"a", "b"}, nil }
func (*sys) Exists(string) bool              { return true }

// An answer that is the same as before leaves nothing; one that changes
// during an input says at which question.
func TestAnswersAreRecordedWhenTheyChange(t *testing.T) {
	s := &sys{size: "1"}
	l := New(setup())
	f := l.FS(s)
	m := l.Matches(func(a string) bool { return a == "pci:1" })
	l.Start()
	f.Read("/size")
	f.Read("/size")
	s.size = "2"
	f.Read("/size")
	l.Run()
	for range 3 {
		f.Read("/size")
		f.Read("/none")
		f.Readlink("/l")
		f.Resolve("/l")
		f.List("/d")
		f.Exists("/d")
		m("pci:1")
		m("pci:2")
	}
	rec := read(t, l.Take())
	start, run := rec.Entries[0].Answers, rec.Entries[1].Answers
	if len(start) != 2 || start[1].Text != "2" || start[1].Before != 2 || len(run) != 7 {
		t.Fatalf("%+v\n%+v", start, run)
	}
	if run[0].Err.Leaves[0].Errno != uint64(syscall.ENOENT) || run[2].Err.Leaves[0].Text != "odd" || run[3].Text != "a\x00b\x00" || run[5].Text != "1" || run[6].Text != "" {
		t.Errorf("%+v", run)
	}
}

// A crash may stop the writing anywhere, and memory may lose bits: what is
// whole in front of that is read, nothing else.
func TestRecordCutAnywhere(t *testing.T) {
	l := New(setup())
	whole := bytes.Clone(l.Take())
	first := len(whole)
	for i := range 5 {
		l.Advance(time.Duration(i) * time.Hour)
		l.Mounts([]string{"/mount/point/number/" + fmt.Sprint(i)})
		whole = append(whole, l.Take()...)
	}
	last := 0
	for n := range whole {
		rec, err := Read(bytes.NewReader(whole[:n]))
		if n < first {
			if err == nil {
				t.Errorf("%d bytes: no error", n)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if len(rec.Entries) < last {
			t.Errorf("%d bytes: %d entries after %d", n, len(rec.Entries), last)
		}
		last = len(rec.Entries)
		if n > first && n < len(whole) && !rec.Cut && len(rec.Entries)%2 != 0 {
			t.Errorf("%d bytes: half a frame", n)
		}
	}
	for i := first; i < len(whole); i++ {
		b := bytes.Clone(whole)
		b[i] ^= 1
		rec, err := Read(bytes.NewReader(b))
		if err == nil && !rec.Cut {
			t.Errorf("byte %d: the lost bit was not seen", i)
		}
	}
}

// A boot that goes wrong in a loop does not fill the memory.
func TestRecordIsBounded(t *testing.T) {
	l := New(setup())
	var b []byte
	for i := range 20000 {
		l.Mounts([]string{strings.Repeat("x", 900) + fmt.Sprint(i)})
		l.Run()
		b = append(b, l.Take()...)
	}
	if len(b) > MaxBytes {
		t.Errorf("%d bytes", len(b))
	}
	rec := read(t, b)
	if !rec.Full || len(rec.Entries) < 1000 {
		t.Errorf("%d entries, full %v", len(rec.Entries), rec.Full)
	}
	f := l.FS(&sys{})
	f.Read("/a")
	if l.Take() != nil {
		t.Error("written after the end")
	}
}

func TestNoLogRecordsNothing(t *testing.T) {
	var l *Log
	s := &sys{}
	if l.FS(s) != s || !l.Matches(func(string) bool { return true })("") {
		t.Error("not what was given")
	}
	l.Start()
	l.Advance(1)
	l.Started(1)
	l.Result(1, 2, nil)
	if l.Take() != nil {
		t.Error("something")
	}
}

func TestForeignFilesAreNamed(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "other": "#!/bin/sh\n", "later version": "firstlight-inputs 2\n", "bare": Header,
		"long frame": Header + "\xff\xff\xff\xff\x0f"} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "inputs: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	body := sample()
	f.Add(body.buf)
	f.Add([]byte("B"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The frame and its checksum are made here: no fuzzer finds a CRC.
		l := &Log{buf: b}
		if len(b) == 0 || len(b) > 1<<16 {
			return
		}
		rec, err := Read(bytes.NewReader(l.Take()))
		if err == nil && len(rec.Entries) > len(b) {
			t.Errorf("%d entries from %d bytes", len(rec.Entries), len(b))
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	})
}
