package keyring

import (
	"runtime"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// WithOpen is With for what is no secret: the key has the type "user", which is
// what the kernel asks for where dm-verity is to check the signature of a root
// hash (root_hash_sig_key_desc).
func WithOpen(description string, key []byte, f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := unix.AddKey("user", description, key, unix.KEY_SPEC_THREAD_KEYRING)
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
