package pid1

import (
	"errors"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/afalg"
	"firstlight/internal/fmt"
	"firstlight/internal/keyring"
	"firstlight/internal/luks"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// mounts implements machine.Mounts.
type mounts struct{}

func (mounts) Mount(m machine.Mount) error {
	if err := sysfile.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	m.Source = byName(m.Source)
	err := unix.Mount(m.Source, m.Target, m.FSType, m.Flags, m.Data)
	if err == unix.EACCES || err == unix.EROFS {
		// The device is write-protected: what mount(8) does is what people
		// expect, and reading is all that is asked for at first anyway.
		err = unix.Mount(m.Source, m.Target, m.FSType, m.Flags|unix.MS_RDONLY, m.Data)
	}
	if err != nil {
		return fmt.Errorf("mount %s on %s as %s: %w", m.Source, m.Target, m.FSType, err)
	}
	return nil
}

// byName is what mount(8) calls a mapped device, and people know it by: its name
// in /dev/mapper, if that leads to it.
func byName(source string) string {
	if strings.HasPrefix(source, "/dev/dm-") {
		at := source[len("/dev"):]
		name, _ := sysfs.Dir("/sys/block").Read(at + "/dm/name")
		link := "/dev/mapper/" + name
		if to, _ := sysfile.Readlink(link); to == ".."+at {
			return link
		}
	}
	return source
}

func (mounts) Unmount(target string, detach bool) error {
	flags := 0
	if detach {
		flags = unix.MNT_DETACH
	}
	if err := unix.Unmount(target, flags); err != nil {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// system implements machine.System but for SwitchRoot.
type system struct{}

func (system) Resume(major, minor uint32, offset uint64) error {
	if offset != 0 {
		if err := sysfile.WriteFile("/sys/power/resume_offset", []byte(strconv.FormatUint(offset, 10)), 0); err != nil {
			return fmt.Errorf("resume offset: %w", err)
		}
	}
	err := sysfile.WriteFile("/sys/power/resume", fmt.Appendf(nil, "%d:%d", major, minor), 0)
	if err != nil {
		return fmt.Errorf("resume from %d:%d: %w", major, minor, err)
	}
	return machine.ErrNoImage
}

func (system) Stop(how machine.Power) error {
	unix.Sync()
	cmd := map[machine.Power]int{machine.Reboot: unix.LINUX_REBOOT_CMD_RESTART,
		machine.PowerOff: unix.LINUX_REBOOT_CMD_POWER_OFF, machine.Halt: unix.LINUX_REBOOT_CMD_HALT}[how]
	if cmd == 0 {
		return fmt.Errorf("%q is no way to stop", how)
	}
	if err := unix.Reboot(cmd); err != nil {
		return fmt.Errorf("%s: %w", how, err)
	}
	return nil
}

func (system) WithKey(description string, key []byte, f func() error) error {
	err := keyring.With(description, key, f)
	if errors.Is(err, keyring.ErrUnavailable) {
		return machine.ErrNoKeyring
	}
	return err
}

// WithSignature implements machine.Signatures.
func (system) WithSignature(description string, signature []byte, f func() error) error {
	err := keyring.WithOpen(description, signature, f)
	if errors.Is(err, keyring.ErrUnavailable) {
		return machine.ErrNoKeyring
	}
	return err
}

// hugePages says whether the kernel may give this process memory in pages of
// 2 MiB. A boot touches little of each, and clearing them would be a good part
// of its time; a key derivation is the opposite.
func hugePages(on bool) {
	off := uintptr(1)
	if on {
		off = 0
	}
	// Where the kernel knows no huge pages there is nothing to forbid.
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, off, 0, 0, 0)
}

// usualSleep gives the calling thread back the precision of sleeping that
// processes have, in nanoseconds; what this process began with is not that
// (firstlight/internal/entry). Programs that a thread executes inherit it.
func usualSleep() { unix.Prctl(unix.PR_SET_TIMERSLACK, 50_000, 0, 0, 0) }

// Memory is asked before much is used.
func (system) Memory() (uint64, error) {
	hugePages(true)
	b, err := sysfile.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 53)
			if err != nil {
				return 0, fmt.Errorf("/proc/meminfo: %q: %w", line, err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}

func (system) Now() time.Duration { return now() }

func (system) FreeMemory() {
	debug.FreeOSMemory()
	hugePages(false)
}

func (system) Ciphers() luks.Ciphers { return afalg.Ciphers{} }
