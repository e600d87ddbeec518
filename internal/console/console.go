// Package console speaks to the person in front of the machine: messages and
// questions on every console that the kernel command line names.
//
// Questions are asked one at a time, in the order in which they came; the
// first console on which Enter is pressed answers. Messages that come while a
// question stands are shown above it.
package console

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/lineedit"
	"firstlight/internal/machine"
)

// Console is all terminals together. It is safe for concurrent use.
type Console struct {
	turn sync.Mutex // held by the question that stands

	mu      sync.Mutex
	ttys    []*tty
	asking  *machine.Prompt
	waiting map[string]bool // questions that have not been dismissed
	wake    [2]int          // a pipe that ends the wait for keys

	// Prepare, where it is set, is called before each question and before a
	// terminal is lent: somebody is about to type.
	Prepare func()

	places Place  // nil for none
	answer []byte // what was answered at a place; nil: nothing
	by     string // where the question that stands was answered, "" for nowhere
	// From is the place at which the last question was answered, nil for a terminal:
	// for who has asked it.
	From Place
}

// tty is one terminal.
type tty struct {
	name string
	fd   int
	old  *unix.Termios // what it was before the question; nil: not asked there
	edit lineedit.Editor
	// stuck: it took nothing for writePatience the last time. Until it takes
	// something again what it does not take at once is lost.
	stuck bool
}

// Open opens the terminals; those that do not answer are left out. With none
// of them /dev/console is used.
func Open(names []string) *Console {
	c := &Console{waiting: map[string]bool{}, wake: [2]int{-1, -1}}
	for i, name := range names {
		if !slices.Contains(names[:i], name) {
			c.add(name)
		}
	}
	if len(c.ttys) == 0 {
		c.add("/dev/console")
	}
	unix.Pipe2(c.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
	return c
}

func (c *Console) add(name string) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	// A port without hardware opens, and fails at the first question.
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		unix.Close(fd)
		return
	}
	c.ttys = append(c.ttys, &tty{name: name, fd: fd})
}

// Restore sets the terminals as they were before a question that stands, for
// whoever uses them next.
func (c *Console) Restore() {
	c.mu.Lock()
	for _, t := range c.ttys {
		t.edit.Wipe()
		t.cooked()
	}
	c.mu.Unlock()
}

// Close gives the terminals back as they were.
func (c *Console) Close() {
	c.mu.Lock()
	for _, t := range c.ttys {
		t.cooked()
		unix.Close(t.fd)
	}
	c.ttys = nil
	c.mu.Unlock()
}

// Print shows a message on every terminal.
func (c *Console) Print(text string) {
	c.mu.Lock()
	out := strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\r\n") + "\r\n"
	if c.places != nil {
		c.places.Tell(text)
	}
	for _, t := range c.ttys {
		if c.asking == nil || t.old == nil {
			t.write(out)
			continue
		}
		t.write("\r\x1b[K" + out + t.line(c.asking))
	}
	c.mu.Unlock()
}

// line is a question as it stands on a terminal.
func (t *tty) line(p *machine.Prompt) string { return p.Text + ": " + t.edit.Shown() }

// writePatience bounds how long a terminal that takes nothing (a serial line
// with flow control and nobody at its end) holds up the rest.
const writePatience = 500 * time.Millisecond

// reopen opens a terminal anew that was hung up, as it is for everybody when a
// shell ends that it was the controlling terminal of. The descriptor stays.
func (t *tty) reopen() bool {
	fd, err := unix.Open(t.name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Dup3(fd, t.fd, unix.O_CLOEXEC) == nil
}

func (t *tty) write(s string) {
	b := []byte(s)
	reopened := false
	for len(b) > 0 {
		n, err := unix.Write(t.fd, b)
		if n > 0 {
			b = b[n:]
			t.stuck = false
			continue
		}
		if err == unix.EINTR {
			continue
		}
		if err == unix.EIO && !reopened && t.reopen() {
			reopened = true
			continue
		}
		if err != unix.EAGAIN {
			return
		}
		if t.stuck {
			return
		}
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLOUT}}, int(writePatience.Milliseconds())); n == 0 {
			t.stuck = true
			return
		}
	}
}

// raw turns off the terminal's own editing and echo.
func (t *tty) raw() error {
	old, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil && t.reopen() {
		old, err = unix.IoctlGetTermios(t.fd, unix.TCGETS)
	}
	if err != nil {
		return fmt.Errorf("console %s: %w", t.name, err)
	}
	mode := *old
	mode.Lflag &^= unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL | unix.ISIG | unix.IEXTEN
	mode.Iflag &^= unix.IXON | unix.ICRNL | unix.INLCR
	mode.Oflag |= unix.OPOST
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	// Keys that were typed before the question are kept: some people type
	// their passphrase while the machine is still looking for the disk.
	if err := unix.IoctlSetTermios(t.fd, unix.TCSETS, &mode); err != nil {
		return fmt.Errorf("console %s: %w", t.name, err)
	}
	t.old = old
	return nil
}

func (t *tty) cooked() {
	if t.old != nil {
		unix.IoctlSetTermios(t.fd, unix.TCSETS, t.old)
		t.old = nil
	}
}

