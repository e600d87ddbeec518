// Package httpdiskhelper is the edge of the helper program httpdisk: connections to
// the web server, the pair of sockets that the kernel's driver for network block
// devices has one end of, the clock, and the loop that feeds the core (package
// httpdisk).
//
// The program stays while the disk is in use, as nbd does (package nbdhelper).
package httpdiskhelper

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"syscall"

	"firstlight/internal/fetch"
	"firstlight/internal/fetchhelper"
	"firstlight/internal/httpdisk"
	"firstlight/internal/nbd/nbdserve"
	"firstlight/internal/nbdnl"
	"firstlight/internal/netreport"
	"firstlight/internal/stay"
)

// state is where the real system finds what its devices are connected to.
const state = "/run/firstlight/nbd/"

// helper implements httpdisk.Edge.
type helper struct {
	t        httpdisk.Target
	web      *fetchhelper.Web
	kernel   *nbdnl.Kernel
	core     *httpdisk.Core
	ours     *os.File // the end of the pair that is not the kernel's
	loaded   chan loaded
	requests chan nbdserve.Request
	ended    chan error
	start    time.Time
	out      int
	head     []byte
}

// loaded is what became of a piece.
type loaded struct {
	piece int64
	file  fetch.File
	err   error
}

// Run makes a disk of what text says (httpdisk.Parse), and reports to the file
// descriptor out. It returns when the kernel has let go of the disk.
func Run(text string, out int) error {
	stay.Process()
	h := &helper{loaded: make(chan loaded, httpdisk.Loads), requests: make(chan nbdserve.Request), ended: make(chan error, 1), start: time.Now(), out: out}
	t, err := httpdisk.Parse(text)
	if r := fetch.Final(err); r != nil {
		h.Say(netreport.Report{State: netreport.StateDisk}.With("subject", "the disk on a web server").With("condition", "blocked").With("text", r.Text).With("try", r.Try))
	}
	if err != nil {
		return err
	}
	h.t = t
	if h.kernel, err = nbdnl.Open(); err != nil {
		return err
	}
	h.web = fetchhelper.NewWeb(t.URL, t.Proxy, t.NoVerifyTLS, httpdisk.Loads, "")
	h.core = httpdisk.New(h, t)
	return h.loop()
}

func (h *helper) now() time.Duration { return time.Since(h.start) }

func (h *helper) loop() error {
	timer := time.NewTimer(time.Hour)
	h.core.Start(h.now())
	for {
		timer.Reset(max(h.core.Next()-h.now(), 0))
		select {
		case l := <-h.loaded:
			h.core.Loaded(h.now(), l.piece, l.file, l.err)
		case r := <-h.requests:
			h.core.Request(h.now(), r)
		case <-timer.C:
			h.core.Deadline(h.now())
		case err := <-h.ended:
			return err
		}
	}
}

// Load implements httpdisk.Edge.
func (h *helper) Load(piece int64, buf []byte, known *fetch.File) {
	go func() {
		f, err := h.web.Part(piece*httpdisk.PieceSize, buf, known)
		h.loaded <- loaded{piece, f, err}
	}()
}

// Attach implements httpdisk.Edge.
func (h *helper) Attach(size uint64) (int, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(pair[0]) // the kernel has its own then
	if err = syscall.SetNonblock(pair[1], true); err != nil {
		syscall.Close(pair[1])
		return -1, err
	}
	ours := os.NewFile(uintptr(pair[1]), "kernel")
	const flags = nbdserve.FlagHas | nbdserve.FlagReadOnly | nbdserve.FlagFlush
	n, err := h.kernel.Connect(nbdnl.Device{Index: h.t.Index, Size: size, BlockSize: 512, Flags: flags, Backend: h.t.URL.String(), Sockets: []int{pair[0]}})
	if err != nil {
		ours.Close()
		if errors.Is(err, syscall.EBUSY) {
			err = errors.New("nbd" + strconv.Itoa(h.t.Index) + " is in use already")
		}
		return -1, err
	}
	h.ours = ours
	go h.listen(ours)
	h.record(n)
	return n, nil
}

// listen takes in what the kernel wants, until it wants no more.
func (h *helper) listen(from io.Reader) {
	buf := make([]byte, nbdserve.RequestSize)
	for {
		if _, err := io.ReadFull(from, buf); err != nil {
			if err == io.EOF {
				err = nil // the device was taken down
			}
			h.ended <- err
			return
		}
		r, ok := nbdserve.ParseRequest(buf)
		switch {
		case !ok, r.Command == nbdserve.CmdWrite: // whose data would follow; the device is read-only
			h.ended <- errors.New("the kernel wants of a read-only disk what is not known")
			return
		case r.Command == nbdserve.CmdDisconnect:
			h.ended <- nil
			return
		}
		h.requests <- r
	}
}

// Answer implements httpdisk.Edge. Where the kernel takes it no more, listen ends.
func (h *helper) Answer(cookie uint64, code uint32, parts ...[]byte) {
	h.head = nbdserve.AppendReply(h.head[:0], cookie, code)
	if _, err := h.ours.Write(h.head); err != nil {
		return
	}
	for _, p := range parts {
		if _, err := h.ours.Write(p); err != nil {
			return
		}
	}
}

// record says in /run what the device is. A URL that a shell could read as more than
// text is left out.
func (h *helper) record(n int) {
	text := "PID=" + strconv.Itoa(os.Getpid()) + "\n"
	if url := h.t.URL.String(); strings.IndexByte(url, '\'') < 0 {
		text += "URL='" + url + "'\n"
	}
	syscall.Mkdir("/run/firstlight", 0o755)
	syscall.Mkdir(state, 0o755)
	if err := os.WriteFile(state+"nbd"+strconv.Itoa(n), []byte(text), 0o644); err != nil {
		h.Say(netreport.Report{State: netreport.StateNote}.With("text", err.Error()))
	}
}

// Say implements httpdisk.Edge. In the real system nobody hears it.
func (h *helper) Say(r netreport.Report) {
	line := []byte(r.String() + "\n")
	for len(line) > 0 {
		n, err := syscall.Write(h.out, line)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		line = line[n:]
	}
}
