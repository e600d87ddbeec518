package devmapper

import (
	"encoding/hex"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// Integrity are the parameters of the integrity target (the kernel's
// Documentation/admin-guide/device-mapper/dm-integrity.rst).
type Integrity struct {
	Device  string // "major:minor" or a path
	Offset  uint64 // of the superblock, in 512-byte sectors
	TagSize int    // bytes for each block; 0 is that of the hash
	Mode    byte   // 'J' journal, 'B' bitmap, 'D' neither, 'R' recovery
	// Options are "block_size:4096", "internal_hash:crc32c" and the like.
	Options []string
}

// Target returns the table line for length sectors from start.
func (i Integrity) Target(start, length uint64) (Target, error) {
	if err := span(start, length, i.Device); err != nil {
		return Target{}, fmt.Errorf("integrity target: %w", err)
	}
	if strings.IndexByte("JBDR", i.Mode) < 0 || i.TagSize < 0 || i.TagSize > 1<<16 {
		return Target{}, fmt.Errorf("integrity target: mode %q with tags of %d bytes", string(i.Mode), i.TagSize)
	}
	tag := "-"
	if i.TagSize > 0 {
		tag = strconv.Itoa(i.TagSize)
	}
	p, err := withOptions(i.Device+" "+strconv.FormatUint(i.Offset, 10)+" "+tag+" "+string(i.Mode)+" ", i.Options, true)
	if err != nil {
		return Target{}, fmt.Errorf("integrity target: %w", err)
	}
	return Target{Start: start, Length: length, Type: "integrity", Params: p}, nil
}

// Verity are the parameters of the verity target (the kernel's
// Documentation/admin-guide/device-mapper/verity.rst).
type Verity struct {
	HashType  int    // 0 as in Chrome OS, 1 else
	Data      string // "major:minor" or a path
	Hash      string
	DataBlock int    // bytes
	HashBlock int    // bytes
	Blocks    uint64 // of data
	HashStart uint64 // the block on Hash at which the tree begins, in blocks of HashBlock bytes
	Algorithm string
	Root      []byte // the root hash
	Salt      []byte // may be empty
	// Options are "ignore_corruption", "use_fec_from_device 8:1" and the like,
	// each as many words as it has.
	Options []string
}

// Target returns the table line, which begins at sector 0.
func (v Verity) Target() (Target, error) {
	fail := func(format string, a ...any) (Target, error) {
		return Target{}, fmt.Errorf("verity target: "+format, a...)
	}
	length := v.Blocks * uint64(v.DataBlock/512)
	if err := span(0, length, v.Data); err != nil {
		return fail("%w", err)
	}
	if !word(v.Hash) || !word(v.Algorithm) || len(v.Root) == 0 {
		return fail("hash device %q, algorithm %q, root hash of %d bytes", v.Hash, v.Algorithm, len(v.Root))
	}
	salt := "-"
	if len(v.Salt) > 0 {
		salt = hex.EncodeToString(v.Salt)
	}
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	p, err := withOptions(strings.Join([]string{strconv.Itoa(v.HashType), v.Data, v.Hash, strconv.Itoa(v.DataBlock), strconv.Itoa(v.HashBlock),
		u(v.Blocks), u(v.HashStart), v.Algorithm, hex.EncodeToString(v.Root), salt}, " ")+" ", v.Options, false)
	if err != nil {
		return fail("%w", err)
	}
	return Target{Length: length, Type: "verity", Params: p}, nil
}

// withOptions adds the number of words and the words. Without any nothing is
// added, unless the target wants a number in any case.
func withOptions(p string, options []string, always bool) ([]byte, error) {
	n := 0
	for _, o := range options {
		for w := range strings.SplitSeq(o, " ") {
			if !word(w) {
				return nil, fmt.Errorf("option %q", o)
			}
			n++
		}
	}
	switch {
	case n == 0 && !always:
		return []byte(strings.TrimSuffix(p, " ")), nil
	case n == 0:
		return []byte(p + "0"), nil
	}
	return []byte(p + strconv.Itoa(n) + " " + strings.Join(options, " ")), nil
}
