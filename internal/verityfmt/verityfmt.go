// Package verityfmt reads the superblock of dm-verity and says how a device is
// mapped, as veritysetup does. It reads through an io.ReaderAt, never writes,
// and decides nothing.
//
// Sources: the kernel's Documentation/admin-guide/device-mapper/verity.rst and
// cryptsetup's description of the on-disk format. Little endian.
package verityfmt

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/hashname"
)

// Errors that callers tell apart.
var (
	// ErrNone is wrapped by the error where there is no superblock.
	ErrNone = errors.New("no dm-verity superblock")
	// ErrCorrupt is wrapped by the error for one that contradicts itself.
	ErrCorrupt = errors.New("corrupt dm-verity superblock")
	// ErrRootHash is wrapped by the error for a hash tree that another root hash
	// belongs to.
	ErrRootHash = errors.New("the root hash is not that of the hash device")
)

// Layout of the superblock.
const (
	size       = 512
	magic      = "verity\x00\x00"
	offVersion = 8  // u32, 1
	offType    = 12 // u32, 0 as in Chrome OS, 1 else
	offUUID    = 16
	offAlg     = 32 // 32 bytes
	offData    = 64 // u32, bytes of a block
	offHash    = 68 // u32
	offBlocks  = 72 // u64
	offSaltLen = 80 // u16
	offSalt    = 88 // 256 bytes
	maxSalt    = 256
)

// Params describe a verified device. Read takes them from a superblock; without
// one they have to be given.
type Params struct {
	Superblock bool   // there is one before the tree
	UUID       string // with dashes; "" without a superblock
	HashType   int
	Algorithm  string
	DataBlock  int    // bytes
	HashBlock  int    // bytes
	Blocks     uint64 // of data
	Salt       []byte
	HashOffset uint64 // of the superblock, or of the tree without one, in bytes

	IgnoreCorruption, RestartOnCorruption, PanicOnCorruption bool
	IgnoreZeroBlocks, CheckAtMostOnce                        bool

	FECOffset uint64 // in bytes
	FECRoots  int
}

// Read reads the superblock at offset, in bytes.
func Read(r io.ReaderAt, offset uint64) (*Params, error) {
	var b [size]byte
	if offset%size != 0 || offset > 1<<62 {
		return nil, fmt.Errorf("%w: offset %d", ErrCorrupt, offset)
	}
	if n, err := r.ReadAt(b[:], int64(offset)); n < size {
		if err == nil || err == io.EOF {
			return nil, fmt.Errorf("%w at %d: the device ends there", ErrNone, offset)
		}
		return nil, fmt.Errorf("read the dm-verity superblock at %d: %w", offset, err)
	}
	if string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w at %d", ErrNone, offset)
	}
	le := binary.LittleEndian
	alg, _, ended := bytes.Cut(b[offAlg:offAlg+32], []byte{0})
	salt := int(le.Uint16(b[offSaltLen:]))
	p := &Params{Superblock: true, HashType: int(le.Uint32(b[offType:])), Algorithm: string(alg), DataBlock: int(le.Uint32(b[offData:])),
		HashBlock: int(le.Uint32(b[offHash:])), Blocks: le.Uint64(b[offBlocks:]), HashOffset: offset}
	if v := le.Uint32(b[offVersion:]); v != 1 {
		return nil, fmt.Errorf("%w: version %d", ErrCorrupt, v)
	}
	if !ended || salt > maxSalt {
		return nil, fmt.Errorf("%w: algorithm %q, salt of %d bytes", ErrCorrupt, alg, salt)
	}
	p.Salt = bytes.Clone(b[offSalt : offSalt+salt])
	id := b[offUUID : offUUID+16]
	p.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return p, p.Check()
}

