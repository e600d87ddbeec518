package pid1

import (
	"path"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// handover implements machine.Handover.
type handover struct{}

// Handover is for machine.HandoverOf.
func (system) Handover() machine.Handover { return handover{} }

// ListDir implements machine.Handover.
func (handover) ListDir(dir string) ([]string, error) {
	names, err := sysfs.Dir(dir).List("")
	order.Strings(names)
	return names, err
}

// SetEnv implements machine.Handover.
func (handover) SetEnv(name, value string) error { return unix.Setenv(name, value) }

// SetSysctl implements machine.Handover.
func (handover) SetSysctl(p, value string) error {
	if path.Clean("/"+p) != "/"+p {
		return fmt.Errorf("%s is no parameter of the kernel", p)
	}
	return sysfile.WriteFile(machine.SysctlDir+p, []byte(value), 0)
}

// tpmNode is the TPM by way of the kernel's resource manager.
const tpmNode = "/dev/tpmrm0"

// TPM implements machine.Handover.
func (handover) TPM(command []byte) ([]byte, error) {
	fd, err := unix.Open(tpmNode, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tpmNode, err)
	}
	defer unix.Close(fd)
	// The driver takes a command by one write, and read waits for its answer.
	if _, err := unix.Write(fd, command); err != nil {
		return nil, fmt.Errorf("write to %s: %w", tpmNode, err)
	}
	answer := make([]byte, 4096)
	n, err := unix.Read(fd, answer)
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", tpmNode, err)
	}
	return answer[:n], nil
}
