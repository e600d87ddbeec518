package pid1

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
)

// switcher starts the real system: the last act of this program.
type switcher struct {
	began  int64         // when this program started, in microseconds since 1970, for the real system
	mono   time.Duration // the same on the monotonic clock
	before func()        // flushes and closes what must not reach the real system
	spawn  *children
}

// carried are the mounts that move into the real system.
var carried = [...]string{"/run", "/dev", "/proc", "/sys"}

// SwitchRoot does what switch_root(8) does, and what systemd wants of an
// initrd (systemd.io/INITRD_INTERFACE): everything that can fail is looked at
// first, with nothing changed; then processes are ended, the kernel's
// filesystems moved, the root moved over, the memory of the image freed, and
// init executed.
func (s *switcher) SwitchRoot(sw machine.SwitchRoot) error {
	init, err := files{}.InRoot(sw.Root, sw.Init)
	if err != nil {
		return fmt.Errorf("init %s: %w", sw.Init, err)
	}
	if !init.Mode.IsRegular() || init.Mode&0o111 == 0 {
		return fmt.Errorf("init %s is not an executable file", sw.Init)
	}
	var root, here unix.Stat_t
	if err := unix.Stat(sw.Root, &root); err != nil {
		return fmt.Errorf("stat %s: %w", sw.Root, err)
	}
	if err := unix.Stat("/", &here); err != nil {
		return fmt.Errorf("stat /: %w", err)
	}
	if root.Dev == here.Dev {
		return fmt.Errorf("nothing is mounted on %s", sw.Root)
	}
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(old)
	if err := interpreter(sw.Root, init.Path); err != nil {
		return fmt.Errorf("init %s: %w", sw.Init, err)
	}
	s.spawn.endAll()
	s.before()
	if err := s.move(sw.Root); err != nil {
		return err
	}
	// From here on there is no way back, and nothing is left that should fail.
	if err := freeImage(old, here.Dev); err != nil {
		kmsg(4, "the image's memory was not freed: "+err.Error())
	}
	argv := append([]string{sw.Init}, sw.Args...)
	if isSystemd(init.Path) {
		argv = append(argv, s.systemdArgs()...)
	}
	hugePages(true) // it would be inherited, and so would the other
	runtime.LockOSThread()
	usualSleep()
	err = unix.Exec(sw.Init, argv, environment())
	return fmt.Errorf("execute %s: %w", sw.Init, err)
}

// move takes the kernel's filesystems along and makes the real root the root.
// If it fails, what was moved is back in its place.
func (s *switcher) move(root string) (err error) {
	var moved []string
	var missing []string
	defer func() {
		if err == nil {
			return
		}
		unix.Chdir("/")
		for _, from := range slices.Backward(moved) {
			if back := unix.Mount(path.Join(root, from), from, "", unix.MS_MOVE, ""); back != nil {
				err = errors.Join(err, fmt.Errorf("move %s back: %w", from, back))
			}
		}
	}()
	for _, from := range carried {
		to := path.Join(root, from)
		if st, err := sysfile.Lstat(to); err != nil || !st.Mode.IsDir() {
			// A read-only or bare root without the directory: it is better to
			// start without that mount than not at all.
			kmsg(4, to+" is missing in the real root: "+from+" is not carried over")
			missing = append(missing, from)
			continue
		}
		if err := unix.Mount(from, to, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to %s: %w", from, to, err)
		}
		moved = append(moved, from)
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("change to %s: %w", root, err)
	}
	for _, from := range missing {
		unix.Unmount(from, unix.MNT_DETACH)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", root, err)
	}
	moved = nil // they went along
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root to %s: %w", root, err)
	}
	return unix.Chdir("/")
}

