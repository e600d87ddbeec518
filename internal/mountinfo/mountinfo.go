// Package mountinfo reads the mount table of /proc/self/mountinfo
// (proc_pid_mountinfo(5)) and waits for it to change.
package mountinfo

import (
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// Mount is one line of the table.
type Mount struct {
	Devnum  string // "8:1"
	Root    string // the part of the filesystem that is mounted
	Target  string
	Options string // of this mount
	FSType  string
	Source  string
	Super   string // options of the filesystem
}

// maxTable bounds what is read, in bytes.
const maxTable = 8 << 20

// Parse reads a table. Lines that are not in the format are left out: the
// kernel does not write any.
func Parse(text string) []Mount {
	var out []Mount
	for line := range strings.SplitSeq(text, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 6 || len(r) < 2 {
			continue
		}
		m := Mount{Devnum: l[2], Root: unescape(l[3]), Target: unescape(l[4]), Options: l[5],
			FSType: unescape(r[0]), Source: unescape(r[1])}
		if len(r) > 2 {
			m.Super = r[2]
		}
		out = append(out, m)
	}
	return out
}

// unescape turns \ooo back into the byte that it stands for.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// Watch is an open mount table. It is opened before it is first read, so that
// no change falls between reading and waiting.
type Watch struct{ fd int }

// Open opens the table at path, "/proc/self/mountinfo".
func Open(path string) (*Watch, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mountinfo: open %s: %w", path, err)
	}
	return &Watch{fd}, nil
}

// FD is the descriptor to poll for POLLPRI: the kernel signals a change of
// the table with POLLERR and POLLPRI.
func (w *Watch) FD() int { return w.fd }

// Close ends the watch.
func (w *Watch) Close() error { return unix.Close(w.fd) }

// Read reads the whole table as it is now.
func (w *Watch) Read() ([]Mount, error) {
	var text []byte
	buf := make([]byte, 16<<10)
	for off := int64(0); len(text) < maxTable; {
		n, err := unix.Pread(w.fd, buf, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mountinfo: read: %w", err)
		}
		if n == 0 {
			break
		}
		text = append(text, buf[:n]...)
		off += int64(n)
	}
	return Parse(string(text)), nil
}
