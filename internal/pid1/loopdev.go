package pid1

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// loopTries bounds how often a free loop device is asked for: another one may
// take it in between.
const loopTries = 8

// Loop implements machine.Storage by LOOP_CONFIGURE (Linux 5.8), which sets
// file, offset and flags in one step, so that the device's one event comes when
// all of it is there (include/uapi/linux/loop.h).
func (storage) Loop(root, file string, offset uint64, readOnly bool) (string, error) {
	flags := uint64(unix.O_RDWR)
	if readOnly {
		flags = unix.O_RDONLY
	}
	f, err := openIn(root, file, flags)
	if !readOnly && (errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES)) {
		readOnly = true
		f, err = openIn(root, file, unix.O_RDONLY)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return "", err
	} else if !st.Mode.IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", file)
	} else if offset >= uint64(st.Size) {
		return "", fmt.Errorf("%s ends before byte %d, with which the root should begin", file, offset)
	}
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open /dev/loop-control: %w", err)
	}
	defer unix.Close(control)
	config := unix.LoopConfig{Fd: uint32(f.FD()), Info: unix.LoopInfo64{Offset: offset}}
	if readOnly {
		config.Info.Flags = unix.LO_FLAGS_READ_ONLY
	}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file)
	for range loopTries {
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("free loop device: %w", err)
		}
		name := "/dev/loop" + strconv.Itoa(n)
		dev, err := unix.Open(name, int(flags)|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", fmt.Errorf("open %s: %w", name, err)
		}
		err = unix.IoctlLoopConfigure(dev, &config)
		unix.Close(dev)
		if err == nil {
			return name, nil
		}
		if err != unix.EBUSY {
			return "", fmt.Errorf("%s on %s: %w", file, name, err)
		}
	}
	return "", fmt.Errorf("%s: every loop device that was free was taken", file)
}
