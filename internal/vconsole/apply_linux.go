package vconsole

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Apply carries a list out on an open virtual terminal and returns the first
// error; what comes after one is tried all the same. again leaves out what the
// kernel keeps: it is only the display that may be another one than before.
func Apply(fd int, list []byte, again bool) (err error) {
	call := func(request uint32, arg uintptr) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg); errno != 0 && err == nil {
			err = errno
		}
	}
	for {
		c, rest, ok := Next(list)
		if !ok {
			return err
		}
		list = rest
		if again && len(c.Data) == 0 {
			continue
		}
		if len(c.Args) == 0 {
			call(c.Request, uintptr(c.Value))
		}
		for a := c.Args; len(a) > 0; a = a[c.Size:] {
			if len(c.Data) > 0 {
				// The list is kept by the caller, and nothing is moved.
				binary.LittleEndian.PutUint64(a[c.At:], uint64(uintptr(unsafe.Pointer(&c.Data[0]))))
			}
			call(c.Request, uintptr(unsafe.Pointer(&a[0])))
		}
	}
}
