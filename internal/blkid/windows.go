package blkid

import (
	"bytes"

	"firstlight/internal/blktext"
	"firstlight/internal/bootsector"
	"firstlight/internal/fmt"
)

// probeFAT handles FAT12, FAT16 and FAT32. The boot sector's own fields are
// in package bootsector; these come behind them, at 0x24 on FAT12 and FAT16
// and at 0x40 on FAT32:
//
//	+2 u8 0x28 or 0x29: what follows is there   +3 u32 serial number
//	+7 label, 11 bytes, only with 0x29
//
// and on FAT32 alone: 0x2c u32 cluster of the root, 0x30 u16 sector of the
// FS information. The label that people see is an entry of the root
// directory; the one here is set by mkfs and then forgotten.
func probeFAT(p *probe, _ *magic) bool {
	f := bootsector.FindFAT(p.d)
	if f == nil {
		return false
	}
	var label, bootLabel, serial []byte
	version := ""
	switch {
	case f.FAT16Length != 0:
		root := (f.Reserved + f.FATSize) * f.SectorSize
		label = p.fatLabel(uint64(root), f.RootEntries)
		sign := f.Sector[0x26]
		if sign == 0x29 {
			bootLabel = f.Sector[0x2b:][:11]
		}
		if sign == 0x28 || sign == 0x29 {
			serial = f.Sector[0x27:][:4]
		}
		p.set("SEC_TYPE", "msdos")
		if f.Clusters < bootsector.MaxFAT12 {
			version = "FAT12"
		} else if f.Clusters < bootsector.MaxFAT16 {
			version = "FAT16"
		}
	case f.FAT32Length != 0:
		label = p.fat32Label(f)
		version = "FAT32"
		if f.Sector[0x42] == 0x29 {
			bootLabel = f.Sector[0x47:][:11]
		}
		serial = f.Sector[0x43:][:4]
		if !p.fat32Info(f) {
			return false
		}
	}
	if bootLabel != nil && string(bootLabel) != "NO NAME    " {
		p.id("LABEL_FATBOOT", bootLabel)
	}
	p.label(label)
	if serial != nil {
		p.uuidText(serial, fatSerial(serial))
	}
	if version != "" {
		p.version(version)
	}
	p.blockSize(f.SectorSize)
	return true
}

func fatSerial(b []byte) string {
	return fmt.Sprintf("%02X%02X-%02X%02X", b[3], b[2], b[1], b[0])
}

// fatLabel looks for the volume label among count directory entries at off:
//
//	0 name, 11 bytes   11 u8 attributes   20, 26 u16 first cluster
func (p *probe) fatLabel(off uint64, count uint32) []byte {
	const (
		entry    = 32
		free     = 0xe5
		longName = 0x0f
		volume   = 0x08
		dir      = 0x10
	)
	// On a device that is large enough for it, the directory has to be
	// there as a whole.
	if p.size > tiny && !p.d.Has(off, uint64(count)*entry) {
		return nil
	}
	for i := range uint64(count) {
		e := p.bytes(off+i*entry, entry)
		if e == nil || e[0] == 0 {
			return nil
		}
		attr := e[11]
		if e[0] == free || le.Uint16(e[20:]) != 0 || le.Uint16(e[26:]) != 0 ||
			attr&0x3f == longName || attr&(volume|dir) != volume {
			continue
		}
		name := bytes.Clone(e[:11])
		if name[0] == 0x05 { // stands for 0xe5, which marks free entries
			name[0] = 0xe5
		}
		return name
	}
	return nil
}

// fat32Label follows the chain of the root directory's clusters.
func (p *probe) fat32Label(f *bootsector.FAT) []byte {
	const maxClusters = 99
	clusterBytes := f.ClusterSize * f.SectorSize
	entries := uint32(uint64(f.FAT32Length) * uint64(f.SectorSize) / 4)
	data := f.Reserved + f.FATSize // sector of cluster 2
	next := le.Uint32(f.Sector[0x2c:])
	for i := 0; i < maxClusters && next != 0 && next < entries; i++ {
		sector := data + (next-2)*f.ClusterSize
		if l := p.fatLabel(uint64(sector)*uint64(f.SectorSize), clusterBytes/32); l != nil {
			return l
		}
		at := uint64(f.Reserved)*uint64(f.SectorSize) + uint64(next)*4
		if !p.d.Has(at, uint64(clusterBytes)) {
			return nil
		}
		b := p.bytes(at, 4)
		if b == nil {
			return nil
		}
		next = le.Uint32(b) & 0x0fffffff
	}
	return nil
}

