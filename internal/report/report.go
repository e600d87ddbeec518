// Package report makes the archive that is attached to a report of a fault:
// the records of a boot, what is in the image that was booted, and the machine
// as a boot sees it, without secrets. Case takes such an archive apart again,
// into what a test replays.
//
// The archive is a tar file compressed with gzip. Host only.
package report

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/inputs"
)

// ErrFormat is wrapped by errors about an archive that is no report.
var ErrFormat = errors.New("not a report of firstlight bug-report")

// Prefix is the directory of an archive in which everything is.
const Prefix = "firstlight-report/"

// Bounds of a file in a report and of all, in bytes.
const (
	maxFile   = 64 << 20
	maxReport = 256 << 20
)

// File is a file of a report.
type File struct {
	Name string // below Prefix
	Data []byte
}

// Report collects the files.
type Report struct {
	Files []File
	// Missing says what could not be had, and why.
	Missing []string
}

// Add adds a file.
func (r *Report) Add(name string, data []byte) { r.Files = append(r.Files, File{name, data}) }

// AddText adds text with the values of words that name a password left out.
func (r *Report) AddText(name, text string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(inputs.Scrub(line))
	}
	r.Add(name, []byte(b.String()))
}

// AddCommandLine adds a kernel command line without secrets.
func (r *Report) AddCommandLine(name, text string) { r.AddText(name, redactLine(text)) }

func redactLine(text string) string {
	return bootcmd.RedactText(bootcmd.Source{Name: "/proc/cmdline", Text: text})
}

// AddKernelLog adds the kernel's log. The kernel prints its command line
// there, with all that is in it.
func (r *Report) AddKernelLog(name, text string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, mark := range [...]string{"Command line: ", "Kernel command line: "} {
			if i := strings.Index(line, mark); i >= 0 {
				line = line[:i+len(mark)] + redactLine(line[i+len(mark):])
			}
		}
		b.WriteString(line)
	}
	r.AddText(name, b.String())
}

// AddFrom adds a file of this machine, as text without secrets or as it is.
func (r *Report) AddFrom(name, file string, text bool) {
	b, err := bounded(file)
	switch {
	case err != nil:
		r.Missed(name, err)
	case text:
		r.AddText(name, string(b))
	default:
		r.Add(name, b)
	}
}

// Missed says that something could not be had.
func (r *Report) Missed(what string, err error) {
	r.Missing = append(r.Missing, what+": "+err.Error())
}

func bounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", file, maxFile)
	}
	return b, err
}

// Write writes the archive. The same files give the same bytes.
func (r *Report) Write(w io.Writer) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range r.Files {
		h := &tar.Header{Name: Prefix + f.Name, Mode: 0o600, Size: int64(len(f.Data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("report: %s: %w", f.Name, err)
		}
		if _, err := t.Write(f.Data); err != nil {
			return fmt.Errorf("report: %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Read reads an archive. Only regular files with clean names below Prefix are
// in one.
func Read(r io.Reader) (*Report, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("report: %w: %w", err, ErrFormat)
	}
	defer z.Close()
	out, total := &Report{}, int64(0)
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("report: %w: %w", err, ErrFormat)
		}
		name, ok := strings.CutPrefix(h.Name, Prefix)
		if !ok || h.Typeflag != tar.TypeReg || !fs.ValidPath(name) || path.Clean(name) != name {
			return nil, fmt.Errorf("report: it holds %.60q: %w", h.Name, ErrFormat)
		}
		if total += h.Size; h.Size > maxFile || total > maxReport {
			return nil, fmt.Errorf("report: %s makes it too large: %w", name, ErrFormat)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, io.LimitReader(t, maxFile)); err != nil {
			return nil, fmt.Errorf("report: %s: %w: %w", name, err, ErrFormat)
		}
		out.Files = append(out.Files, File{name, b.Bytes()})
	}
	if out.File("about") == nil {
		return nil, fmt.Errorf("report: it does not say what it is about: %w", ErrFormat)
	}
	return out, nil
}

// File is the content of a file, or nil.
func (r *Report) File(name string) []byte {
	if i := slices.IndexFunc(r.Files, func(f File) bool { return f.Name == name }); i >= 0 {
		return r.Files[i].Data
	}
	return nil
}

// Case writes what a test replays into a directory, which must not be there
// or be empty: the journal, the inputs as pack makes them, and the text about
// the machine.
func (r *Report) Case(dir string, pack func([]byte) ([]byte, error)) error {
	journal, in := r.File("boot/journal"), r.File("boot/inputs")
	if journal == nil || in == nil {
		return fmt.Errorf("report: it holds no record of inputs with its journal, and cannot be replayed: %w", ErrFormat)
	}
	if _, err := inputs.Read(bytes.NewReader(in)); err != nil {
		return fmt.Errorf("report: boot/inputs: %w", err)
	}
	packed, err := pack(in)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if len(list) > 0 {
		return fmt.Errorf("report: %s is not empty", dir)
	}
	for name, b := range map[string][]byte{"journal": journal, "inputs.zst": packed, "about": r.File("about")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}
