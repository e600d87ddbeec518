package cpio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// sample writes one entry of every kind.
func sample(t *testing.T, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		w.Dir("dev", 0o755),
		w.Node("dev/console", TypeChar|0o600, 5, 1),
		w.Node("dev/loop0", TypeBlock|0o660, 7, 0),
		w.Node("dev/pipe", TypeFIFO|0o600, 9, 9),
		w.Dir("etc", 0o755),
		w.File("etc/empty", 0o644, nil),
		w.Links([]string{"etc/one", "etc/two"}, 0o640, []byte("twice")),
		w.File("init", 0o755, bytes.Repeat([]byte("x"), 3001)),
		w.Dir("sbin", 0o755),
		w.Symlink("sbin/modprobe", "../init"),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

type got struct {
	Header
	body string
}

func readAll(t *testing.T, b []byte) []got {
	t.Helper()
	r := NewReader(bytes.NewReader(b))
	var all []got
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got{*h, string(body)})
	}
}

func TestRoundTrip(t *testing.T) {
	for _, align := range []int{0, 512, 2048} {
		all := readAll(t, sample(t, Options{Align: align}))
		if len(all) != 11 {
			t.Fatalf("align %d: %d entries", align, len(all))
		}
		for _, e := range all {
			if e.Mtime != 0 || e.UID != 0 || e.GID != 0 || e.DevMajor != 0 || e.DevMinor != 0 {
				t.Errorf("%s carries something of the machine that built it: %+v", e.Name, e.Header)
			}
		}
		one, two := all[6], all[7]
		if one.Ino != two.Ino || one.Nlink != 2 || one.body != "" || two.body != "twice" {
			t.Errorf("hard links: %+v %+v", one, two)
		}
		if c := all[1]; c.Type() != TypeChar || c.Perm() != 0o600 || c.RdevMajor != 5 || c.RdevMinor != 1 {
			t.Errorf("console: %+v", c)
		}
		if f := all[3]; f.RdevMajor != 0 {
			t.Errorf("a FIFO with a device number: %+v", f)
		}
		if l := all[10]; l.body != "../init" || l.Type() != TypeSymlink {
			t.Errorf("symlink: %+v", l)
		}
	}
}

func TestContentIsAligned(t *testing.T) {
	b := sample(t, Options{Align: 1024})
	if i := bytes.Index(b, []byte("xxxx")); i%1024 != 0 {
		t.Errorf("content at %d", i)
	}
	if i := bytes.Index(sample(t, Options{}), []byte("xxxx")); i%1024 == 0 {
		t.Errorf("content at %d without asking", i)
	}
}

// What cpio(1) and bsdtar make of an archive is what it holds.
func TestAgainstCpio(t *testing.T) {
	testtool.Need(t, "cpio")
	testtool.Root(t)
	for _, align := range []int{0, 512} {
		b := sample(t, Options{Align: align})
		cmd := exec.Command("cpio", "-t", "--quiet")
		cmd.Stdin = bytes.NewReader(b)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := "dev dev/console dev/loop0 dev/pipe etc etc/empty etc/one etc/two init sbin sbin/modprobe"
		if got := strings.Join(strings.Fields(string(out)), " "); got != want {
			t.Errorf("cpio -t: %s", got)
		}
		dir := t.TempDir()
		cmd = exec.Command("cpio", "-i", "--quiet", "--no-preserve-owner")
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(b)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, name := range []string{"etc/one", "etc/two"} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "twice" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		a, _ := os.Stat(filepath.Join(dir, "etc/one"))
		c, _ := os.Stat(filepath.Join(dir, "etc/two"))
		if !os.SameFile(a, c) {
			t.Error("cpio did not see the link")
		}
		if st, err := os.Lstat(filepath.Join(dir, "dev/console")); err != nil || st.Mode()&os.ModeCharDevice == 0 {
			t.Errorf("console: %v %v", st, err)
		}
	}
}

