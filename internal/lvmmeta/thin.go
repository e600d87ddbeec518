package lvmmeta

import (
	"errors"
	"hash/crc32"

	"firstlight/internal/fmt"
)

// ThinSuperSize is the size of the superblock of a thin pool's metadata, in
// bytes; it is the first block of the metadata device.
const ThinSuperSize = 4096

// ThinSuper is what the superblock of a thin pool's metadata says. Its layout
// is struct thin_disk_superblock of the kernel's drivers/md/dm-thin-metadata.c,
// little-endian.
type ThinSuper struct {
	// Transaction is the transaction ID, which LVM counts too.
	Transaction uint64
	// NeedsCheck says that the kernel found damage and will not write the
	// pool before thin_check has looked at it.
	NeedsCheck bool
	// BlockSize is the size of the pool's chunks in sectors.
	BlockSize uint32
}

const (
	thinMagic = 27022010
	thinXOR   = 160774 // distinguishes the superblock's checksum from those of other blocks
	thinCheck = 1      // flag: needs a check
)

// ParseThinSuper reads the superblock of a thin pool's metadata.
func ParseThinSuper(b []byte) (ThinSuper, error) {
	if len(b) < ThinSuperSize {
		return ThinSuper{}, errors.New("thin pool: superblock is cut short")
	}
	b = b[:ThinSuperSize]
	if got := le.Uint64(b[32:]); got != thinMagic {
		return ThinSuper{}, fmt.Errorf("thin pool: superblock has no magic (%d)", got)
	}
	sum := ^crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)) ^ thinXOR
	if want := le.Uint32(b); want != sum {
		return ThinSuper{}, fmt.Errorf("thin pool: superblock checksum %08x, computed %08x", want, sum)
	}
	return ThinSuper{
		Transaction: le.Uint64(b[48:]),
		NeedsCheck:  le.Uint32(b[4:])&thinCheck != 0,
		BlockSize:   le.Uint32(b[64+128+128+16:]),
	}, nil
}
