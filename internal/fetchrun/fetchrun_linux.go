// Package fetchrun has the program that fetches run by another helper program, which
// then does not speak TLS itself, and gpgv.
package fetchrun

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
	"firstlight/internal/netreport"
)

// ErrLate is of a server that has brought nothing for as long as it may.
var ErrLate = errors.New("the server does not answer")

// Program is the program in the image.
const Program = "/usr/lib/firstlight/fetch"

// Fetch runs the program until it ends, with the file that it is to write what the
// plan says into; the file is verified by nobody, and kept as it is where not all
// comes. Where patience is not 0, something has to come within that time, again and
// again. on is called with each report but the last, which is returned. An error may
// be a fetch.Refusal; one without a Try is for lack of room.
func Fetch(program string, p fetchplan.Plan, file *os.File, patience time.Duration, on func(*netreport.Report) error) (last netreport.Report, err error) {
	runtime.LockOSThread() // the signal below is sent when this thread ends
	defer runtime.UnlockOSThread()
	p.Into, p.Raw, p.Keep, p.Tree, p.Sum = "/proc/self/fd/3", true, nil, false, ""
	if program == "" {
		program = Program
	}
	c := exec.Command(program)
	c.Stdin, c.Stderr, c.ExtraFiles = strings.NewReader(p.String()), os.Stderr, []*os.File{file}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.StdoutPipe()
	if err != nil {
		return last, err
	}
	if err := c.Start(); err != nil {
		return last, err
	}
	lines, stop := make(chan string), make(chan struct{})
	go func() {
		defer close(lines)
		s := bufio.NewScanner(io.LimitReader(out, 1<<30))
		s.Buffer(nil, netreport.MaxLine)
		for s.Scan() {
			select {
			case lines <- s.Text():
			case <-stop:
				return
			}
		}
	}()
	defer func() {
		close(stop)
		c.Process.Kill()
		c.Wait()
	}()
	var late <-chan time.Time
	wait := func() {
		if patience > 0 {
			late = time.After(patience)
		}
	}
	wait()
	for {
		var line string
		var ok bool
		select {
		case line, ok = <-lines:
		case <-late:
			return last, ErrLate
		}
		if !ok {
			return last, &fetch.Refusal{Text: "the helper program that fetches it has ended", Try: "look at the messages above"}
		}
		r, ok := netreport.ParseReport(line)
		if !ok {
			continue
		}
		switch r.State {
		case fetchplan.StateRefused:
			return r, &fetch.Refusal{Text: r.Get("text"), Try: r.Get("try")}
		case fetchplan.StateFetched:
			return r, nil
		case fetchplan.StateProgress:
			wait()
		}
		if err := on(&r); err != nil {
			return r, err
		}
	}
}

// GPGV has gpgv say what is wrong with a file, by the keys in rings and a signature,
// which is the file named so. root is put before the paths of files of the image.
func GPGV(root string, f *os.File, signature string, rings []string) (why string, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	args := []string{"--quiet", "--homedir", root + fetchplan.Dir}
	for _, ring := range rings {
		args = append(args, "--keyring", root+ring)
	}
	c := exec.Command(root+trustfiles.GPGV, append(args, "--", signature, "/proc/self/fd/3")...)
	c.Stderr, c.ExtraFiles = os.Stderr, []*os.File{f}
	if err := c.Run(); err != nil {
		return "gpgv does not take its signature: " + err.Error(), nil
	}
	return "", nil
}
