package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// worthProgram is how large a frame must be, in bytes, for a program to unpack
// it sooner than we do, with the time that starting one takes.
const worthProgram = 1 << 20

// program unpacks through a program: xz is in C a third quicker than what Go
// has, and runs on a processor of its own.
type program struct {
	cmd  *exec.Cmd
	out  io.ReadCloser
	errs bytes.Buffer
	done bool
}

// unxz starts xz on a whole stream; nil if that is not worth it or not possible.
func unxz(frame []byte) *program {
	if len(frame) < worthProgram {
		return nil
	}
	tool, err := exec.LookPath("xz")
	if err != nil {
		return nil
	}
	// The limit is above what xz -9 needs, which is the most that the kernel takes.
	p := &program{cmd: exec.Command(tool, "-dcq", "--format=xz", "--single-stream", "--threads=1", "--memlimit-decompress=128MiB")}
	p.cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	p.cmd.Stdin, p.cmd.Stderr = bytes.NewReader(frame), &p.errs
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil
	}
	if err := p.cmd.Start(); err != nil {
		return nil
	}
	return p
}

// Read implements io.Reader. The end is one only if the program says so.
func (p *program) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if errors.Is(err, io.EOF) && !p.done {
		p.done = true
		if werr := p.cmd.Wait(); werr != nil {
			return n, fmt.Errorf("%s: %w: %s", p.cmd.Path, werr, strings.TrimSpace(p.errs.String()))
		}
	}
	return n, err
}

// close ends the program, if it still runs.
func (p *program) close() {
	if !p.done {
		p.done = true
		_ = p.out.Close()
		_ = p.cmd.Process.Kill() // it may have ended by itself
		_ = p.cmd.Wait()
	}
}
