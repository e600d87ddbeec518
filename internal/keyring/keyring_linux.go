// Package keyring puts volume keys where dm-crypt finds them: into the
// kernel's key retention service (keyrings(7)).
//
// It acts and decides nothing. It keeps no key.
package keyring

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// ErrUnavailable is wrapped by the error when the kernel has no keyrings, or
// none of type "logon": the key must go into the table then.
var ErrUnavailable = errors.New("the kernel has no keyring for it")

// With makes key known to the kernel under the description while f runs, and
// forgets it then. The key has the type "logon": no program can read it back.
//
// It is in the keyring of the calling thread, where nobody else sees it, as
// cryptsetup has it. f runs on that thread and must itself make the system
// call that needs the key, not through another goroutine.
func With(description string, key []byte, f func() error) error {
	return with("logon", description, key, f)
}

// with is With for a key of a type.
func with(kind, description string, key []byte, f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := unix.AddKey(kind, description, key, unix.KEY_SPEC_THREAD_KEYRING)
	if err != nil {
		switch err {
		case unix.ENOSYS, unix.ENODEV, unix.EOPNOTSUPP:
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return fmt.Errorf("add key %s: %w", description, err)
	}
	defer func() {
		if e := forget(id); e != nil && err == nil {
			err = fmt.Errorf("forget key %s: %w", description, e)
		}
	}()
	return f()
}

// forget takes the key out of the keyring. Unlinking it is what counts;
// revoking it before makes the kernel drop its content at once, instead of
// at its next collection.
func forget(id int) error {
	_, rerr := unix.KeyctlInt(unix.KEYCTL_REVOKE, id, 0, 0, 0)
	_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	if err != nil {
		return errors.Join(rerr, err)
	}
	return nil
}