// Archives of cpio(1), with and without sums, are read.
func TestReadsCpio(t *testing.T) {
	testtool.Need(t, "cpio")
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "alpha", "b": "", "c": "gamma!"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"newc", "crc"} {
		cmd := exec.Command("cpio", "-o", "--quiet", "-H", format)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(".\n./a\n./b\n./c\n./d\n")
		b, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		bodies := map[string]string{}
		for _, e := range readAll(t, b) {
			bodies[e.Name] = e.body
		}
		// The content of "a" comes with its last link.
		if bodies["d"] != "alpha" || bodies["c"] != "gamma!" || len(bodies) != 5 {
			t.Errorf("%s: %q", format, bodies)
		}
		if format == "crc" {
			b[bytes.Index(b, []byte("gamma!"))] ^= 1
			if err := drain(b); !errors.Is(err, ErrFormat) {
				t.Errorf("a changed byte under a sum: %v", err)
			}
		}
	}
}

func drain(b []byte) error {
	r := NewReader(bytes.NewReader(b))
	for {
		_, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
}

func TestTruncated(t *testing.T) {
	b := sample(t, Options{})
	for n := range len(b) - 4 {
		if err := drain(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes read as a whole archive", n, len(b))
		}
	}
}

func TestMalformed(t *testing.T) {
	good := sample(t, Options{})
	for name, change := range map[string]func([]byte){
		"magic":         func(b []byte) { b[5] = '7' },
		"hex":           func(b []byte) { b[20] = 'g' },
		"no name":       func(b []byte) { copy(b[94:], "00000000") },
		"name too long": func(b []byte) { copy(b[94:], "00001001") },
		"endless name":  func(b []byte) { copy(b[94:], "00000003") },
	} {
		b := bytes.Clone(good)
		change(b)
		if err := drain(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, do := range map[string]func(w *Writer) error{
		"absolute name": func(w *Writer) error { return w.Dir("/etc", 0o755) },
		"parent":        func(w *Writer) error { return w.File("../etc/passwd", 0o644, nil) },
		"unclean":       func(w *Writer) error { return w.File("a//b", 0o644, nil) },
		"end mark":      func(w *Writer) error { return w.File(trailer, 0o644, nil) },
		"empty target":  func(w *Writer) error { return w.Symlink("a", "") },
		"NUL":           func(w *Writer) error { return w.Symlink("a", "b\x00") },
		"long name":     func(w *Writer) error { return w.Dir(strings.Repeat("d", MaxName), 0o755) },
		"node type":     func(w *Writer) error { return w.Node("a", TypeDir, 1, 1) },
		"no names":      func(w *Writer) error { return w.Links(nil, 0o644, nil) },
	} {
		w, err := NewWriter(io.Discard, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := do(w); err == nil {
			t.Errorf("%s: accepted", name)
		} else if again := w.Close(); again != err {
			t.Errorf("%s: the error does not stick: %v", name, again)
		}
	}
	for _, align := range []int{-4, 2, 3, 96, 4096} {
		if _, err := NewWriter(io.Discard, Options{Align: align}); err == nil {
			t.Errorf("alignment %d accepted", align)
		}
	}
}

func FuzzReader(f *testing.F) {
	var out bytes.Buffer
	w, _ := NewWriter(&out, Options{})
	_ = w.Dir("a", 0o755)
	_ = w.File("a/b", 0o644, []byte("text"))
	_ = w.Close()
	f.Add(out.Bytes())
	f.Add(bytes.Replace(out.Bytes(), []byte(magicNewc), []byte(magicCRC), -1))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for {
			h, err := r.Next()
			if err != nil {
				break
			}
			if strings.HasPrefix(h.Name, "/") || strings.IndexByte(h.Name, 0) >= 0 {
				t.Fatalf("name %q", h.Name)
			}
		}
		if r.Offset() > int64(len(b)) {
			t.Fatalf("read %d of %d bytes", r.Offset(), len(b))
		}
	})
}