// Check says whether the parameters make sense.
func (p *Params) Check() error {
	block := func(n int) bool { return n >= 512 && n <= 1<<19 && n&(n-1) == 0 }
	switch {
	case p.HashType != 0 && p.HashType != 1:
		return fmt.Errorf("%w: hash type %d", ErrCorrupt, p.HashType)
	case !block(p.DataBlock) || !block(p.HashBlock):
		return fmt.Errorf("%w: blocks of %d and %d bytes", ErrCorrupt, p.DataBlock, p.HashBlock)
	case p.Blocks == 0 || p.Blocks > 1<<54/uint64(p.DataBlock):
		return fmt.Errorf("%w: %d blocks of data", ErrCorrupt, p.Blocks)
	case p.Algorithm == "" || strings.Trim(p.Algorithm, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return fmt.Errorf("%w: algorithm %q", ErrCorrupt, p.Algorithm)
	case len(p.Salt) > maxSalt:
		return fmt.Errorf("%w: salt of %d bytes", ErrCorrupt, len(p.Salt))
	}
	return nil
}

// HashStart is the block at which the tree begins, in blocks of HashBlock bytes.
func (p *Params) HashStart() uint64 {
	at := p.HashOffset
	if p.Superblock {
		at += size
	}
	return (at + uint64(p.HashBlock) - 1) / uint64(p.HashBlock)
}

// CheckRoot compares the root hash with the first block of the tree, so that a
// wrong one is known before anything is mapped. A hash that is not built in is
// left to the kernel.
func (p *Params) CheckRoot(r io.ReaderAt, root []byte) error {
	newHash, err := hashname.New(p.Algorithm)
	if err != nil {
		return nil
	}
	h := newHash()
	if len(root) != h.Size() {
		return fmt.Errorf("%w: it has %d bytes, and %s gives %d", ErrRootHash, len(root), p.Algorithm, h.Size())
	}
	if p.Blocks == 1 {
		return nil // there is no tree: the root hash is that of the data
	}
	block := make([]byte, p.HashBlock)
	if _, err := r.ReadAt(block, int64(p.HashStart())*int64(p.HashBlock)); err != nil {
		return fmt.Errorf("read the top of the hash tree: %w", err)
	}
	if p.HashType == 1 {
		h.Write(p.Salt)
	}
	h.Write(block)
	if p.HashType == 0 {
		h.Write(p.Salt)
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), root) != 1 {
		return ErrRootHash
	}
	return nil
}

// Devices are those of a mapping, as "major:minor".
type Devices struct {
	Data, Hash string
	FEC        string // "" for none
	// HashSize is that of the hash device, in bytes, and FECWithHash says that
	// the error correction is on it.
	HashSize    uint64
	FECWithHash bool
	// Signature is what the signature of the root hash is called in the kernel's
	// keyring, "" for none.
	Signature string
}

// Table returns the table that veritysetup would load.
func (p *Params) Table(d Devices, root []byte) ([]devmapper.Target, error) {
	v := devmapper.Verity{HashType: p.HashType, Data: d.Data, Hash: d.Hash, DataBlock: p.DataBlock, HashBlock: p.HashBlock,
		Blocks: p.Blocks, HashStart: p.HashStart(), Algorithm: p.Algorithm, Root: root, Salt: p.Salt}
	for _, o := range [...]struct {
		on   bool
		name string
	}{{p.IgnoreCorruption, "ignore_corruption"}, {p.RestartOnCorruption, "restart_on_corruption"}, {p.PanicOnCorruption, "panic_on_corruption"},
		{p.IgnoreZeroBlocks, "ignore_zero_blocks"}, {p.CheckAtMostOnce, "check_at_most_once"}} {
		if o.on {
			v.Options = append(v.Options, o.name)
		}
	}
	if d.Signature != "" {
		v.Options = append(v.Options, "root_hash_sig_key_desc "+d.Signature)
	}
	if d.FEC != "" {
		if p.FECOffset%uint64(p.HashBlock) != 0 || p.FECRoots < 2 || p.FECRoots > 24 {
			return nil, fmt.Errorf("error correction at byte %d with %d roots", p.FECOffset, p.FECRoots)
		}
		// It covers the data, and the hash device from the tree to its end or,
		// being on it, to itself.
		covered := d.HashSize
		if d.FECWithHash {
			covered = p.FECOffset
		}
		blocks, tree := covered/uint64(p.DataBlock), p.HashStart()
		if blocks < tree {
			return nil, fmt.Errorf("error correction of a hash device of %d bytes", d.HashSize)
		}
		u := func(n uint64) string { return strconv.FormatUint(n, 10) }
		v.Options = append(v.Options, "use_fec_from_device "+d.FEC, "fec_start "+u(p.FECOffset/uint64(p.HashBlock)),
			"fec_blocks "+u(blocks-tree+p.Blocks), "fec_roots "+strconv.Itoa(p.FECRoots))
	}
	t, err := v.Target()
	if err != nil {
		return nil, err
	}
	return []devmapper.Target{t}, nil
}

// DMUUID is the UUID that veritysetup gives the mapped device.
func (p *Params) DMUUID(name string) string {
	s := "CRYPT-VERITY-"
	if p.UUID != "" {
		s += strings.ReplaceAll(p.UUID, "-", "") + "-"
	}
	s += name
	return s[:min(len(s), devmapper.MaxUUID)]
}
