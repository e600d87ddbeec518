// Package sysfile reads, writes and names files by plain system calls. It is
// what /init needs of package os and no more: os brings a poller for each
// file, and with its FileInfo the formatting of times and the reading of time
// zones, which together are the thirtieth part of the program.
//
// It touches the world, so that no core package may import it. Errors are
// *fs.PathError or *LinkError with the system call, the name and the errno, so
// that errors.Is(err, fs.ErrNotExist) holds as with os. Calls that a signal
// interrupts are made again.
package sysfile

import (
	"io"
	"io/fs"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// LinkError is an error of a call that takes two names.
type LinkError struct {
	Op, Old, New string
	Err          error
}

func (e *LinkError) Error() string { return e.Op + " " + e.Old + " " + e.New + ": " + e.Err.Error() }

// Unwrap returns the errno.
func (e *LinkError) Unwrap() error { return e.Err }

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func named(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Info is what stat(2) says of a file.
type Info struct {
	Mode fs.FileMode
	Size int64 // bytes
}

func info(st *unix.Stat_t) Info {
	m := fs.FileMode(st.Mode & 0o777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	}
	if st.Mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if st.Mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if st.Mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return Info{Mode: m, Size: st.Size}
}

// permission is the inverse of info for what chmod(2) and open(2) take.
func permission(m fs.FileMode) uint32 {
	p := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		p |= unix.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		p |= unix.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		p |= unix.S_ISVTX
	}
	return p
}

// Stat describes a file after every link was followed.
func Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Stat(name, &st) }); err != nil {
		return Info{}, named("stat", name, err)
	}
	return info(&st), nil
}

// Lstat describes a file, or the link that has the name.
func Lstat(name string) (Info, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Lstat(name, &st) }); err != nil {
		return Info{}, named("lstat", name, err)
	}
	return info(&st), nil
}

// File is an open file. One goroutine uses it at a time: closing it does not
// wait for a call that is under way. A call waits in the kernel and holds a
// thread meanwhile.
type File struct {
	fd   int
	name string
}

// New makes a File of a descriptor, which Close closes. Errors call it name.
func New(fd int, name string) *File { return &File{fd, name} }

// Open opens a file for reading.
func Open(name string) (*File, error) { return open(name, unix.O_RDONLY, 0) }

func open(name string, flags int, perm uint32) (*File, error) {
	f := New(-1, name)
	err := again(func() (err error) {
		f.fd, err = unix.Open(name, flags|unix.O_CLOEXEC, perm)
		return err
	})
	if err != nil {
		return nil, named("open", name, err)
	}
	return f, nil
}

// Pipe makes a pipe: what is written to w is read from r.
func Pipe() (r, w *File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, named("pipe2", "|", err)
	}
	return New(p[0], "|0"), New(p[1], "|1"), nil
}

// FD is the descriptor, or -1 after Close.
func (f *File) FD() int { return f.fd }

// Close closes the file. A second Close is an error, and does nothing.
func (f *File) Close() error {
	fd := f.fd
	f.fd = -1
	return named("close", f.name, unix.Close(fd))
}

// Stat describes the open file.
func (f *File) Stat() (Info, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return Info{}, named("stat", f.name, err)
	}
	return info(&st), nil
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	n, err := unix.Seek(f.fd, offset, whence)
	return n, named("seek", f.name, err)
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	return f.read(p, func() (int, error) { return unix.Read(f.fd, p) })
}

func (f *File) read(p []byte, call func() (int, error)) (n int, err error) {
	err = again(func() error {
		n, err = call()
		return err
	})
	switch {
	case err != nil:
		return 0, named("read", f.name, err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, named("readat", f.name, unix.EINVAL)
	}
	for done := 0; done < len(p); {
		rest := p[done:]
		n, err := f.read(rest, func() (int, error) { return unix.Pread(f.fd, rest, off+int64(done)) })
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := 0
		err := again(func() (err error) {
			n, err = unix.Write(f.fd, p[done:])
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, named("write", f.name, err)
		}
		done += n
	}
	return len(p), nil
}

// ReadFile reads a whole file of the kernel's or of the image. It is not for
// files that another can make as large as they like.
func ReadFile(name string) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteFile writes a file, which is made with the permissions if it is not
// there and emptied if it is.
func WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, permission(perm))
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// MkdirAll makes a directory and those above it; one that exists is left as it
// is.
func MkdirAll(name string, perm fs.FileMode) error {
	if st, err := Stat(name); err == nil {
		if st.Mode.IsDir() {
			return nil
		}
		return named("mkdir", name, unix.ENOTDIR)
	}
	if above := path.Dir(name); above != name {
		if err := MkdirAll(above, perm); err != nil {
			return err
		}
	}
	err := again(func() error { return unix.Mkdir(name, permission(perm)) })
	if err == unix.EEXIST {
		// Another made it meanwhile, or a link with that name leads nowhere.
		if st, err := Lstat(name); err == nil && st.Mode.IsDir() {
			return nil
		}
	}
	return named("mkdir", name, err)
}

// Remove removes a file or an empty directory.
func Remove(name string) error {
	err := again(func() error { return unix.Unlink(name) })
	if err == nil {
		return nil
	}
	// unlink(2) says of a directory EISDIR, EPERM or EACCES: which of the two
	// errors is to the point depends on what the name is.
	dir := again(func() error { return unix.Rmdir(name) })
	if dir == nil {
		return nil
	}
	if dir != unix.ENOTDIR {
		err = dir
	}
	return named("remove", name, err)
}

// Symlink makes name a link to target.
func Symlink(target, name string) error {
	return linkError("symlink", target, name, again(func() error { return unix.Symlink(target, name) }))
}

// Rename gives a file another name, over what had that name.
func Rename(from, to string) error {
	return linkError("rename", from, to, again(func() error { return unix.Rename(from, to) }))
}

func linkError(op, old, new string, err error) error {
	if err == nil {
		return nil
	}
	return &LinkError{op, old, new, err}
}

// Readlink returns where a link leads.
func Readlink(name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n := 0
		err := again(func() (err error) {
			n, err = unix.Readlink(name, b)
			return err
		})
		if err != nil {
			return "", named("readlink", name, err)
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

// Chmod sets a file's permissions, after every link was followed.
func Chmod(name string, mode fs.FileMode) error {
	return named("chmod", name, again(func() error { return unix.Chmod(name, permission(mode)) }))
}

// Lchown sets the owner of a file or of the link that has the name; -1 leaves
// one as it is.
func Lchown(name string, uid, gid int) error {
	return named("lchown", name, again(func() error { return syscall.Lchown(name, uid, gid) }))
}
