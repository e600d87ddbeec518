package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// worthProgram is how large a frame must be, in bytes, for a program to unpack
// it sooner than we do, with the time that starting one takes.
const worthProgram = 1 << 20

// inMemory is up to how much, in bytes, is unpacked into memory at once.
const inMemory = 256 << 20

// program unpacks through a program: xz is in C a third quicker than what Go
// has, and runs on a processor of its own.
type program struct {
	cmd  *exec.Cmd
	out  io.ReadCloser // a pipe; nil where all of it goes into memory
	errs bytes.Buffer
	done bool
	err  error // of its end

	file *os.File // in memory
	all  []byte   // its content, once the program has ended
	at   int64
}

// unxz starts xz on a whole stream that says it unpacks to so much; nil if that is not
// worth it or not possible. Through a pipe xz hands on 8 KiB at a time, and each wakes
// whoever waits for it: that takes a fifth of the time. So what is not too large is
// unpacked into memory, where content that nobody looks at is not even copied.
func unxz(frame []byte, unpacked int64) *program {
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
	p.cmd.Stderr = &p.errs
	in, err := memory("xz", int64(len(frame)))
	if err == nil {
		defer in.Close()
		_, err = in.WriteAt(frame, 0)
	}
	if err != nil {
		return nil
	}
	p.cmd.Stdin = in
	if unpacked > 0 && unpacked <= inMemory {
		if p.file, err = memory("unxz", unpacked); err != nil {
			return nil
		}
		p.cmd.Stdout = p.file
	} else if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil
	}
	if err := p.cmd.Start(); err != nil {
		if p.file != nil {
			p.file.Close()
		}
		return nil
	}
	return p
}

// memory is a file in memory of a size that it keeps: what writes more fails.
func memory(name string, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// end waits for the program.
func (p *program) end() {
	p.done = true
	if err := p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("%s: %w: %s", p.cmd.Path, err, strings.TrimSpace(p.errs.String()))
	}
}

// load waits for what is unpacked into memory.
func (p *program) load() error {
	if p.done {
		return p.err
	}
	p.end()
	size, err := p.file.Seek(0, io.SeekCurrent) // the program's place in it is ours too
	if p.err == nil && err == nil && size > 0 {
		p.all, err = unix.Mmap(int(p.file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	}
	if p.err == nil {
		p.err = err
	}
	return p.err
}

// Read implements io.Reader. The end is one only if the program says so.
func (p *program) Read(b []byte) (int, error) {
	if p.file != nil {
		if err := p.load(); err != nil {
			return 0, err
		}
		if p.at == int64(len(p.all)) {
			return 0, io.EOF
		}
		n := copy(b, p.all[p.at:])
		p.at += int64(n)
		return n, nil
	}
	n, err := p.out.Read(b)
	if errors.Is(err, io.EOF) && !p.done {
		if p.end(); p.err != nil {
			return n, p.err
		}
	}
	return n, err
}

// Discard passes over n bytes, or as many as there are.
func (p *program) Discard(n int64) (int64, error) {
	if p.file == nil {
		return io.CopyN(io.Discard, readOnly{p}, n)
	}
	if err := p.load(); err != nil {
		return 0, err
	}
	k := min(n, int64(len(p.all))-p.at)
	p.at += k
	if k < n {
		return k, io.EOF
	}
	return k, nil
}

// readOnly hides what else a reader can do.
type readOnly struct{ io.Reader }

// close ends the program, if it still runs, and frees its memory.
func (p *program) close() {
	if !p.done {
		p.done = true
		if p.out != nil {
			_ = p.out.Close()
		}
		_ = p.cmd.Process.Kill() // it may have ended by itself
		_ = p.cmd.Wait()
	}
	if p.all != nil {
		_ = unix.Munmap(p.all)
		p.all = nil
	}
	if p.file != nil {
		_ = p.file.Close()
	}
}
