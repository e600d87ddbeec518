// Package trial boots an image in QEMU to see whether it does what it is for:
// with a real kernel, on disks that cannot be written, until the real init was
// started or the boot has failed.
//
// Disks are opened here, for reading only, and handed to QEMU as open files:
// whatever QEMU or the guest does, the kernel of this machine refuses to write
// to them. Writes of the guest go to a temporary file that QEMU removes.
package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/term"
)

// Options say what is tried.
type Options struct {
	Image  string
	Kernel string
	Append []string // parameters, after those that a trial needs
	Disks  []Disk
	Memory int    // MiB
	CPUs   int    // processors
	Accel  string // "tcg" or "kvm"
	QEMU   string // the program

	// Console gets what the machine says. With Keyboard set the machine has
	// this program's own terminal in place of it, to be typed on.
	Console  io.Writer
	Keyboard bool
	// Passphrase is typed at every question for one; nil for none. It is
	// nowhere else: not in a file, an argument or an error.
	Passphrase []byte

	// Test ends the machine as soon as it is known how the boot went; else it
	// runs until it ends by itself.
	Test    bool
	Timeout time.Duration // 0 is none
}

// State is how far a boot came.
type State string

// The states.
const (
	Started State = "started" // the real init runs
	Failed  State = "failed"  // it was not started, or the kernel panicked
	Late    State = "late"    // neither in the time that was given
	Unknown State = "unknown" // the image keeps no journal that could tell
)

// Result is what came of a trial.
type Result struct {
	State   State
	Why     string        // for the states other than Started
	Init    string        // that was started
	Took    time.Duration // from the start of /init to the start of the real init, in the guest's time
	Journal []byte        // what came of it; see docs/journal.md
}

// ErrNotTried is wrapped by errors for which nothing can be said of the image.
var ErrNotTried = errors.New("the image could not be tried")

// grace is how long the machine has to go on after the real init was started,
// for that to count: one that cannot be executed ends sooner.
const grace = 2 * time.Second

// maxJournal bounds what is kept of the journal, in bytes; a whole one has 4 MiB.
const maxJournal = 16 << 20

// Run boots the image. Its error wraps ErrNotTried where the machine did not
// even start.
func Run(ctx context.Context, o Options) (*Result, error) {
	dir, err := os.MkdirTemp("", "firstlight-boot")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotTried, err)
	}
	defer os.RemoveAll(dir)
	if o.Keyboard {
		// QEMU leaves the terminal as it wants it when it is ended from outside.
		if was, err := term.GetState(int(os.Stdin.Fd())); err == nil {
			defer term.Restore(int(os.Stdin.Fd()), was)
		}
	}
	r := &run{o: o, ended: make(chan struct{}), news: make(chan struct{}, 1)}
	if err := r.start(ctx, dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotTried, err)
	}
	defer r.stop()
	late := r.watch(ctx)
	r.stop()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotTried, err)
	}
	res := judge(r.journal(), r.monitor.reason(), late, o.Timeout)
	if r.err != nil && res.State != Started {
		return nil, fmt.Errorf("%w: %s: %w: %s", ErrNotTried, o.QEMU, r.err, bytes.TrimSpace(r.stderr.Bytes()))
	}
	return res, nil
}

// run is a machine that runs.
type run struct {
	o       Options
	cmd     *exec.Cmd
	files   []*os.File
	monitor *monitor
	stderr  bytes.Buffer
	readers sync.WaitGroup
	ended   chan struct{} // the machine has ended; err says how
	err     error
	news    chan struct{} // the journal has grown

	mu   sync.Mutex
	kept []byte
}

// start starts the machine, with its journal and its monitor connected to
// sockets in dir.
func (r *run) start(ctx context.Context, dir string) error {
	accept := map[string]net.Listener{}
	for _, name := range []string{"journal", "monitor"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer l.Close()
		accept[name] = l
	}
	for i := range r.o.Disks {
		f, err := os.OpenFile(r.o.Disks[i].File, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		r.files = append(r.files, f)
	}
	defer func() {
		for _, f := range r.files {
			f.Close()
		}
	}()
	r.cmd = exec.CommandContext(ctx, r.o.QEMU, Args(r.o, dir)...)
	r.cmd.ExtraFiles = r.files
	if err := r.connect(); err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		r.err = r.cmd.Wait()
		for _, l := range accept {
			l.Close() // nobody will come any more
		}
		close(r.ended)
	}()
	conns := map[string]net.Conn{}
	for _, name := range []string{"journal", "monitor"} {
		c, err := accept[name].Accept()
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			r.cmd.Process.Kill()
			<-r.ended
			return fmt.Errorf("%s: %w: %s", r.o.QEMU, errors.Join(r.err, err), bytes.TrimSpace(r.stderr.Bytes()))
		}
		conns[name] = c
	}
	r.monitor = newMonitor(conns["monitor"])
	r.readers.Add(1)
	go r.keep(conns["journal"])
	return nil
}

// connect gives the machine its console: this program's own terminal, or a
// writer and, for passphrases, a pipe.
func (r *run) connect() error {
	r.cmd.Stderr = &r.stderr
	if r.o.Keyboard {
		r.cmd.Stdin, r.cmd.Stdout = os.Stdin, os.Stdout
		return nil
	}
	if r.o.Passphrase == nil {
		r.cmd.Stdout = r.o.Console
		return nil
	}
	keys, err := r.cmd.StdinPipe()
	if err != nil {
		return err
	}
	r.cmd.Stdout = &typist{out: r.o.Console, keys: keys, secret: r.o.Passphrase}
	return nil
}

// keep collects the journal until the machine ends.
func (r *run) keep(c net.Conn) {
	defer r.readers.Done()
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		r.mu.Lock()
		r.kept = append(r.kept, buf[:min(n, maxJournal-len(r.kept))]...)
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// journal is what has come of the journal so far. The serial line ends its
// lines as terminals do; inside a record a carriage return is escaped. What
// the real system writes to the line after it is not ours.
func (r *run) journal() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ours(bytes.ReplaceAll(r.kept, []byte("\r\n"), []byte("\n")))
}

// ours is the beginning of what came that is a journal: its first line, and
// the lines after it that begin with a number and a tab.
func ours(text []byte) []byte {
	end := bytes.IndexByte(text, '\n') + 1
	for {
		n := 0
		for end+n < len(text) && text[end+n] >= '0' && text[end+n] <= '9' {
			n++
		}
		if n == 0 || end+n == len(text) || text[end+n] != '\t' {
			return text[:end]
		}
		line := bytes.IndexByte(text[end:], '\n') + 1
		if line == 0 {
			return text // not yet whole, or cut off
		}
		end += line
	}
}

// watch waits for the end of the trial, and says whether its time ran out.
func (r *run) watch(ctx context.Context) (late bool) {
	var out, sure <-chan time.Time
	if r.o.Timeout > 0 {
		t := time.NewTimer(r.o.Timeout)
		defer t.Stop()
		out = t.C
	}
	for {
		select {
		case <-r.ended:
			return false
		case <-ctx.Done():
			return false
		case <-out:
			return true
		case <-sure:
			if handedOver(r.journal()) {
				return false
			}
			sure = nil
		case <-r.news:
			if r.o.Test && sure == nil && handedOver(r.journal()) {
				sure = time.After(grace)
			}
		}
	}
}

// stop ends the machine if it runs, and takes in what it said last.
func (r *run) stop() {
	select {
	case <-r.ended:
	default:
		r.cmd.Process.Kill()
		<-r.ended
		r.err = nil // it was us
	}
	r.monitor.close()
	r.readers.Wait()
}
