// Package iscsihelper is the edge of the helper program iscsi: open-iscsi's programs
// and files, the kernel's events, the clock, and the loop that feeds the core
// (package iscsiup).
//
// Secrets go into a record of open-iscsi, which root alone can read and which is in
// the memory of the initramfs; they are no argument of any program.
package iscsihelper

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/iscsiup"
	"firstlight/internal/nethelper"
	"firstlight/internal/netreport"
)

// nodes is where open-iscsi looks for its records.
const nodes = "/etc/iscsi/nodes/"

// onShutdown is a file by which Debian's open-iscsi knows the interface that is not
// to be taken down.
const onShutdown = "/run/initramfs/open-iscsi.interface"

// maxFile bounds a file that is read, in bytes.
const maxFile = 1 << 20

// helper implements iscsiup.Edge.
type helper struct {
	t     iscsiup.Target
	core  *iscsiup.Core
	codes chan int
	start time.Time
	out   int
}

// sources reads what there is.
func sources() iscsiup.Sources {
	s := iscsiup.Sources{Files: map[string]string{}}
	for _, name := range []string{iscsiup.FileInitiator, iscsiup.FileInitramfs, iscsiup.FileProduct} {
		if b, err := os.ReadFile(name); err == nil && len(b) <= maxFile {
			s.Files[name] = string(b)
		}
	}
	// A table that cannot be used is said to be by the network's helper.
	s.Table, _ = nethelper.Firmware().ISCSI()
	return s
}

// Run logs in to the target that text says (iscsiup.Parse), and reports to the file
// descriptor out. It returns nil when the target's unit is there.
func Run(text string, out int) error {
	t, err := iscsiup.Parse(text, sources())
	if err != nil {
		return err
	}
	if err := record(t); err != nil {
		return err
	}
	h := &helper{t: t, codes: make(chan int, 1), start: time.Now(), out: out}
	h.core = iscsiup.New(h, t)
	blocks := make(chan error)
	// Before anything is there, so that no unit falls between.
	fd, err := listen()
	if err != nil {
		return err
	}
	go watch(fd, blocks)
	timer := time.NewTimer(time.Hour)
	h.core.Start(h.now())
	for !h.core.Done() {
		timer.Reset(max(h.core.Next()-h.now(), 0))
		select {
		case code := <-h.codes:
			h.core.LoggedIn(h.now(), code)
			h.look()
		case err := <-blocks:
			if err != nil {
				return err
			}
			h.look()
		case <-timer.C:
			h.core.Deadline(h.now())
		}
	}
	_, line, _ := strings.Cut(text, "\n\n")
	if r, ok := netreport.ParseReport(strings.TrimSuffix(line, "\n")); ok && r.Link != "" {
		os.MkdirAll(filepath.Dir(onShutdown), 0o755)
		if err := os.WriteFile(onShutdown, []byte(r.Link+"\n"), 0o644); err != nil {
			h.note(err.Error())
		}
	}
	return nil
}

func (h *helper) now() time.Duration { return time.Since(h.start) }

// record writes open-iscsi's record of the target.
func record(t iscsiup.Target) error {
	name := nodes + t.RecordPath()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("make the record of %s: %w", t, err)
	}
	b := t.Record()
	err := os.WriteFile(name, b, 0o600)
	clear(b)
	if err != nil {
		return fmt.Errorf("make the record of %s: %w", t, err)
	}
	return nil
}

// Login implements iscsiup.Edge.
func (h *helper) Login() {
	addr, port := h.t.Portal()
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	portal := addr + ":" + port
	if h.t.Group != 0 {
		portal += "," + fmt.Sprintf("%d", int(h.t.Group))
	}
	go func() {
		cmd := exec.Command("iscsiadm", "-m", "node", "-T", h.t.ISCSITarget.Name, "-p", portal, "-l")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		err := cmd.Run()
		for line := range strings.Lines(said.String()) {
			h.note(strings.TrimSpace(line))
		}
		code := iscsiup.OK
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.Exited():
			code = exit.ExitCode()
		case err != nil:
			code = iscsiup.NotStarted
			h.note("iscsiadm: " + err.Error())
		}
		h.codes <- code
	}()
}

// look tells the core which units the target has.
func (h *helper) look() {
	units, disks, device := find("/sys", h.t)
	h.core.Units(h.now(), units, disks, device)
}

func (h *helper) note(text string) {
	h.Say(netreport.Report{State: netreport.StateNote}.With("text", text))
}

// Say implements iscsiup.Edge.
func (h *helper) Say(r netreport.Report) { say(h.out, r) }

func say(out int, r netreport.Report) {
	line := []byte(r.String() + "\n")
	for len(line) > 0 {
		n, err := unix.Write(out, line)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		line = line[n:]
	}
}
