package blkid

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

const testPage = 4096

// image is a sparse image in memory: only pages with content are kept.
type image struct {
	size  int64
	pages map[int64][]byte
}

func newImage(size int64) *image { return &image{size, map[int64][]byte{}} }

// ReadAt implements io.ReaderAt.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < m.size {
		in := off % testPage
		c := int(min(testPage-in, int64(len(p)-n), m.size-off))
		if pg, ok := m.pages[off/testPage]; ok {
			copy(p[n:n+c], pg[in:])
		} else {
			clear(p[n : n+c])
		}
		n += c
		off += int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// put writes into the image; what is beyond its end is dropped.
func (m *image) put(off int64, b []byte) {
	b = b[:max(0, min(int64(len(b)), m.size-off))]
	for len(b) > 0 {
		pg := m.pages[off/testPage]
		if pg == nil {
			pg = make([]byte, testPage)
			m.pages[off/testPage] = pg
		}
		n := copy(pg[off%testPage:], b)
		b, off = b[n:], off+int64(n)
	}
}

func (m *image) get(off int64, n int) []byte {
	b := make([]byte, n)
	m.ReadAt(b, off)
	return b
}

// keep drops all content from a place on.
func (m *image) keep(until int64) *image {
	for k := range m.pages {
		if k*testPage >= until {
			delete(m.pages, k)
		}
	}
	return m
}

// change is a copy of the image that shares the pages it does not change.
func (m *image) change() *image {
	c := newImage(m.size)
	for k, v := range m.pages {
		c.pages[k] = v
	}
	return c
}

// own makes the pages under a range the copy's own before they are changed.
func (m *image) own(off int64, n int) {
	for k := off / testPage; k <= (off+int64(n))/testPage; k++ {
		if pg, ok := m.pages[k]; ok {
			m.pages[k] = bytes.Clone(pg)
		}
	}
}

// save writes the image to a sparse file.
func (m *image) save(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(m.size); err != nil {
		t.Fatal(err)
	}
	for k, pg := range m.pages {
		if n := min(testPage, m.size-k*testPage); n > 0 {
			if _, err := f.WriteAt(pg[:n], k*testPage); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// load reads a file that a tool wrote.
func load(t testing.TB, path string) *image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m := newImage(st.Size())
	var blank [testPage]byte
	buf := make([]byte, 64*testPage)
	for off := int64(0); off < m.size; off += int64(len(buf)) {
		n, err := f.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		for i := 0; i < n; i += testPage {
			pg := buf[i:min(i+testPage, n)]
			if !bytes.Equal(pg, blank[:len(pg)]) {
				m.put(off+int64(i), pg)
			}
		}
	}
	return m
}

// made runs a tool on a new file of the given size and returns the result.
// "FILE" in the arguments is the file, "DIR" a directory with one file in it.
func made(t testing.TB, size int64, command ...string) *image {
	t.Helper()
	testtool.Need(t, command[0])
	dir := t.TempDir()
	file, tree := filepath.Join(dir, "image"), filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "a file"), bytes.Repeat([]byte("content\n"), 512), 0o644); err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}
	args := make([]string, 0, len(command))
	for _, a := range command[1:] {
		args = append(args, strings.NewReplacer("FILE", file, "DIR", tree).Replace(a))
	}
	cmd := exec.Command(testtool.Path(command[0]), args...)
	cmd.Stdin = strings.NewReader("passphrase")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return load(t, file)
}

// oracle asks blkid what is in files. An answer is the text of -o export
// without DEVNAME; "ambivalent" stands for its refusal to choose.
func oracle(t testing.TB, files ...string) []string {
	t.Helper()
	testtool.Need(t, "blkid")
	var answers []string
	for len(files) > 0 {
		some := askBlkid(t, files)
		answers = append(answers, some...)
		files = files[len(some):]
	}
	return answers
}

// askBlkid runs blkid once. It stops at the first file on which it finds
// nothing certain, so it may answer for fewer files than asked.
func askBlkid(t testing.TB, files []string) []string {
	t.Helper()
	cmd := exec.Command(testtool.Path("blkid"), append([]string{"-p", "-o", "export"}, files...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	failed := cmd.Run() != nil
	var answers []string
	for line := range strings.Lines(out.String()) {
		if name, ok := strings.CutPrefix(line, "DEVNAME="); ok {
			if want := files[len(answers)]; name != want+"\n" {
				t.Fatalf("blkid speaks of %q, not of %s", name, want)
			}
			answers = append(answers, "")
		} else if line != "\n" {
			answers[len(answers)-1] += line
		}
	}
	if !failed {
		return answers
	}
	switch text := errs.String(); {
	case text == "":
		return append(answers, "")
	case strings.Contains(text, "ambivalent result"):
		return append(answers, "ambivalent")
	default:
		t.Fatalf("blkid says: %s", text)
		return nil
	}
}

// answer is what Probe says, in the form of oracle.
func answer(r *Result) string {
	if r.Ambiguous {
		return "ambivalent"
	}
	return r.Export()
}

func ours(t testing.TB, m *image) string {
	t.Helper()
	r, err := Probe(m, m.size)
	if err != nil {
		t.Fatal(err)
	}
	return answer(r)
}
