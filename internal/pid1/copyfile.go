package pid1

import (
	"crypto/sha256"
	"errors"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
)

// copyBlock is how much is copied at a time, in bytes.
const copyBlock = 1 << 20

// CopyFile implements machine.Files.
func (files) CopyFile(root, file, target string, how int) (string, error) {
	give, wanted := how&machine.CopyGive != 0 && target != "", how&machine.CopySum != 0
	flags := uint64(unix.O_RDONLY)
	if give {
		flags = unix.O_RDWR
	}
	from, err := openIn(root, file, flags|unix.O_NOCTTY|unix.O_NONBLOCK)
	if err != nil {
		return "", err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode.IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", file)
	}
	sum := ""
	if target == "" || give && wanted {
		if sum, err = copyForwards(from, -1, st.Size, wanted, false); err != nil || target == "" {
			return sum, err
		}
	}
	to, device, err := copyTarget(target)
	if err != nil {
		return "", err
	}
	if give {
		err = copyBackwards(from, to, st.Size, device)
	} else {
		sum, err = copyForwards(from, to, st.Size, wanted, device)
	}
	err = errors.Join(err, unix.Close(to))
	if err != nil {
		if !device {
			sysfile.Remove(target)
		}
		return "", fmt.Errorf("copy %s to %s: %w", path.Join(root, file), target, err)
	}
	return sum, nil
}

// copyTarget opens what is written to.
func copyTarget(name string) (fd int, device bool, err error) {
	flags := unix.O_WRONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW
	switch base := strings.TrimPrefix(name, "/dev/"); {
	case path.Clean(name) != name:
		return 0, false, fmt.Errorf("%s is not a clean path", name)
	case strings.HasPrefix(base, "ram") || strings.HasPrefix(base, "zram"):
		device = true
	case strings.HasPrefix(name, "/run/"):
		flags |= unix.O_CREAT | unix.O_TRUNC
	default:
		return 0, false, fmt.Errorf("%s is neither below /run nor a ramdisk", name)
	}
	fd, err = unix.Open(name, flags, 0o600)
	if err != nil {
		return 0, device, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, device, nil
}

// copyForwards copies a file of size bytes to another one, or only reads it if
// that is -1, and returns its sum if that is wanted. Nothing stays in the cache:
// of a medium nothing is read twice.
func copyForwards(from *sysfile.File, to int, size int64, wanted, device bool) (string, error) {
	h, buf := sha256.New(), make([]byte, copyBlock)
	for at := int64(0); at < size; {
		b := buf[:min(copyBlock, size-at)]
		if err := readFull(from, b, at); err != nil {
			return "", err
		}
		if wanted {
			h.Write(b)
		}
		if to >= 0 {
			if err := writeFull(to, b, at, device); err != nil {
				return "", err
			}
		}
		unix.Fadvise(from.FD(), at, int64(len(b)), unix.FADV_DONTNEED)
		at += int64(len(b))
	}
	if !wanted {
		return "", nil
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// copyBackwards copies the last block first, so that the file can be cut behind
// what is still to be copied. That works on a ramfs too, which cannot have
// holes.
func copyBackwards(from *sysfile.File, to int, size int64, device bool) error {
	buf := make([]byte, copyBlock)
	for end := size; end > 0; {
		at := (end - 1) / copyBlock * copyBlock
		b := buf[:end-at]
		if err := readFull(from, b, at); err != nil {
			return err
		}
		if err := writeFull(to, b, at, device); err != nil {
			return err
		}
		if err := unix.Ftruncate(from.FD(), at); err != nil {
			return err
		}
		end = at
	}
	return nil
}

// writeFull writes all of b. What is on a ramdisk need not be in the cache as
// well.
func writeFull(to int, b []byte, at int64, device bool) error {
	for done := 0; done < len(b); {
		n, err := unix.Pwrite(to, b[done:], at+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		done += n
	}
	if !device {
		return nil
	}
	if err := unix.Fsync(to); err != nil {
		return err
	}
	unix.Fadvise(to, at, int64(len(b)), unix.FADV_DONTNEED)
	return nil
}

func readFull(f *sysfile.File, b []byte, at int64) error {
	for done := 0; done < len(b); {
		n, err := f.ReadAt(b[done:], at+int64(done))
		done += n
		if err == io.EOF && done < len(b) {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// Empty implements machine.Files.
func (files) Empty(dir string) error {
	if !strings.HasPrefix(dir, "/run/") || path.Clean(dir) != dir {
		return fmt.Errorf("empty %s: only directories below /run are emptied", dir)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	if err := removeBelow(fd, st.Dev); err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	return nil
}
