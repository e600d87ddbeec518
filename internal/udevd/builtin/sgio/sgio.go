// Package sgio asks disks who they are by SCSI commands (the SG_IO ioctl). It
// is the ident.Querier of a running system. It only sends commands that read:
// INQUIRY, and ATA IDENTIFY wrapped in ATA PASS-THROUGH.
package sgio

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// Disks sends commands to the disks of this machine. Each call opens and
// closes the node and may block for up to the timeout of a command.
type Disks struct{}

const (
	sgIO        = 0x2285
	fromDevice  = -3 // SG_DXFER_FROM_DEV
	timeout     = 5000
	inquirySize = 254
)

// header is struct sg_io_hdr of <scsi/sg.h>.
type header struct {
	interfaceID    int32
	direction      int32
	cmdLen         uint8
	maxSense       uint8
	iovecCount     uint16
	length         uint32
	data           unsafe.Pointer
	cmd            unsafe.Pointer
	sense          unsafe.Pointer
	timeout        uint32 // milliseconds
	flags          uint32
	packID         int32
	userPtr        unsafe.Pointer
	status         uint8
	maskedStatus   uint8
	msgStatus      uint8
	senseLen       uint8
	hostStatus     uint16
	driverStatus   uint16
	resid          int32
	duration, info uint32
}

// ErrRefused means that the device did not take the command.
var ErrRefused = errors.New("the device refused the command")

// Inquiry sends INQUIRY (SPC-4, 6.6) and returns the answer, of at most 254
// bytes: the standard data, or a page of vital product data.
func (Disks) Inquiry(devnode string, vpd bool, page byte) ([]byte, error) {
	cmd := [6]byte{0x12, 0, 0, 0, inquirySize, 0}
	if vpd {
		cmd[1], cmd[2] = 1, page
	}
	var out []byte
	err := withNode(devnode, func(fd int) (err error) {
		out, err = send(fd, cmd[:], inquirySize, false)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("inquiry of %s: %w", devnode, err)
	}
	return out, nil
}

// Identify sends IDENTIFY DEVICE to a disk, IDENTIFY PACKET DEVICE to an
// optical drive, and returns its 512 bytes. Anything else is refused: the
// short form of ATA PASS-THROUGH means "blank the medium" to a writer that is
// not behind an ATA port.
func (Disks) Identify(devnode string) ([]byte, error) {
	var out []byte
	err := withNode(devnode, func(fd int) error {
		std, err := send(fd, []byte{0x12, 0, 0, 0, 36, 0}, 36, false)
		if err != nil {
			return err
		}
		if len(std) == 0 {
			return ErrRefused
		}
		var cmd []byte
		switch std[0] & 0x1f {
		case 0: // ATA PASS-THROUGH (12): PIO in, from the device, blocks in the count
			cmd = []byte{0xa1, 4 << 1, 0x2e, 0, 1, 0, 0, 0, 0, 0xec, 0, 0}
		case 5: // ATA PASS-THROUGH (16)
			cmd = []byte{0x85, 4 << 1, 0x2e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xa1, 0}
		default:
			return fmt.Errorf("%w: it is neither a disk nor an optical drive", ErrRefused)
		}
		if out, err = send(fd, cmd, 512, true); err == nil && len(out) < 512 {
			err = fmt.Errorf("%w: only %d of 512 bytes came", ErrRefused, len(out))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("identify %s: %w", devnode, err)
	}
	return out, nil
}

func withNode(devnode string, f func(fd int) error) error {
	for {
		fd, err := unix.Open(devnode, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		defer unix.Close(fd)
		return f(fd)
	}
}

// send sends one command that reads size bytes. ata: the state of the ATA
// registers comes back as sense data, which is no error as long as it says
// so.
func send(fd int, cmd []byte, size int, ata bool) ([]byte, error) {
	buf := make([]byte, size)
	var sense [32]byte
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&buf[0])
	pin.Pin(&cmd[0])
	pin.Pin(&sense[0])
	h := header{interfaceID: 'S', direction: fromDevice, cmdLen: uint8(len(cmd)), maxSense: uint8(len(sense)),
		length: uint32(size), data: unsafe.Pointer(&buf[0]), cmd: unsafe.Pointer(&cmd[0]), sense: unsafe.Pointer(&sense[0]), timeout: timeout}
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), sgIO, uintptr(unsafe.Pointer(&h)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("ioctl SG_IO: %w", errno)
		}
		break
	}
	if h.hostStatus != 0 {
		return nil, fmt.Errorf("%w: host status %#x", ErrRefused, h.hostStatus)
	}
	// CHECK CONDITION with sense key 1, "recovered error", is how the state
	// of the ATA registers comes back.
	if h.status&^1 != 0 && !(ata && h.status == 2 && senseKey(sense[:h.senseLen]) == 1) {
		return nil, fmt.Errorf("%w: status %#x, sense key %#x", ErrRefused, h.status, senseKey(sense[:h.senseLen]))
	}
	return buf[:size-min(max(int(h.resid), 0), size)], nil
}

// senseKey reads the key out of sense data of either format (SPC-4, 4.5).
func senseKey(s []byte) byte {
	switch {
	case len(s) < 3:
		return 0
	case s[0]&0x7f >= 0x72:
		return s[1] & 0xf
	}
	return s[2] & 0xf
}
