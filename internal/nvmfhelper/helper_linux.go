// Package nvmfhelper is the edge of the helper program nvmf: /dev/nvme-fabrics, the
// controllers' devices, the clock, and the loop that feeds the core (package
// nvmfup). The kernel keeps what is connected, and connects again what breaks, so
// that the program ends when everything is connected.
package nvmfhelper

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/nbft"
	"firstlight/internal/netreport"
	"firstlight/internal/nvmf"
	"firstlight/internal/nvmfup"
)

// device is the kernel's for connecting.
const device = "/dev/nvme-fabrics"

// helper implements nvmfup.Edge.
type helper struct {
	core  *nvmfup.Core
	news  chan func() // what came of something, for the loop
	start time.Time
	out   int
}

// Run connects what the parameters in text say, one a line, and what the files and
// the firmware say, and reports to the file descriptor out. It returns nil when all
// is connected.
func Run(text string, out int) error {
	h := &helper{news: make(chan func()), start: time.Now(), out: out}
	config := nvmf.Parse(h.sources(text))
	for _, p := range config.Problems {
		h.Say(netreport.Report{State: netreport.StateProblem}.With("text", p))
	}
	h.core = nvmfup.New(h, config.Targets)
	h.core.Start(h.now())
	timer := time.NewTimer(time.Hour)
	for !h.core.Done() {
		timer.Reset(max(h.core.Next()-h.now(), 0))
		select {
		case f := <-h.news:
			f()
		case <-timer.C:
			h.core.Deadline(h.now())
		}
	}
	return nil
}

func (h *helper) now() time.Duration { return time.Since(h.start) }

// maxFile bounds a file of the configuration, in bytes.
const maxFile = 1 << 20

// sources reads what there is.
func (h *helper) sources(text string) nvmf.Sources {
	s := nvmf.Sources{Params: strings.Split(text, "\n"), Files: map[string]string{}}
	for _, name := range []string{nvmf.FileHostNQN, nvmf.FileHostID, nvmf.FileDiscovery, nvmf.FileConfig, nvmf.FileProduct} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || len(b) > maxFile {
			h.Say(netreport.Report{State: netreport.StateProblem}.With("text", fmt.Errorf("%s cannot be read: %v", name, err).Error()))
			continue
		}
		s.Files[name] = string(b)
	}
	names, _ := filepath.Glob("/sys/firmware/acpi/tables/NBFT*")
	for _, name := range names {
		b, err := os.ReadFile(name)
		var t *nbft.Table
		if err == nil {
			t, err = nbft.Parse(b)
		}
		if err != nil {
			h.Say(netreport.Report{State: netreport.StateProblem}.With("text", name+": "+err.Error()))
			continue
		}
		s.Tables = append(s.Tables, t)
	}
	return s
}

// Connect implements nvmfup.Edge.
func (h *helper) Connect(n int, t nvmf.Target) {
	go func() {
		name, err := connect(t)
		h.news <- func() { h.core.Connected(h.now(), n, name, err) }
	}()
}

// Discover implements nvmfup.Edge.
func (h *helper) Discover(n int, t nvmf.Target) {
	go func() {
		list, err := discover(t)
		h.news <- func() { h.core.Discovered(h.now(), n, list, err) }
	}()
}

// connect has the kernel connect a controller. It returns when that has succeeded
// or failed, as soon as the kernel knows.
func connect(t nvmf.Target) (name string, err error) {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", nvmfup.ErrDriver, device, err)
	}
	defer unix.Close(fd)
	options := []byte(t.Options())
	_, err = unix.Write(fd, options)
	clear(options)
	if err != nil {
		return "", reason(err)
	}
	buf := make([]byte, 256)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("ask for the controller's name: %w", err)
	}
	for f := range strings.SplitSeq(strings.TrimSpace(string(buf[:n])), ",") {
		if v, ok := strings.CutPrefix(f, "instance="); ok {
			if _, err := strconv.ParseUint(v, 10, 16); err == nil {
				return "nvme" + v, nil
			}
		}
	}
	return "", errors.New("the kernel does not say which controller it has made")
}

// reason says what the kernel's error means.
func reason(err error) error {
	why := nvmfup.ErrRefused
	switch err {
	case unix.EALREADY:
		return nvmfup.ErrThere
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ETIMEDOUT, unix.ECONNRESET, unix.EADDRNOTAVAIL, unix.ENETDOWN, unix.EHOSTDOWN, unix.EPIPE, unix.ENOTCONN:
		why = nvmfup.ErrUnreachable
	case unix.EKEYREJECTED, unix.ENOKEY, unix.EACCES:
		why = nvmfup.ErrSecret
	case unix.EINVAL:
		why = nvmfup.ErrOptions
	case unix.ENODEV:
		why = nvmfup.ErrDriver
	}
	return fmt.Errorf("%w: %w", why, err)
}

// Say implements nvmfup.Edge.
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