// interpreter looks whether the kernel could execute a program of the real
// root: a script's "#!" and an ELF file's interpreter have to be there too.
// After the switch it would be too late to find out.
func interpreter(root, p string) error {
	f, err := openIn(root, p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer f.Close()
	needs, err := needed(f)
	if err != nil {
		return fmt.Errorf("cannot be executed: %w", err)
	}
	if needs == "" {
		return nil
	}
	info, err := files{}.InRoot(root, needs)
	if err != nil {
		return fmt.Errorf("it needs %s: %w", needs, err)
	}
	if !info.Mode.IsRegular() || info.Mode&0o111 == 0 {
		return fmt.Errorf("it needs %s, which is not an executable file", needs)
	}
	return nil
}

// needed returns the interpreter that a program names, or "". The layout of
// an ELF file is that of elf(5).
func needed(r io.ReaderAt) (string, error) {
	var head [256]byte
	n, err := r.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	if n == 0 {
		return "", errors.New("the file is empty")
	}
	if string(head[:2]) == "#!" {
		line, _, _ := strings.Cut(string(head[2:n]), "\n")
		line, _, _ = strings.Cut(line, "\x00") // to the kernel it ends there as well
		f := strings.Fields(line)
		if len(f) == 0 {
			return "", errors.New("its #! line names no program")
		}
		return f[0], nil
	}
	if string(head[:4]) != "\x7fELF" {
		return "", errors.New("it is neither an ELF program nor a script")
	}
	if n < 64 {
		return "", errors.New("its ELF header is cut off")
	}
	return elfInterpreter(r, head[:64])
}

func elfInterpreter(r io.ReaderAt, head []byte) (string, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	wide := head[4] == 2
	off, size, count := uint64(order.Uint32(head[28:])), order.Uint16(head[42:]), order.Uint16(head[44:])
	if wide {
		off, size, count = order.Uint64(head[32:]), order.Uint16(head[54:]), order.Uint16(head[56:])
	}
	if size < 32 || wide && size < 56 {
		return "", errors.New("its ELF program headers are not valid")
	}
	const ptInterp = 3
	entry := make([]byte, size)
	for i := range uint64(count) {
		if _, err := r.ReadAt(entry, int64(off+i*uint64(size))); err != nil {
			return "", fmt.Errorf("its ELF program headers: %w", err)
		}
		if order.Uint32(entry) != ptInterp {
			continue
		}
		at, length := uint64(order.Uint32(entry[4:])), uint64(order.Uint32(entry[16:]))
		if wide {
			at, length = order.Uint64(entry[8:]), order.Uint64(entry[32:])
		}
		if length == 0 || length > 4096 {
			return "", errors.New("the name of its ELF interpreter is not valid")
		}
		name := make([]byte, length)
		if _, err := r.ReadAt(name, int64(at)); err != nil {
			return "", fmt.Errorf("the name of its ELF interpreter: %w", err)
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", nil
}

// freeImage removes everything of the image, so that its memory is free. It
// refuses to touch anything but the ram filesystem that the image is in.
func freeImage(dir int, dev uint64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(dir, &fs); err != nil {
		return err
	}
	if fs.Type != unix.RAMFS_MAGIC && fs.Type != unix.TMPFS_MAGIC {
		return errors.New("the image is not on a ram filesystem")
	}
	return removeBelow(dir, dev)
}

func removeBelow(dir int, dev uint64) error {
	buf := make([]byte, 16<<10)
	var names []string
	for {
		n, err := unix.Getdents(dir, buf)
		if err != nil {
			return err
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	var first error
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Dev != dev {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if err := unix.Unlinkat(dir, name, 0); err != nil && first == nil {
				first = fmt.Errorf("remove %s: %w", name, err)
			}
			continue
		}
		sub, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		err = removeBelow(sub, dev)
		unix.Close(sub)
		if err == nil {
			err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		}
		if err != nil && err != unix.EBUSY && first == nil {
			first = fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return first
}

// isSystemd says whether the real init is systemd.
func isSystemd(p string) bool { return path.Base(p) == "systemd" }

// systemdArgs tell systemd that it was started by an initrd and when that
// began, so that `systemd-analyze` shows the initrd's share: it reads
// "initrd-timestamp=REALTIME MONOTONIC" (microseconds) from the descriptor
// that --deserialize names, as it does after its own switch of roots.
func (s *switcher) systemdArgs() []string {
	fd, err := unix.MemfdCreate("systemd-state", 0)
	if err != nil {
		return nil
	}
	text := fmt.Sprintf("initrd-timestamp=%d %d\n\n", s.began, s.mono.Microseconds())
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		unix.Close(fd)
		return nil
	}
	unix.Seek(fd, 0, 0)
	return []string{"--switched-root", "--system", "--deserialize", strconv.Itoa(fd)}
}

// environment is what the kernel gave to this program. The kernel passes
// parameters it does not know as variables; the real init has a right to
// them.
func environment() []string {
	env := os.Environ()
	for i, v := range env {
		if strings.HasPrefix(v, "PATH=") {
			return env[:i+copy(env[i:], env[i+1:])]
		}
	}
	return env
}
