package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// progress says on a terminal what takes longer than a second, and for how
// long; elsewhere a line for each step that does.
type progress struct {
	w        io.Writer
	terminal bool
	color    bool

	mu    sync.Mutex
	what  string
	since time.Time
	shown bool
	stop  chan struct{}
	ended sync.WaitGroup
}

func newProgress(w io.Writer, on bool) *progress {
	p := &progress{w: w, stop: make(chan struct{}), since: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	p.color = p.terminal && useColor()
	if !on {
		close(p.stop)
		return p
	}
	p.ended.Go(p.run)
	return p
}

// useColor honours NO_COLOR (https://no-color.org).
func useColor() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

func (p *progress) step(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.what, p.since, p.shown = what, time.Now(), false
}

func (p *progress) run() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.show()
		}
	}
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := time.Since(p.since)
	if p.what == "" || d < time.Second || (p.shown && !p.terminal) {
		return
	}
	p.shown = true
	switch {
	case !p.terminal:
		fmt.Fprintf(p.w, "%s …\n", p.what)
	case p.color:
		fmt.Fprintf(p.w, "\r\x1b[K\x1b[2m%s … %.0f s\x1b[0m", p.what, d.Seconds())
	default:
		fmt.Fprintf(p.w, "\r%s … %.0f s", p.what, d.Seconds())
	}
}

// clear removes the line from a terminal.
func (p *progress) clear() {
	if p.shown && p.terminal {
		fmt.Fprintf(p.w, "\r%*s\r", len(p.what)+12, "")
	}
}

func (p *progress) done() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// running is the release of the running kernel.
func running() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "an unknown kernel"
	}
	return unix.ByteSliceToString(u.Release[:])
}
