// Package report is the language in which programs inside a test guest tell
// the harness what they found: one line of JSON a message, marked FLTEST, on
// the second serial port. The console stays for what a person would see.
package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// mark begins every message line.
const mark = "FLTEST "

// Message is one line. Exactly one field is set.
type Message struct {
	Boot   *Boot   `json:"boot,omitempty"`
	Debian *Debian `json:"debian,omitempty"`
	File   *File   `json:"file,omitempty"`
	Step   *Step   `json:"step,omitempty"`
	Note   string  `json:"note,omitempty"` // a named moment: "hibernating", "resumed", "done"
}

// Boot is what the tiny test init saw when it was started as the real init.
type Boot struct {
	PID       int               `json:"pid"`
	Argv      []string          `json:"argv"`
	Env       []string          `json:"env"`
	Cmdline   string            `json:"cmdline"`
	Release   string            `json:"release"`
	Mounts    []Mount           `json:"mounts"`
	Summary   map[string]string `json:"summary"` // /run/firstlight/summary
	Journal   int64             `json:"journal"` // bytes; -1: there is none
	Processes []string          `json:"processes"`
	Modules   []string          `json:"modules"`
	DM        []string          `json:"dm"`    // "name uuid" of each mapped device
	MD        []string          `json:"md"`    // "md0 level state degraded" of each array
	Links     map[string]string `json:"links"` // below /dev: link -> node it leads to
	// Initramfs lists what is left of the initramfs that can still be seen:
	// mounts that are not the real system's.
	OldRoot []string `json:"oldroot"`
	Swaps   string   `json:"swaps"`
	// Inherited is what the process got from the one before it, by its name
	// in /proc/self/status, and "Files": its open files beyond the first three.
	Inherited map[string]string `json:"inherited"`
	Uptime    string            `json:"uptime"`
}

// Mount is one line of /proc/self/mountinfo.
type Mount struct {
	Dir     string `json:"dir"`
	Source  string `json:"source"`
	Type    string `json:"type"`
	Options string `json:"options"` // the mount's own, then the superblock's
	Root    string `json:"root"`    // the directory of the filesystem that is mounted
}

// Debian is what a real system says of its boot.
type Debian struct {
	State   string `json:"state"` // systemctl is-system-running
	Failed  string `json:"failed"`
	Analyze string `json:"analyze"`
	Target  string `json:"target"`
	Lsblk   string `json:"lsblk"`
	Findmnt string `json:"findmnt"`
	Units   string `json:"units"` // device units of block devices
	Udev    string `json:"udev"`  // udevadm info --export-db
	Jobs    string `json:"jobs"`
	Release string `json:"release"`
	Log     string `json:"log"` // warnings and worse of this boot
	Summary string `json:"summary"`
}

// File is a part of a file of the guest.
type File struct {
	Name string `json:"name"`
	Last bool   `json:"last"`
	Data []byte `json:"data"`
}

// Step is how one command of a plan for disks ended.
type Step struct {
	Layout string `json:"layout"`
	Argv   string `json:"argv"`
	Output string `json:"output"`
	Error  string `json:"error"` // "" if it went well
}

// Writer sends messages.
type Writer struct{ w io.Writer }

// NewWriter returns a Writer on any stream.
func NewWriter(w io.Writer) *Writer { return &Writer{w} }

// Open returns a Writer on a serial port, which it makes transparent: no
// echo, no translation of line ends.
func Open(port string) (*Writer, error) {
	f, err := os.OpenFile(port, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("report: %s: %w", port, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("report: %s: %w", port, err)
	}
	return &Writer{f}, nil
}

// Send sends one message.
func (w *Writer) Send(m Message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.w.Write(append(append([]byte(mark), b...), '\n')); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// SendFile sends a file in parts under a name. A file that cannot be read is
// an error; nothing is sent then.
func (w *Writer) SendFile(name, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return w.SendBytes(name, data)
}

// SendRecords sends those of the named files of /run/firstlight that are there.
// That of the inputs is large, and sent as "inputs.gz".
func (w *Writer) SendRecords(names ...string) error {
	for _, name := range names {
		data, err := os.ReadFile("/run/firstlight/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if name == "inputs" {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(data)
			z.Close()
			name, data = "inputs.gz", b.Bytes()
		}
		if err := w.SendBytes(name, data); err != nil {
			return err
		}
	}
	return nil
}

// SendBytes sends data as if it were a file.
func (w *Writer) SendBytes(name string, data []byte) error {
	const part = 32 << 10
	for {
		n := min(part, len(data))
		if err := w.Send(Message{File: &File{Name: name, Last: n == len(data), Data: data[:n]}}); err != nil {
			return err
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// Drain waits until everything sent has left the serial port.
func (w *Writer) Drain() {
	if f, ok := w.w.(*os.File); ok {
		unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // tcdrain(3)
	}
}

// Parse reads every message in what came from the port. Lines without the
// mark are passed over, and so is what a firmware wrote in front of it; a
// marked line that does not parse is an error.
func Parse(text []byte) ([]Message, error) {
	var ms []Message
	for line := range bytes.Lines(text) {
		_, rest, ok := bytes.Cut(line, []byte(mark))
		if !ok || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		var m Message
		if err := json.Unmarshal(rest, &m); err != nil {
			return ms, fmt.Errorf("report: %q: %w", clip(rest), err)
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// Files puts the parts of files together again.
func Files(ms []Message) map[string][]byte {
	files := map[string][]byte{}
	for _, m := range ms {
		if m.File != nil {
			files[m.File.Name] = append(files[m.File.Name], m.File.Data...)
		}
	}
	return files
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }
