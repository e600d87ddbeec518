package mdsuper

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"firstlight/internal/fmt"
)

const (
	magic       = 0xa92b4efc
	superBytes  = 4096
	reserved090 = 64 << 10 // the last aligned block of that size holds a 0.90 superblock
	maxDevices  = (superBytes - 256) / 2
	disks090    = 27
)

// Read finds the superblock of a device of size bytes, trying each version's
// place. It returns ErrNone, wrapped, if there is none, and an error that
// says what is wrong if the only one is damaged. If two versions are there,
// both valid, the one made last counts, as it does for mdadm; equal times
// are an error, for then it is not known which one the array uses.
func Read(r io.ReaderAt, size uint64) (*Super, error) {
	var best *Super
	var bad error
	buf := make([]byte, superBytes)
	for _, at := range places(size) {
		s, err := readAt(r, size, at.version, at.offset, buf)
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			if bad == nil {
				bad = err
			}
		case best == nil || s.Created > best.Created:
			best = s
		case s.Created == best.Created:
			return nil, fmt.Errorf("md: superblocks of versions %v and %v were both made at %d", best.Version, s.Version, s.Created)
		}
	}
	switch {
	case best != nil:
		return best, nil
	case bad != nil:
		return nil, bad
	}
	return nil, fmt.Errorf("md: %w", ErrNone)
}

// ReadVersion reads the superblock of one version only.
func ReadVersion(r io.ReaderAt, size uint64, v Version) (*Super, error) {
	for _, at := range places(size) {
		if at.version == v {
			return readAt(r, size, v, at.offset, make([]byte, superBytes))
		}
	}
	return nil, fmt.Errorf("md: version %v: %w", v, ErrNone)
}

type place struct {
	version Version
	offset  uint64
}

// places lists where superblocks may be on a device of that size.
func places(size uint64) []place {
	var list []place
	size &^= SectorSize - 1
	add := func(major, minor int, off uint64) {
		if off <= size && size-off >= superBytes {
			list = append(list, place{Version{major, minor}, off})
		}
	}
	add(1, 1, 0)
	add(1, 2, 4096)
	if size >= 24*SectorSize {
		// 8 KiB from the end, on a 4 KiB boundary.
		add(1, 0, (size-16*SectorSize)&^4095)
	}
	if size >= 2*reserved090 {
		add(0, 90, size&^(reserved090-1)-reserved090)
	}
	return list
}

// readAt reads the superblock at a place into buf, which it needs only while it
// runs.
func readAt(r io.ReaderAt, size uint64, v Version, off uint64, buf []byte) (*Super, error) {
	if n, err := r.ReadAt(buf, int64(off)); n < len(buf) {
		return nil, fmt.Errorf("md: read superblock at %d: %w", off, err)
	}
	var s *Super
	var err error
	if v.Major == 0 {
		s, err = parse0(buf, off)
	} else {
		s, err = parse1(buf, off, size/SectorSize)
	}
	if err != nil {
		return nil, fmt.Errorf("md: version %v superblock at %d: %w", v, off, err)
	}
	s.Version, s.Offset = v, off
	return s, nil
}

// parse1 reads a version 1 superblock.
func parse1(b []byte, off, devSectors uint64) (*Super, error) {
	le := binary.LittleEndian
	if le.Uint32(b) != magic || le.Uint32(b[4:]) != 1 {
		return nil, ErrNone
	}
	maxDev := le.Uint32(b[220:])
	if maxDev > maxDevices {
		return nil, fmt.Errorf("%d roles do not fit", maxDev)
	}
	if want, got := le.Uint32(b[216:]), checksum1(b[:256+2*maxDev]); want != got {
		return nil, fmt.Errorf("checksum %08x, computed %08x", want, got)
	}
	if at := le.Uint64(b[144:]); at != off/SectorSize {
		// 1.0 of a larger device that ends like this one, or a copy.
		return nil, fmt.Errorf("it says it belongs at sector %d: %w", at, ErrNone)
	}
	s := &Super{
		Features: Feature(le.Uint32(b[8:])), UUID: UUID(b[16:32]), Name: cstring(b[32:64]),
		Created: le.Uint64(b[64:]) & (1<<40 - 1), Level: Level(le.Uint32(b[72:])), Layout: le.Uint32(b[76:]),
		Size: le.Uint64(b[80:]), DataOffset: le.Uint64(b[128:]), DataSize: le.Uint64(b[136:]),
		DeviceNumber: le.Uint32(b[160:]), DeviceUUID: UUID(b[168:184]),
		WriteMostly: b[184]&1 != 0, FailFast: b[184]&2 != 0,
		Updated: le.Uint64(b[192:]) & (1<<40 - 1), Events: le.Uint64(b[200:]), ResyncOffset: le.Uint64(b[208:]),
		RecoveryOffset: -1, RaidDisks: int(le.Uint32(b[92:])),
	}
	chunk := le.Uint32(b[88:])
	if s.RaidDisks < 1 || s.RaidDisks > maxDevices {
		return nil, fmt.Errorf("%d slots", le.Uint32(b[92:]))
	}
	if chunk > 1<<22 {
		return nil, fmt.Errorf("chunks of %d sectors", chunk)
	}
	if s.DataOffset > devSectors || s.DataSize > devSectors-s.DataOffset {
		return nil, fmt.Errorf("data of %d sectors from %d does not fit the device of %d sectors", s.DataSize, s.DataOffset, devSectors)
	}
	s.ChunkSize = chunk * SectorSize
	s.Clean = s.ResyncOffset == MaxSector
	if s.Features&FeatureBitmap != 0 {
		s.BitmapOffset = int32(le.Uint32(b[96:]))
	}
	if s.Features&(FeaturePPL|FeatureMultiplePPLs) != 0 {
		s.PPLOffset, s.PPLSize = int16(le.Uint16(b[96:])), le.Uint16(b[98:])
	}
	if s.Features&FeatureBadBlocks != 0 {
		s.BadBlockSize, s.BadBlockOffset = le.Uint16(b[186:]), int32(le.Uint32(b[188:]))
	}
	if s.Features&FeatureReshape != 0 {
		s.Reshape = &Reshape{NewLevel: Level(le.Uint32(b[100:])), Position: le.Uint64(b[104:]),
			DeltaDisks: int32(le.Uint32(b[112:])), NewLayout: le.Uint32(b[116:]), NewChunk: le.Uint32(b[120:]) * SectorSize,
			Backwards: s.Features&FeatureReshapeBackwards != 0}
		if s.Features&FeatureNewOffset != 0 {
			s.Reshape.NewOffset = int32(le.Uint32(b[124:]))
		}
	}
	s.Roles = make([]Role, maxDev)
	for i := range s.Roles {
		s.Roles[i] = role1(le.Uint16(b[256+2*i:]))
	}
	s.Role = Spare
	if s.DeviceNumber < maxDev {
		s.Role = s.Roles[s.DeviceNumber]
	}
	if s.Features&FeatureRecoveryOffset != 0 && s.Role >= 0 {
		s.RecoveryOffset = int64(le.Uint64(b[152:]) &^ (1 << 63))
	}
	return s, nil
}

// role1 turns a version 1 role into one of ours.
func role1(v uint16) Role {
	switch v {
	case 0xffff:
		return Spare
	case 0xfffe:
		return Failed
	case 0xfffd:
		return Journal
	}
	return Role(v)
}

// checksum1 sums the 32-bit words, with the checksum's own taken as 0, and
// folds the carry in.
func checksum1(b []byte) uint32 {
	var sum uint64
	i := 0
	for ; i+4 <= len(b); i += 4 {
		if i != 216 {
			sum += uint64(binary.LittleEndian.Uint32(b[i:]))
		}
	}
	if i+2 <= len(b) {
		sum += uint64(binary.LittleEndian.Uint16(b[i:]))
	}
	return uint32(sum) + uint32(sum>>32)
}

// Words of a 0.90 superblock.
const (
	w0Minor = iota + 2
	_
	_
	w0UUID0
	w0Created
	w0Level
	w0Size
	w0Disks
	w0RaidDisks
	w0MDMinor
	_
	w0UUID1
	w0Updated  = 32
	w0State    = 33
	w0Checksum = 38
	w0Events   = 39
	w0Recovery = 43
	w0Reshape  = 44
	w0NewLevel = 46
	w0Delta    = 47
	w0NewLay   = 48
	w0NewChunk = 49
	w0Layout   = 64
	w0Chunk    = 65
	w0Disk     = 128 // the first of 27 descriptors of 32 words
	w0ThisDisk = 992
)

// Bits of a 0.90 superblock's state and of a descriptor's.
const (
	stateClean     = 1 << 0
	stateBitmap    = 1 << 8
	diskFaulty     = 1 << 0
	diskActive     = 1 << 1
	diskSync       = 1 << 2
	diskRemoved    = 1 << 3
	diskWriteMost  = 1 << 9
	bitmapOff0     = 4096 / SectorSize // a 0.90 bitmap follows the superblock
	minorReshape   = 91                // 0.91 is 0.90 with a reshape going on
	recoveredAll0  = 0xffffffff
	descriptorSize = 32
)

