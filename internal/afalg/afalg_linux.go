// Package afalg decrypts with the kernel's crypto API through AF_ALG sockets
// (the kernel's Documentation/crypto/userspace-if.rst): for the ciphers that
// are too rare to be built in. It implements luks.Ciphers.
//
// The kernel loads the modules of a cipher on its own if it can run modprobe;
// otherwise algif_skcipher, the cipher and its mode must be loaded before.
package afalg

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/luks"
)

// ErrUnavailable is wrapped by the error when the kernel has no such cipher,
// or no AF_ALG.
var ErrUnavailable = errors.New("the kernel does not offer it to programs")

// Ciphers is the kernel as a source of ciphers.
type Ciphers struct{}

var _ luks.Ciphers = Ciphers{}

type decrypter struct {
	name string
	op   int    // the operation socket
	oob  []byte // control messages, reused
}

// Decrypter implements luks.Ciphers.
func (Ciphers) Decrypter(name string, key []byte) (luks.Decrypter, error) {
	fd, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, unavailable("AF_ALG socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrALG{Type: "skcipher", Name: name}); err != nil {
		return nil, unavailable("bind", err)
	}
	var p unsafe.Pointer
	if len(key) > 0 {
		p = unsafe.Pointer(&key[0])
	}
	// The raw call: a conversion to a string would leave a copy of the key.
	if _, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_ALG, unix.ALG_SET_KEY,
		uintptr(p), uintptr(len(key)), 0); e != 0 {
		return nil, fmt.Errorf("set a key of %d bytes: %w", len(key), e)
	}
	// x/sys's Accept does not know the address family that is returned.
	op, _, e := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return nil, fmt.Errorf("accept: %w", e)
	}
	return &decrypter{name: name, op: int(op)}, nil
}

func unavailable(op string, err error) error {
	switch err {
	case unix.EAFNOSUPPORT, unix.ENOENT, unix.EPROTONOSUPPORT, unix.ENOSYS:
		return fmt.Errorf("%s: %w: %w", op, ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// Decrypt implements luks.Decrypter.
func (d *decrypter) Decrypt(data, iv []byte) error {
	if len(data) == 0 {
		return nil
	}
	size := unix.CmsgSpace(4)
	if iv != nil {
		size += unix.CmsgSpace(4 + len(iv))
	}
	if len(d.oob) != size {
		d.oob = make([]byte, size)
	}
	put := func(b []byte, typ int32, n int) []byte {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = unix.SOL_ALG, typ
		h.SetLen(unix.CmsgLen(n))
		return b[unix.CmsgLen(0):]
	}
	*(*uint32)(unsafe.Pointer(&put(d.oob, unix.ALG_SET_OP, 4)[0])) = unix.ALG_OP_DECRYPT
	if iv != nil { // struct af_alg_iv
		p := put(d.oob[unix.CmsgSpace(4):], unix.ALG_SET_IV, 4+len(iv))
		*(*uint32)(unsafe.Pointer(&p[0])) = uint32(len(iv))
		copy(p[4:], iv)
	}
	n, err := unix.SendmsgN(d.op, data, d.oob, nil, 0)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if n != len(data) {
		return fmt.Errorf("send: %d of %d bytes taken", n, len(data))
	}
	for got := 0; got < len(data); {
		n, err := unix.Read(d.op, data[got:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n <= 0 {
			return fmt.Errorf("read: %d of %d bytes came", got, len(data))
		}
		got += n
	}
	return nil
}

// Close implements luks.Decrypter.
func (d *decrypter) Close() error { return unix.Close(d.op) }
