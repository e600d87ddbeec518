package devmapper

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// Control is the kernel's device mapper. It is safe for concurrent use: the
// kernel serialises the calls.
type Control struct {
	fd int
	// do is the system call; tests of the buffer handling replace it.
	do func(fd int, req uint, buf []byte) error
}

var _ Mapper = (*Control)(nil)

// Path is the control node, a misc device with the fixed number 10:236.
const Path = "/dev/mapper/control"

// Open opens the control node. Where the node exists but the driver does
// not, the kernel loads the module dm-mod on its own if it can; otherwise the
// error wraps ErrNoDriver, as it does when the node is missing.
func Open(path string) (*Control, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return &Control{fd: fd, do: ioctl}, nil
		case unix.EINTR:
		case unix.ENOENT, unix.ENODEV, unix.ENXIO:
			return nil, fmt.Errorf("open %s: %w: %w", path, ErrNoDriver, err)
		default:
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
	}
}

// Close closes the control node.
func (c *Control) Close() error { return unix.Close(c.fd) }

func ioctl(fd int, req uint, buf []byte) error {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(&buf[0])))
	if e != 0 {
		return e
	}
	return nil
}

const (
	smallBuffer = headSize + 1024 // for calls that are answered by the head
	listBuffer  = 16 << 10        // for lists, to begin with
)

// call runs one request and grows the buffer until the answer fits. decode
// must copy what it wants to keep: the buffer is wiped if it may hold a key.
func (c *Control) call(op string, req uint, q request, size int, decode func([]byte) error) error {
	for {
		b, err := q.encode(size)
		if err != nil {
			return fmt.Errorf("device-mapper %s %s: %w", op, q.ref, err)
		}
		err = c.do(c.fd, req, b)
		if err == unix.EINTR { // a suspend that was waiting for I/O
			clear(b)
			continue
		}
		full := err == nil && flagsOf(b)&flagBufferFull != 0
		switch {
		case err != nil:
			if errors.Is(err, unix.ENOTTY) {
				err = fmt.Errorf("%w: %w", ErrNoDriver, err)
			}
		case full && len(b) >= MaxBuffer:
			err = fmt.Errorf("%w: more than %d bytes", ErrTooBig, MaxBuffer)
		case full:
			size = min(2*len(b), MaxBuffer)
		case decode != nil:
			err = decode(b)
		}
		if q.secure {
			clear(b)
		}
		if err != nil {
			return fmt.Errorf("device-mapper %s %s: %w", op, q.ref, err)
		}
		if !full {
			return nil
		}
	}
}

// info runs a request that is answered by the head alone.
func (c *Control) info(op string, req uint, q request) (i Info, err error) {
	err = c.call(op, req, q, smallBuffer, func(b []byte) error { i = decodeInfo(b); return nil })
	return i, err
}

// Version implements Mapper.
func (c *Control) Version() (v Version, err error) {
	err = c.call("version", unix.DM_VERSION, request{}, smallBuffer, func(b []byte) error {
		v = Version{native.Uint32(b), native.Uint32(b[4:]), native.Uint32(b[8:])}
		return nil
	})
	if v.Major != 0 && v.Major != 4 {
		return v, fmt.Errorf("%w: the kernel has %v", ErrVersion, v)
	}
	return v, err
}

// Targets implements Mapper.
func (c *Control) Targets() (list []TargetVersion, err error) {
	err = c.call("list targets", unix.DM_LIST_VERSIONS, request{}, listBuffer, func(b []byte) (err error) {
		list, err = decodeVersions(b)
		return err
	})
	return list, err
}

// Devices implements Mapper.
func (c *Control) Devices() (list []ListEntry, err error) {
	err = c.call("list devices", unix.DM_LIST_DEVICES, request{}, listBuffer, func(b []byte) (err error) {
		list, err = decodeNames(b)
		return err
	})
	return list, err
}

// one reduces a Ref to what counts in it: the kernel refuses more than one.
func one(r Ref) Ref {
	switch {
	case r.Name != "":
		return Ref{Name: r.Name}
	case r.UUID != "":
		return Ref{UUID: r.UUID}
	}
	return r
}

// Info implements Mapper.
func (c *Control) Info(r Ref) (Info, error) {
	return c.info("info", unix.DM_DEV_STATUS, request{ref: one(r)})
}

// Create implements Mapper.
func (c *Control) Create(name, uuid string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	return c.info("create", unix.DM_DEV_CREATE, request{ref: Ref{Name: name, UUID: uuid}})
}

// Load implements Mapper.
func (c *Control) Load(r Ref, table []Target, o LoadOptions) (Info, error) {
	if err := CheckTable(table); err != nil {
		return Info{}, fmt.Errorf("device-mapper load %s: %w", r, err)
	}
	q := request{ref: one(r), table: table}
	for _, t := range table {
		q.secure = q.secure || t.Secret
	}
	if o.ReadOnly {
		q.flags |= flagReadOnly
	}
	return c.info("load", unix.DM_TABLE_LOAD, q)
}

// Clear implements Mapper.
func (c *Control) Clear(r Ref) (Info, error) {
	return c.info("clear", unix.DM_TABLE_CLEAR, request{ref: one(r)})
}

// Resume implements Mapper.
func (c *Control) Resume(r Ref, o ResumeOptions) (Info, error) {
	q := request{ref: one(r), event: uint32(o.Cookie)}
	if o.ReadOnly {
		q.flags |= flagReadOnly
	}
	if o.NoFlush {
		q.flags |= flagNoFlush
	}
	if o.SkipLockFS {
		q.flags |= flagSkipLockFS
	}
	return c.info("resume", unix.DM_DEV_SUSPEND, q)
}

// Suspend implements Mapper.
func (c *Control) Suspend(r Ref, o SuspendOptions) (Info, error) {
	q := request{ref: one(r), flags: flagSuspend}
	if o.NoFlush {
		q.flags |= flagNoFlush
	}
	if o.SkipLockFS {
		q.flags |= flagSkipLockFS
	}
	return c.info("suspend", unix.DM_DEV_SUSPEND, q)
}

// Remove implements Mapper.
func (c *Control) Remove(r Ref, o RemoveOptions) (Info, error) {
	q := request{ref: one(r), event: uint32(o.Cookie)}
	if o.Deferred {
		q.flags |= flagDeferred
	}
	return c.info("remove", unix.DM_DEV_REMOVE, q)
}

// Table implements Mapper.
func (c *Control) Table(r Ref) (table []Target, err error) {
	q := request{ref: one(r), flags: flagStatusTable, secure: true}
	err = c.call("table", unix.DM_TABLE_STATUS, q, listBuffer, func(b []byte) (err error) {
		table, err = decodeTargets(b)
		return err
	})
	return table, err
}

// Status implements Mapper.
func (c *Control) Status(r Ref) (table []Target, err error) {
	err = c.call("status", unix.DM_TABLE_STATUS, request{ref: one(r)}, listBuffer, func(b []byte) (err error) {
		table, err = decodeTargets(b)
		for i := range table {
			table[i].Secret = false
		}
		return err
	})
	return table, err
}

// Deps implements Mapper.
func (c *Control) Deps(r Ref) (deps []Devnum, err error) {
	err = c.call("deps", unix.DM_TABLE_DEPS, request{ref: one(r)}, listBuffer, func(b []byte) (err error) {
		deps, err = decodeDeps(b)
		return err
	})
	return deps, err
}
