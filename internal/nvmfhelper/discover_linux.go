package nvmfhelper

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/nvmf"
)

// adminCommand is the request of an admin command (linux/nvme_ioctl.h, struct
// nvme_passthru_cmd), 72 bytes.
type adminCommand struct {
	opcode, flags            uint8
	_                        uint16
	nsid                     uint32
	cdw2, cdw3               uint32
	metadata, addr           uint64
	metadataLen, dataLen     uint32
	cdw10, cdw11, cdw12      uint32
	cdw13, cdw14, cdw15      uint32
	timeoutMillis, resultDW0 uint32
}

// Numbers of the request, the command Get Log Page and the discovery page.
const (
	ioctlAdmin    = 0xc0484e41
	opGetLog      = 0x02
	pageDiscovery = 0x70
)

// maxChunk bounds what is read at a time, in bytes: more than any controller
// refuses.
const maxChunk = 4096

// discover asks a discovery controller for its list, and lets go of it.
func discover(t nvmf.Target) ([]nvmf.Target, error) {
	name, err := connect(t)
	if err != nil {
		return nil, err
	}
	defer os.WriteFile("/sys/class/nvme/"+name+"/delete_controller", []byte("1"), 0)
	fd, err := unix.Open("/dev/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/%s: %w", name, err)
	}
	defer unix.Close(fd)
	const tries = 3
	for range tries {
		header := make([]byte, nvmf.LogHeader)
		if err := readLog(fd, header); err != nil {
			return nil, err
		}
		size, generation, err := nvmf.LogSize(header)
		if err != nil {
			return nil, err
		}
		page := make([]byte, size)
		if err := readLog(fd, page); err != nil {
			return nil, err
		}
		if _, now, err := nvmf.LogSize(page); err != nil || now != generation {
			continue // the list has changed meanwhile
		}
		return nvmf.ParseLog(page, t)
	}
	return nil, fmt.Errorf("the list of subsystems changes all the time")
}

// readLog reads the discovery page from its beginning.
func readLog(fd int, page []byte) error {
	for at := 0; at < len(page); at += maxChunk {
		part := page[at:min(at+maxChunk, len(page))]
		dwords := uint32(len(part)/4 - 1)
		c := adminCommand{opcode: opGetLog, addr: uint64(uintptr(unsafe.Pointer(&part[0]))), dataLen: uint32(len(part)),
			cdw10: pageDiscovery | dwords<<16, cdw11: dwords >> 16, cdw12: uint32(at)}
		status, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlAdmin, uintptr(unsafe.Pointer(&c)))
		runtime.KeepAlive(part)
		if errno != 0 {
			return fmt.Errorf("read the list of subsystems: %w", errno)
		}
		if status != 0 {
			return fmt.Errorf("read the list of subsystems: status %#x", status)
		}
	}
	return nil
}
