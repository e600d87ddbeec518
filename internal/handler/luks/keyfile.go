package luks

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// onDevice turns a key that is named like a file, but is a device, into one on
// that device.
func onDevice(k bootcmd.LuksKey) bootcmd.LuksKey {
	if k.Device.IsDevice() || !strings.HasPrefix(k.Path, "/dev/") {
		return k
	}
	if spec, err := devspec.Parse(k.Path); err == nil && spec.IsDevice() {
		return bootcmd.LuksKey{Device: spec}
	}
	return k
}

// usualKeys are the files in which the key of a volume is looked for where
// none is named (crypttab(5)).
func usualKeys(name string) []bootcmd.LuksKey {
	if strings.Contains(name, "/") {
		return nil
	}
	var out []bootcmd.LuksKey
	for _, dir := range [...]string{"/etc/cryptsetup-keys.d/", "/run/cryptsetup-keys.d/"} {
		out = append(out, bootcmd.LuksKey{Path: dir + name + ".key"})
	}
	return out
}

func describeKey(k bootcmd.LuksKey) string {
	if k.Device.IsDevice() {
		return k.Path + " on " + k.Device.String()
	}
	return k.Path
}

// byKeyFile unlocks with a file of the image, a file of another device, or
// the bytes of another device.
func (h *Handler) byKeyFile(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header, k bootcmd.LuksKey) error {
	var from *udevd.Entry
	if k.Device.IsDevice() {
		var err error
		if from, err = h.keyDevice(t, e, v, k); err != nil {
			return err
		}
	}
	offset, size := v.options.KeyFileOffset, v.options.KeyFileSize
	if v.plain != nil && size == 0 {
		size = uint64(v.plain.KeySize)
	}
	secret, err := ueventd.Do(t, "read key "+describeKey(k), func(m machine.Machine) (inputs.Secret, error) {
		return readKey(m, k, from, offset, size)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return errNoFile
	}
	if err != nil {
		return err
	}
	defer clear(secret)
	err = h.try(t, e, v, hdr, "key "+describeKey(k), secret, true)
	if n := len(secret); errors.Is(err, luks.ErrWrongPassphrase) && n > 0 && secret[n-1] == '\n' {
		return fmt.Errorf("%w (the file ends with a newline, which counts as part of the key)", err)
	}
	return err
}

// keyDevice waits for the device that holds the key.
func (h *Handler) keyDevice(t *ueventd.Task, e *udevd.Entry, v *volume, k bootcmd.LuksKey) (*udevd.Entry, error) {
	w := h.w
	patience := keyPatience
	if v.options.KeyFileTimeout > 0 {
		patience = v.options.KeyFileTimeout
	} else if w.Config.Luks.KeyTimeout > 0 {
		patience = w.Config.Luks.KeyTimeout
	}
	until := handler.DeadlineAt(t.Now(), patience)
	for {
		w.Identified(t)
		devs := w.Find(k.Device)
		if len(devs) == 1 {
			return devs[0], nil
		}
		if len(devs) > 1 {
			return nil, fmt.Errorf("%d devices are %s", len(devs), k.Device)
		}
		w.SetFact(v.key, goal.Fact{Subject: subject(e, v), Condition: goal.Incomplete,
			Text: "its key is on " + k.Device.Describe() + ", which has not appeared", Until: until, AtExpiry: "the passphrase is asked for",
			Try: "connect the device of the key"})
		if until == 0 {
			t.Wait("the device of the key, "+k.Device.String(), udevd.TopicDevice)
		} else if t.WaitUntil(until, "the device of the key, "+k.Device.String(), udevd.TopicDevice) {
			return nil, fmt.Errorf("%s has not appeared in %s", k.Device.Describe(), goal.Seconds(patience))
		}
	}
}

func readKey(m machine.Machine, k bootcmd.LuksKey, from *udevd.Entry, offset, size uint64) ([]byte, error) {
	if from == nil {
		b, err := m.ReadFile(k.Path, maxKeyFile)
		if err != nil {
			return nil, err
		}
		return part(b, offset, size)
	}
	if k.Path == "" {
		b, err := m.OpenBlock(from.Devname())
		if err != nil {
			return nil, err
		}
		defer b.Close()
		at, n := k.Offset+offset, k.Size
		if n == 0 {
			n = size
		}
		if total := uint64(b.Size()); n == 0 && at < total { // all that is there
			n = total - at
		}
		if n == 0 || n > maxKeyFile {
			return nil, fmt.Errorf("a key of %d bytes on a device is refused; say how long it is with keyfile-size=", n)
		}
		out := make([]byte, n)
		if _, err := b.ReadAt(out, int64(at)); err != nil {
			return nil, err
		}
		return out, nil
	}
	fstype := k.FSType
	if fstype == "" || fstype == "auto" {
		fstype = from.Property("ID_FS_TYPE")
	}
	var out []byte
	err := withMounted(m, from.Devname(), fstype, mountPoint(k.Device), func(dir string) error {
		b, err := m.ReadInRoot(dir, k.Path, maxKeyFile)
		if err == nil {
			out, err = part(b, offset, size)
		}
		return err
	})
	return out, err
}

// part cuts keyfile-offset= and keyfile-size= out of a file.
func part(b []byte, offset, size uint64) ([]byte, error) {
	if offset == 0 && size == 0 {
		return b, nil
	}
	defer clear(b)
	if offset > uint64(len(b)) {
		return nil, fmt.Errorf("it has %d bytes, and the key begins at %d", len(b), offset)
	}
	rest := b[offset:]
	if size == 0 {
		return bytes.Clone(rest), nil
	}
	if size > uint64(len(rest)) {
		return nil, fmt.Errorf("it has %d bytes from the offset on, and the key is %d", len(rest), size)
	}
	return bytes.Clone(rest[:size]), nil
}
