// Package cpio writes and reads the "newc" cpio format, the one that the
// kernel unpacks as an initramfs (Documentation/driver-api/early-userspace/
// buffer-format.rst).
//
// The writer is for images that must be the same byte for byte whenever their
// content is the same: it numbers inodes itself, writes no times, and no
// owners but root unless told. The reader takes whatever other generators wrote, in
// bounded memory. Neither touches the file system.
package cpio

import (
	"errors"
	"fmt"
)

// File types and mode bits of Header.Mode, as stat(2) has them.
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeSymlink = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFIFO    = 0o010000
)

const (
	headerSize = 110
	magicNewc  = "070701"
	magicCRC   = "070702"
	trailer    = "TRAILER!!!"

	// MaxName is the longest name, in bytes and with its terminating NUL,
	// that is read or written: the kernel skips entries with a longer one
	// (PATH_MAX).
	MaxName = 4096
	// MaxSize is the largest file that the format can hold, in bytes.
	MaxSize = 1<<32 - 1
)

// ErrFormat is wrapped by every error that says an archive is malformed.
var ErrFormat = errors.New("not a valid newc cpio archive")

// Header is what an archive says of one entry, apart from its content.
type Header struct {
	Name  string // without a leading "/" or "./"
	Mode  uint32 // type and permissions as in stat(2)
	Ino   uint32 // links to one file have the same Ino
	UID   uint32
	GID   uint32
	Nlink uint32
	Mtime uint32 // seconds since 1970
	Size  uint32 // bytes of content that follow; a symlink's content is its target

	DevMajor, DevMinor   uint32 // of the file system that the entry came from
	RdevMajor, RdevMinor uint32 // of a device node
	Check                uint32 // byte sum of the content, in "070702" archives only
}

// Type is the type part of Mode.
func (h *Header) Type() uint32 { return h.Mode & TypeMask }

// Perm is the permission part of Mode, with set-user-id, set-group-id and
// sticky bits.
func (h *Header) Perm() uint32 { return h.Mode &^ TypeMask }

func formatErr(format string, args ...any) error {
	return fmt.Errorf("cpio: %s: %w", fmt.Sprintf(format, args...), ErrFormat)
}
