package blkid

import (
	"encoding/binary"
	"strconv"
)

// Linux MD superblocks (the kernel's include/uapi/linux/raid/md_p.h).
//
// 0.90, in the last 64 KiB-aligned 64 KiB of the device, in the byte order
// of the machine that made it, in words of 32 bits:
//
//	0 magic   4 major   8 minor   12 patch version   20 first word of the UUID
//	32 size of the device's data in KiB               52 the other three
//
// 1.0 (8 KiB before the end, on a 4 KiB boundary), 1.1 (at the start) and
// 1.2 (4 KiB from the start), little-endian:
//
//	  0 u32 magic             4 u32 major version, 1
//	 16 UUID of the array    32 name, 32 bytes
//	144 u64 sector of this superblock
//	168 UUID of the device
const (
	mdMagic    = 0xa92b4efc
	mdReserved = 64 << 10
)

func probeMD(p *probe, _ *magic) bool {
	if p.size > mdReserved {
		if p.md0(p.size&^(mdReserved-1) - mdReserved) {
			return true
		}
		if p.md1(p.size&^0xfff-0x2000, "1.0") {
			return true
		}
	}
	return p.md1(0, "1.1") || p.md1(0x1000, "1.2")
}

func (p *probe) md0(off uint64) bool {
	b := p.bytes(off, 64)
	if b == nil {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if le.Uint32(b) != mdMagic {
		if be.Uint32(b) != mdMagic {
			return false
		}
		order = binary.BigEndian
	}
	size := uint64(order.Uint32(b[32:])) << 10
	if p.size < size+mdReserved || off < size {
		return false
	}
	// At the end of a disk this may be the superblock of its last
	// partition.
	if p.coveredByTable(off-size, size+mdReserved) {
		return false
	}
	minor := order.Uint32(b[8:])
	p.version(utoa(uint64(order.Uint32(b[4:]))) + "." + utoa(uint64(minor)) + "." + utoa(uint64(order.Uint32(b[12:]))))
	// The UUID is four numbers, printed with the highest digit first.
	var uuid [16]byte
	be.PutUint32(uuid[0:], order.Uint32(b[20:]))
	if minor >= 90 {
		for i := range 3 {
			be.PutUint32(uuid[4+4*i:], order.Uint32(b[52+4*i:]))
		}
	}
	p.uuid(uuid[:])
	return true
}

func (p *probe) md1(off uint64, version string) bool {
	b := p.bytes(off, 256)
	if b == nil || le.Uint32(b) != mdMagic || le.Uint32(b[4:]) != 1 || le.Uint64(b[144:]) != off>>9 {
		return false
	}
	p.uuid(b[16:])
	p.uuidAs("UUID_SUB", b[168:])
	p.label(b[32:64])
	p.version(version)
	return true
}

// DRBD keeps its metadata in the last 4 KiB of the device, big-endian
// (drbd-utils' user/shared/drbdmeta.c):
//
//	40 u64 UUID of the device in version 8   48 u64 the same in version 9
//	60 u32 magic, which says the version
func probeDRBD(p *probe, _ *magic) bool {
	const (
		magic08        = 0x8374026b
		magic84Unclean = 0x8374026c
		magic09        = 0x8374026d
		fromEnd        = 4096
	)
	if p.size < 64<<10 {
		return false
	}
	b := p.bytes(p.size-fromEnd, fromEnd)
	if b == nil {
		return false
	}
	id, version := b[40:48], "v08"
	switch be.Uint32(b[60:]) {
	case magic08, magic84Unclean:
	case magic09:
		id, version = b[48:56], "v09"
	default:
		return false
	}
	p.uuidText(id, strconv.FormatUint(be.Uint64(id), 16))
	p.version(version)
	return true
}