// fat32Info checks the FS information sector, if there is one: 0 "RRaA", 484
// "rrAa". Some tools leave them zero, and one writes "RRdA".
func (p *probe) fat32Info(f *bootsector.FAT) bool {
	sector := le.Uint16(f.Sector[0x30:])
	if sector == 0 {
		return true
	}
	b := p.bytes(uint64(sector)*uint64(f.SectorSize), 512)
	if b == nil {
		return false
	}
	switch string(b[:4]) {
	case "RRaA", "RRdA", "\x00\x00\x00\x00":
	default:
		return false
	}
	tail := string(b[484:488])
	return tail == "rrAa" || tail == "\x00\x00\x00\x00"
}

// probeNTFS takes the label from the attribute $VOLUME_NAME of the MFT's
// record 3 (the kernel's fs/ntfs3/ntfs.h), little-endian:
//
//	record:    20 u16 offset of the attributes   28 u32 bytes allocated
//	attribute:  0 u32 type   4 u32 length   16 u32 length of the value
//	           20 u16 offset of the value, UTF-16
func probeNTFS(p *probe, _ *magic) bool {
	const (
		volumeName = 0x60
		endMark    = 0xffffffff
		header     = 22
	)
	v := bootsector.FindNTFS(p.d)
	if v == nil {
		return false
	}
	if rec := v.Volume; len(rec) >= 32 {
		at, allocated := uint64(le.Uint16(rec[20:])), uint64(le.Uint32(rec[28:]))
		for at+header <= uint64(len(rec)) && at <= allocated {
			a := rec[at:]
			length := le.Uint32(a[4:])
			if kind := le.Uint32(a); length == 0 || kind == endMark {
				break
			} else if kind == volumeName {
				from, n := uint64(le.Uint16(a[20:])), uint64(le.Uint32(a[16:]))
				if from+n <= uint64(len(a)) {
					p.labelEncoded(a[from:from+n], blktext.UTF16LE)
				}
				break
			}
			at += uint64(length)
		}
	}
	p.blockSize(v.SectorSize)
	if v.Serial != 0 {
		p.set("UUID", fmt.Sprintf("%016X", v.Serial))
	}
	return true
}

func probeBitLocker(p *probe, _ *magic) bool {
	v := bootsector.FindBitLocker(p.d)
	if v == nil {
		return false
	}
	if v.Kind == bootsector.BitLockerWin7 {
		p.uuidText(v.Serial, fmt.Sprintf("%016d", int32(le.Uint32(v.Serial))))
	}
	if v.Kind != bootsector.BitLockerVista {
		p.version(utoa(uint64(v.Version)))
	}
	return true
}

// The exFAT boot sector, little-endian (Microsoft's "exFAT file system
// specification", section 3.1):
//
//	 80 u32 sector of the FAT      88 u32 sector of cluster 2
//	 96 u32 cluster of the root   100 serial number, 4 bytes
//	104 u8 minor version          105 u8 major version
//	108 u8 log2 of sector size    109 u8 log2 of sectors in a cluster
//
// The label is a directory entry of 32 bytes in the root: 0 u8 0x83, 1 u8
// length in UTF-16 code units, 2 text, 22 bytes.
func probeExFAT(p *probe, _ *magic) bool {
	b := p.bytes(0, 120)
	if b == nil {
		return false
	}
	// Shifts count as a 32-bit machine counts them; sizes beyond that are
	// of no exFAT.
	sectorSize := uint32(1) << (b[108] & 31)
	clusterSize := sectorSize << (b[109] & 31)
	if clusterSize == 0 {
		return false
	}
	if l := p.exfatLabel(b, clusterSize); l != nil {
		p.labelEncoded(l[2:2+min(int(l[1])*2, 22)], blktext.UTF16LE)
	}
	p.uuidText(b[100:104], fatSerial(b[100:]))
	p.version(utoa(uint64(b[105])) + "." + utoa(uint64(b[104])))
	p.blockSize(sectorSize)
	return true
}

func (p *probe) exfatLabel(b []byte, clusterSize uint32) []byte {
	const (
		maxEntries   = 10000
		firstCluster = 2
		lastCluster  = 0xffffff6
		endOfDir     = 0x00
		volumeLabel  = 0x83
	)
	blockBits, clusterBits := b[108]&63, b[109]&63
	place := func(cluster uint32) uint64 {
		return (uint64(le.Uint32(b[88:])) + uint64(cluster-firstCluster)<<clusterBits) << blockBits
	}
	cluster := le.Uint32(b[96:])
	off := place(cluster)
	for range maxEntries {
		e := p.bytes(off, 32)
		if e == nil || e[0] == endOfDir {
			return nil
		}
		if e[0] == volumeLabel {
			return e
		}
		if off += 32; off%uint64(clusterSize) != 0 {
			continue
		}
		next := p.bytes(uint64(le.Uint32(b[80:]))<<blockBits+uint64(cluster)*4, 4)
		if next == nil {
			return nil
		}
		if cluster = le.Uint32(next); cluster < firstCluster || cluster > lastCluster {
			return nil
		}
		off = place(cluster)
	}
	return nil
}