// Ask implements machine.Console.
func (c *Console) Ask(p machine.Prompt) ([]byte, error) {
	c.mu.Lock()
	c.waiting[p.ID] = true
	c.mu.Unlock()
	c.turn.Lock()
	defer c.turn.Unlock()
	defer c.end(p.ID)
	if err := c.begin(&p); err != nil {
		return nil, err
	}
	return c.read(&p)
}

func (c *Console) prepare() {
	if c.Prepare != nil {
		c.Prepare()
	}
}

// begin shows the question.
func (c *Console) begin(p *machine.Prompt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting[p.ID] {
		return machine.ErrDismissed
	}
	c.prepare()
	usable := 0
	var last error
	for _, t := range c.ttys {
		if err := t.raw(); err != nil {
			last = err
			continue
		}
		// As lineedit.New, which /init is not to have for one call.
		t.edit = lineedit.Editor{Line: make([]byte, 0, lineedit.MaxLine), Show: p.Echo, Silent: p.Silent}
		usable++
		t.write(t.line(p))
	}
	if usable == 0 && c.places == nil {
		return errors.Join(machine.ErrNoConsole, last)
	}
	c.asking, c.answer, c.by, c.From = p, nil, "", nil
	if c.places != nil {
		c.places.Show(p)
	}
	return nil
}

// end takes the question away.
func (c *Console) end(id string) {
	c.mu.Lock()
	delete(c.waiting, id)
	for _, t := range c.ttys {
		t.edit.Wipe()
		if c.asking != nil && t.old != nil {
			if c.by != "" && c.by != t.name {
				t.write(" [answered at " + c.by + "]")
			}
			t.write("\r\n")
		}
		t.cooked()
	}
	if c.asking != nil && c.places != nil {
		c.places.End(id, c.by)
	}
	c.asking = nil
	c.mu.Unlock()
}

// Dismiss implements machine.Console.
func (c *Console) Dismiss(id string) {
	c.mu.Lock()
	delete(c.waiting, id)
	unix.Write(c.wake[1], []byte{0})
	c.mu.Unlock()
}

// read waits for keys on all terminals.
func (c *Console) read(p *machine.Prompt) ([]byte, error) {
	fds := []unix.PollFd{{Fd: int32(c.wake[0]), Events: unix.POLLIN}}
	c.mu.Lock()
	ttys := slices.Clone(c.ttys)
	for _, t := range ttys {
		fd := int32(t.fd)
		if t.old == nil {
			fd = -1 // not asked there: it would show what is typed
		}
		fds = append(fds, unix.PollFd{Fd: fd, Events: unix.POLLIN})
	}
	c.mu.Unlock()
	buf := make([]byte, 256)
	defer clear(buf)
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("console: %w", err)
		}
		if fds[0].Revents != 0 {
			unix.Read(c.wake[0], buf)
		}
		c.mu.Lock()
		dismissed, answer, places := !c.waiting[p.ID], c.answer, c.places
		c.mu.Unlock()
		if answer != nil {
			return answer, nil
		}
		if dismissed {
			return nil, machine.ErrDismissed
		}
		alive := 0
		for i, t := range ttys {
			f := &fds[i+1]
			if f.Fd < 0 {
				continue
			}
			alive++
			if f.Revents == 0 {
				continue
			}
			f.Revents = 0 // an interrupted poll leaves it as it was
			n, err := unix.Read(t.fd, buf[:1])
			if n <= 0 && err != unix.EAGAIN && err != unix.EINTR {
				f.Fd = -1 // hung up
				alive--
				continue
			}
			if n <= 0 {
				continue
			}
			v := c.key(t, buf[0])
			if v == lineedit.Typing {
				continue
			}
			c.mu.Lock()
			first := c.by == "" // nobody was quicker at a place
			if first {
				c.by = t.name
			}
			c.mu.Unlock()
			switch {
			case !first:
			case v == lineedit.Entered:
				return append([]byte(nil), t.edit.Line...), nil
			default:
				return nil, machine.ErrCancelled
			}
		}
		if alive == 0 && places == nil {
			return nil, machine.ErrNoConsole
		}
	}
}

// key gives a byte to the terminal's editor and shows what it changes.
func (c *Console) key(t *tty, b byte) lineedit.Verdict {
	c.mu.Lock()
	v, echo := t.edit.Key(b)
	if echo != "" {
		t.write(echo)
	}
	c.mu.Unlock()
	return v
}

// Lend gives a terminal to a program and returns how to take it back: the one
// of that name, or, with an empty name and where that one does not open, the
// main terminal, which is the last that the command line names. Messages go on
// being shown meanwhile.
func (c *Console) Lend(name string) (fd uintptr, restore func(), err error) {
	c.turn.Lock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prepare()
	names := make([]string, 0, 2)
	if name != "" {
		names = append(names, name)
	}
	if len(c.ttys) > 0 {
		names = append(names, c.ttys[len(c.ttys)-1].name)
	}
	err = machine.ErrNoConsole
	for _, name := range names {
		n, failed := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if failed == nil {
			return uintptr(n), func() { unix.Close(n); c.turn.Unlock() }, nil
		}
		err = fmt.Errorf("console %s: %w", name, failed)
	}
	c.turn.Unlock()
	return 0, nil, err
}
