package sysfs

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/order"
)

// Dir is the tree below a directory of the running system: Dir("/sys"), or a
// copy of a sysfs made for a test. Its methods use plain system calls; the
// runtime poller has nothing to offer for sysfs and costs two more calls for
// each file.
type Dir string

// Read implements FS.
func (d Dir) Read(p string) (string, error) {
	fd, err := open(string(d)+p, unix.O_RDONLY)
	if err != nil {
		return "", fmt.Errorf("sysfs: read %s: %w", p, err)
	}
	defer unix.Close(fd)
	var small [4096]byte
	buf := small[:0]
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= MaxAttr {
				break
			}
			buf = slices.Grow(buf, MaxAttr-len(buf))
		}
		n, err := read(fd, buf[len(buf):cap(buf)])
		if err != nil {
			return "", fmt.Errorf("sysfs: read %s: %w", p, err)
		}
		if n == 0 {
			break
		}
		buf = buf[:len(buf)+n]
	}
	return strings.TrimRight(string(buf), "\n"), nil
}

// Write implements FS.
func (d Dir) Write(p, value string) error {
	fd, err := open(string(d)+p, unix.O_WRONLY)
	if err != nil {
		return fmt.Errorf("sysfs: write %s: %w", p, err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Write(fd, []byte(value))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("sysfs: write %q to %s: %w", value, p, err)
		case n != len(value):
			return fmt.Errorf("sysfs: write %q to %s: only %d bytes taken", value, p, n)
		}
		return nil
	}
}

// Wait waits until an attribute reads value. The driver has to tell its
// changes: then poll(2) returns from a file that was read before them.
func (d Dir) Wait(p, value string) error {
	fd, err := open(string(d)+p, unix.O_RDONLY)
	if err == nil {
		defer unix.Close(fd)
		var buf [256]byte
		for n := 0; err == nil || err == unix.EINTR; {
			if n, err = unix.Pread(fd, buf[:], 0); err == nil {
				if strings.TrimRight(string(buf[:n]), "\n") == value {
					return nil
				}
				_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, -1)
			}
		}
	}
	return fmt.Errorf("sysfs: wait for %s: %w", p, err)
}

// Readlink implements FS.
func (d Dir) Readlink(p string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlink(string(d)+p, buf[:])
	if err != nil {
		return "", fmt.Errorf("sysfs: readlink %s: %w", p, err)
	}
	return string(buf[:n]), nil
}

// Resolve implements FS.
func (d Dir) Resolve(p string) (string, error) {
	rest := strings.Split(path.Clean("/"+p), "/")[1:]
	done := ""
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" {
			continue
		}
		next := done + "/" + name
		target, err := d.Readlink(next)
		if err != nil {
			if !d.Exists(next) {
				return "", fmt.Errorf("sysfs: resolve %s: %w", p, unix.ENOENT)
			}
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("sysfs: resolve %s: %w", p, unix.ELOOP)
		}
		if strings.HasPrefix(target, "/") || !within(done, target) {
			return "", fmt.Errorf("sysfs: resolve %s: %w", p, ErrEscapes)
		}
		rest = append(strings.Split(path.Join(done, target), "/"), rest...)
		done = ""
	}
	if done == "" {
		done = "/"
	}
	return done, nil
}

// within says whether a relative target, seen from dir, stays below the root.
func within(dir, target string) bool {
	depth := strings.Count(dir, "/")
	for _, e := range strings.Split(target, "/") {
		switch e {
		case "..":
			if depth--; depth < 0 {
				return false
			}
		case "", ".":
		default:
			depth++
		}
	}
	return true
}

// List implements FS.
func (d Dir) List(p string) ([]string, error) {
	fd, err := open(string(d)+p, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("sysfs: list %s: %w", p, err)
	}
	defer unix.Close(fd)
	var names []string
	var buf [4096]byte
	for {
		n, err := unix.Getdents(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sysfs: list %s: %w", p, err)
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	order.Strings(names)
	return names, nil
}

// Exists implements FS.
func (d Dir) Exists(p string) bool {
	return unix.Faccessat(unix.AT_FDCWD, string(d)+p, unix.F_OK, 0) == nil
}

func open(p string, flags int) (int, error) {
	for {
		fd, err := unix.Open(p, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}