// parse0 reads a 0.90 superblock of this machine's byte order.
func parse0(b []byte, off uint64) (*Super, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		order = binary.BigEndian
	}
	if order.Uint32(b) != magic {
		var other binary.ByteOrder = binary.BigEndian
		if order == other {
			other = binary.LittleEndian
		}
		if other.Uint32(b) == magic && other.Uint32(b[4:]) == 0 && checksum0(b, other) == other.Uint32(b[4*w0Checksum:]) {
			return nil, ErrForeignEndian
		}
		return nil, ErrNone
	}
	w := func(i int) uint32 { return order.Uint32(b[4*i:]) }
	if w(1) != 0 || w(w0Minor) != 90 && w(w0Minor) != minorReshape {
		return nil, ErrNone // a 1.0 superblock can stand here too
	}
	if want, got := w(w0Checksum), checksum0(b, order); want != got {
		return nil, fmt.Errorf("checksum %08x, computed %08x", want, got)
	}
	s := &Super{
		PreferredMinor: w(w0MDMinor), Level: Level(w(w0Level)), Layout: w(w0Layout), ChunkSize: w(w0Chunk),
		RaidDisks: int(w(w0RaidDisks)), Size: 2 * uint64(w(w0Size)), DataSize: off / SectorSize,
		Created: uint64(w(w0Created)), Updated: uint64(w(w0Updated)),
		Clean: w(w0State)&stateClean != 0, RecoveryOffset: -1, ResyncOffset: MaxSector,
		DeviceNumber: w(w0ThisDisk), Role: Spare,
	}
	for i, word := range [4]int{w0UUID0, w0UUID1, w0UUID1 + 1, w0UUID1 + 2} {
		binary.BigEndian.PutUint32(s.UUID[4*i:], w(word))
	}
	// The order of the event count's halves is the byte order's.
	s.Events = order.Uint64(b[4*w0Events:])
	if s.RaidDisks < 1 || s.RaidDisks > disks090 {
		return nil, fmt.Errorf("%d slots", w(w0RaidDisks))
	}
	if s.ChunkSize%SectorSize != 0 {
		return nil, fmt.Errorf("chunks of %d bytes", s.ChunkSize)
	}
	if s.Level > 0 && s.Size > s.DataSize {
		return nil, fmt.Errorf("%d sectors used of a device with %d", s.Size, s.DataSize)
	}
	if !s.Clean {
		s.ResyncOffset = 0
		if r := w(w0Recovery); r != recoveredAll0 {
			s.ResyncOffset = uint64(r)
		}
	}
	if w(w0State)&stateBitmap != 0 {
		s.BitmapOffset = bitmapOff0
	}
	if w(w0Minor) == minorReshape {
		s.Reshape = &Reshape{Position: order.Uint64(b[4*w0Reshape:]), NewLevel: Level(w(w0NewLevel)),
			DeltaDisks: int32(w(w0Delta)), NewLayout: w(w0NewLay), NewChunk: w(w0NewChunk)}
		s.Reshape.Backwards = s.Reshape.DeltaDisks < 0
	}
	s.Roles = make([]Role, disks090)
	for i := range s.Roles {
		s.Roles[i] = role0(w, w0Disk+descriptorSize*i)
	}
	s.Role = role0(w, w0ThisDisk)
	state := w(w0ThisDisk + 4)
	s.WriteMostly = state&diskWriteMost != 0
	if s.Role >= 0 && state&diskSync == 0 && s.Level > 0 {
		s.RecoveryOffset = 0
	}
	return s, nil
}

// role0 gives the role of the descriptor that starts at a word.
func role0(w func(int) uint32, at int) Role {
	slot, state := w(at+3), w(at+4)
	switch {
	case state&diskFaulty != 0:
		return Failed
	case state&diskRemoved != 0 || slot >= disks090:
		return Spare
	case state&(diskActive|diskSync) == 0:
		return Spare
	}
	return Role(slot)
}

// checksum0 sums all words but the checksum and folds the carry in.
func checksum0(b []byte, order binary.ByteOrder) uint32 {
	var sum uint64
	for i := 0; i < superBytes; i += 4 {
		if i != 4*w0Checksum {
			sum += uint64(order.Uint32(b[i:]))
		}
	}
	return uint32(sum) + uint32(sum>>32)
}

// cstring is the text before the first NUL.
func cstring(b []byte) string {
	s := string(b)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return s
}

// nativeByte maps the place of a byte in two 32-bit words, most significant
// first, to its place in this machine's memory.
func nativeByte(i int) int {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return i&^3 | 3 - i&3
	}
	return i
}
