// Package nbdhelper is the edge of the helper program nbd: sockets, the kernel's
// driver, the clock, and the loop that feeds the core (package nbdup).
//
// The program stays while the device is in use. It is in memory with all it needs,
// and its name begins with '@', so that neither the end of the initramfs nor
// systemd's last round at shutdown ends it (systemd.io/ROOT_STORAGE_DAEMONS).
package nbdhelper

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/nbd"
	"firstlight/internal/nbdnl"
	"firstlight/internal/nbdup"
	"firstlight/internal/netreport"
	"firstlight/internal/stay"
)

// state is where the real system finds what its devices are connected to.
const state = "/run/firstlight/nbd/"

// helper implements nbdup.Edge.
type helper struct {
	t      nbdup.Target
	kernel *nbdnl.Kernel
	core   *nbdup.Core
	conns  map[int]*conn // that the kernel has not yet
	dialed chan dialed
	start  time.Time
	out    int
	secure Secure
}

// dialed is what became of a connection.
type dialed struct {
	id   int
	c    *conn
	info nbd.Info
	err  error
}

// Run connects what text says (nbdup.Parse), and reports to the file descriptor
// out. It returns an error alone. secure is nil where there is no TLS.
func Run(text string, out int, secure Secure) error {
	stay.Process()
	h := &helper{conns: map[int]*conn{}, dialed: make(chan dialed), start: time.Now(), out: out, secure: secure}
	t, unknown, err := nbdup.Parse(text)
	if err != nil {
		return err
	}
	for _, u := range unknown {
		h.Say(netreport.Report{State: netreport.StateProblem}.With("text", "the NBD option "+u+" is not known, and has no effect"))
	}
	h.t = t
	if h.kernel, err = nbdnl.Open(); err != nil {
		return err
	}
	h.core = nbdup.New(h, t)
	return h.loop()
}

func (h *helper) now() time.Duration { return time.Since(h.start) }

func (h *helper) loop() error {
	dead := make(chan []int)
	failed := make(chan error, 1)
	go func() {
		for {
			list, err := h.kernel.Dead()
			if errors.Is(err, nbdnl.ErrLost) {
				list, err = []int{-1}, nil
			}
			if err != nil {
				failed <- err
				return
			}
			dead <- list
		}
	}()
	timer := time.NewTimer(time.Hour)
	h.core.Start(h.now())
	for {
		timer.Reset(max(h.core.Next()-h.now(), 0))
		select {
		case d := <-h.dialed:
			if d.err == nil {
				h.conns[d.id] = d.c
			}
			h.core.Dialed(h.now(), d.id, d.info, d.err)
		case list := <-dead:
			for _, n := range list {
				if n < 0 {
					h.core.Lost(h.now())
				} else {
					h.core.Dead(h.now(), n)
				}
			}
		case <-timer.C:
			h.core.Deadline(h.now())
		case err := <-failed:
			return err
		}
	}
}

// Dial implements nbdup.Edge.
func (h *helper) Dial(id int) {
	go func() {
		c, info, err := connect(h.t, h.secure)
		h.dialed <- dialed{id, c, info, err}
	}()
}

// device is what the kernel is told of connections. Its copies of their file
// descriptors are made by then.
func (h *helper) device(ids []int) nbdnl.Device {
	d := nbdnl.Device{Index: h.t.Index, Timeout: h.t.Timeout, DeadConn: h.t.DeadConn, Backend: h.t.String()}
	for _, id := range ids {
		d.Sockets = append(d.Sockets, h.conns[id].fd)
	}
	return d
}

// Attach implements nbdup.Edge.
func (h *helper) Attach(info nbd.Info, ids []int) (int, error) {
	d := h.device(ids)
	size, _ := info.BlockSize()
	d.Size, d.BlockSize, d.Flags = info.Size&^(uint64(size)-1), size, info.Flags
	n, err := h.kernel.Connect(d)
	switch {
	case errors.Is(err, unix.EBUSY):
		return -1, fmt.Errorf("nbd%d is in use already: %w", max(d.Index, 0), err)
	case err != nil:
		return -1, err
	}
	h.t.Index = n
	for _, id := range ids {
		h.given(id)
	}
	h.record(n)
	return n, nil
}

// given lets go of a connection that the kernel has.
func (h *helper) given(id int) {
	unix.Close(h.conns[id].fd)
	delete(h.conns, id)
}

// Replace implements nbdup.Edge.
func (h *helper) Replace(id int) error {
	err := h.kernel.Replace(h.device([]int{id}))
	switch {
	case errors.Is(err, unix.ENOSPC):
		return nbdup.ErrWhole
	case err == nil:
		h.given(id)
	}
	return err
}

// Drop implements nbdup.Edge.
func (h *helper) Drop(id int) {
	if c := h.conns[id]; c != nil {
		c.close()
		delete(h.conns, id)
	}
}

// record says in /run what the device is.
func (h *helper) record(n int) {
	text := "SERVER=" + h.t.Server.String() + "\nPORT=" + strconv.Itoa(int(h.t.Port)) + "\nEXPORT='" + h.t.Export + "'\nPID=" + strconv.Itoa(os.Getpid()) + "\n"
	err := os.MkdirAll(state, 0o755)
	if err == nil {
		err = os.WriteFile(state+"nbd"+strconv.Itoa(n), []byte(text), 0o644)
	}
	if err != nil {
		h.Say(netreport.Report{State: netreport.StateNote}.With("text", err.Error()))
	}
}

// Say implements nbdup.Edge. In the real system nobody hears it.
func (h *helper) Say(r netreport.Report) {
	line := []byte(r.String() + "\n")
	for len(line) > 0 {
		n, err := unix.Write(h.out, line)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		line = line[n:]
	}
}
