package keyring

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func find(description string) error {
	_, err := unix.KeyctlSearch(unix.KEY_SPEC_THREAD_KEYRING, "logon", description, 0)
	return err
}

func TestKeyIsThereWhileItIsNeededAndGoneThen(t *testing.T) {
	// Before and after must be looked at on the thread that had the key.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const name = "cryptsetup:firstlight-test-d0"
	ran := false
	err := With(name, []byte("0123456789abcdef"), func() error {
		ran = true
		if err := find(name); err != nil {
			t.Errorf("the key is not found: %v", err)
		}
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_THREAD_KEYRING, "logon", name, 0)
		if err != nil {
			return err
		}
		if n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, make([]byte, 32), 0); err == nil {
			t.Errorf("%d bytes of a logon key can be read", n)
		}
		return nil
	})
	if errors.Is(err, ErrUnavailable) || errors.Is(err, unix.EPERM) {
		if os.Getenv("FIRSTLIGHT_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err != nil || !ran {
		t.Fatal(err)
	}
	if err := find(name); err == nil {
		t.Error("the key is still there")
	}
}

func TestErrorsAreHandedOn(t *testing.T) {
	mine := errors.New("mine")
	err := With("cryptsetup:firstlight-test-d1", []byte("k"), func() error { return mine })
	if !errors.Is(err, mine) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	// A logon key's description has a prefix; the kernel refuses others.
	err = With("noprefix", []byte("k"), func() error { t.Error("runs without its key"); return nil })
	if err == nil {
		t.Error("no error for a description that the kernel refuses")
	}
}
