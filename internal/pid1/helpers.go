package pid1

import (
	"bytes"
	"syscall"

	"golang.org/x/sys/unix"

	"firstlight/internal/askwire"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
)

// helper is a program that stays while the boot goes on.
type helper struct {
	out   *sysfile.File
	ended <-chan unix.WaitStatus
	rest  []byte // the beginning of a line
}

// maxLine bounds a line of a helper in bytes; what is longer is cut.
const maxLine = 16 << 10

// Start implements machine.Programs.
func (w *world) Start(name string, p machine.Program) error {
	c := w.children
	in, out, err := c.pipes(p)
	if err != nil {
		return err
	}
	env := append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, p.Env...)
	files := []uintptr{uintptr(in.child.FD()), uintptr(out.child.FD()), uintptr(out.child.FD())}
	var asks [2]int
	if p.Asks {
		if asks, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err == nil {
			files = append(files, uintptr(asks[1])) // askwire.FD
		}
	}
	var ended <-chan unix.WaitStatus
	if err == nil {
		_, ended, err = c.start(p.Path, append([]string{p.Path}, p.Args...), &syscall.ProcAttr{Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}})
	}
	in.child.Close()
	out.child.Close()
	if asks[1] > 0 {
		unix.Close(asks[1])
	}
	if err != nil {
		in.ours.Close()
		out.ours.Close()
		if asks[0] > 0 {
			unix.Close(asks[0])
		}
		return err
	}
	if p.Asks {
		newPlace(w.Console, asks[0])
	}
	go func() {
		in.ours.Write(p.Input)
		in.ours.Close()
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stays == nil {
		c.stays = map[string]any{}
	}
	c.stays[name] = &helper{out: out.ours, ended: ended}
	return nil
}

// Listen implements machine.Programs.
func (c *children) Listen(name string) (machine.Said, error) {
	c.mu.Lock()
	h, ok := c.stays[name].(*helper)
	c.mu.Unlock()
	if !ok {
		return machine.Said{}, fmt.Errorf("%s was not started", name)
	}
	buf := make([]byte, 4096)
	defer clear(buf)
	for {
		n, err := h.out.Read(buf)
		said := h.take(buf[:n])
		if err != nil {
			h.out.Close()
			said.Ended, said.Code = true, exitCode(<-h.ended)
		}
		if len(said.Lines) > 0 || said.Opens || said.Ended {
			return said, nil
		}
	}
}

// End implements machine.Programs: the program's session ends, as it has one of its
// own.
func (c *children) End(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.stays[name].(*helper)
	if !ok {
		return fmt.Errorf("%s was not started", name)
	}
	for pid, ended := range c.wait { // those that have ended are not in it
		if ended == h.ended {
			return unix.Kill(-pid, unix.SIGTERM)
		}
	}
	return nil
}

// take takes in what a program has said, and returns what is whole of it.
func (h *helper) take(b []byte) (said machine.Said) {
	for _, c := range b {
		switch {
		case c != '\n':
			if len(h.rest) == cap(h.rest) { // growing leaves no copy behind
				more := append(make([]byte, 0, max(2*cap(h.rest), 256)), h.rest...)
				clear(h.rest)
				h.rest = more
			}
			if len(h.rest) < maxLine {
				h.rest = append(h.rest, c)
			}
			continue
		case bytes.HasPrefix(h.rest, []byte{askwire.SecretMark}):
			if secret := unhex(h.rest[1:]); len(secret) > 0 {
				clear(said.Secret)
				said.Opens, said.Secret = true, secret
			}
		default:
			said.Lines = append(said.Lines, string(h.rest))
		}
		clear(h.rest)
		h.rest = h.rest[:0]
	}
	return said
}

// unhex reads hexadecimal digits, nil if there are others: encoding/hex brings fmt
// with it.
func unhex(b []byte) []byte {
	out := make([]byte, 0, len(b)/2)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			clear(out)
			return nil
		}
		if i%2 == 0 {
			out = append(out, c<<4)
		} else {
			out[i/2] |= c
		}
	}
	return out
}
