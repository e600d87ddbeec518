package pid1

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
)

// helper is a program that stays while the boot goes on.
type helper struct {
	out   *sysfile.File
	ended <-chan unix.WaitStatus
	rest  string // the beginning of a line
}

// maxLine bounds a line of a helper in bytes; what is longer is cut.
const maxLine = 16 << 10

// Start implements machine.Programs.
func (c *children) Start(name string, p machine.Program) error {
	in, out, err := c.pipes(p)
	if err != nil {
		return err
	}
	env := append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, p.Env...)
	_, ended, err := c.start(p.Path, append([]string{p.Path}, p.Args...),
		&syscall.ProcAttr{Env: env, Files: []uintptr{uintptr(in.child.FD()), uintptr(out.child.FD()), uintptr(out.child.FD())}, Sys: &syscall.SysProcAttr{Setsid: true}})
	in.child.Close()
	out.child.Close()
	if err != nil {
		in.ours.Close()
		out.ours.Close()
		return err
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
	for {
		n, err := h.out.Read(buf)
		lines := strings.Split(h.rest+string(buf[:n]), "\n")
		h.rest = lines[len(lines)-1]
		said := machine.Said{Lines: lines[:len(lines)-1]}
		if len(h.rest) > maxLine {
			h.rest = h.rest[:maxLine]
		}
		if err != nil {
			h.out.Close()
			said.Ended, said.Code = true, exitCode(<-h.ended)
		}
		if len(said.Lines) > 0 || said.Ended {
			return said, nil
		}
	}
}
