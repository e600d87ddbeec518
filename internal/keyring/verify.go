package keyring

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// keyctlVerify is KEYCTL_PKEY_VERIFY of include/uapi/linux/keyctl.h.
const keyctlVerify = 28

// verifyParams is struct keyctl_pkey_params: the key, and the lengths of sum and
// signature in bytes.
type verifyParams struct {
	id        int32
	sum       uint32
	signature uint32
	_         [7]uint32
}

// Verify has the kernel verify the signature of a sum with the key of an X.509
// certificate, in DER. encoding is "pkcs1" or "x962", hash the kernel's name of
// what made the sum. The certificate is in the keyring of the calling thread
// meanwhile, and in none that counts for anything else.
func Verify(certificate []byte, encoding, hash string, sum, signature []byte) error {
	if len(sum) == 0 || len(signature) == 0 {
		return unix.EINVAL
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := unix.AddKey("asymmetric", "firstlight:verity", certificate, unix.KEY_SPEC_THREAD_KEYRING)
	if err != nil {
		return fmt.Errorf("add the certificate: %w", err)
	}
	defer unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	info, err := unix.BytePtrFromString("enc=" + encoding + " hash=" + hash)
	if err != nil {
		return err
	}
	params := verifyParams{id: int32(id), sum: uint32(len(sum)), signature: uint32(len(signature))}
	_, _, errno := unix.Syscall6(unix.SYS_KEYCTL, keyctlVerify, uintptr(unsafe.Pointer(&params)), uintptr(unsafe.Pointer(info)),
		uintptr(unsafe.Pointer(&sum[0])), uintptr(unsafe.Pointer(&signature[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
