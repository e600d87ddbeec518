package blkid

// The XFS superblock, at the start of the device, big-endian (the kernel's
// fs/xfs/libxfs/xfs_format.h):
//
//	  0 "XFSB"                   4 u32 block size
//	  8 u64 data blocks         32 UUID
//	 80 u32 realtime extent     84 u32 blocks of an allocation group
//	 88 u32 allocation groups  102 u16 sector size
//	104 u16 inode size         108 label, 12 bytes
//	120 u8 log2 of block size  121 u8 of sector size   122 u8 of inode size
//	123 u8 log2 of inodes in a block                   127 u8 % for inodes

func probeXFS(p *probe, _ *magic) bool {
	b := p.bytes(0, 160)
	if b == nil || !xfsValid(b) {
		return false
	}
	p.label(b[108:120])
	p.uuid(b[32:])
	p.blockSize(uint32(be.Uint16(b[102:])))
	return true
}

func xfsValid(b []byte) bool {
	block, sector, inode := be.Uint32(b[4:]), uint32(be.Uint16(b[102:])), uint32(be.Uint16(b[104:]))
	blockLog, sectorLog, inodeLog := b[120], b[121], b[122]
	realtime := be.Uint32(b[80:]) * block // wraps at 32 bits, as in libblkid
	groups, groupBlocks := uint64(be.Uint32(b[88:])), uint64(be.Uint32(b[84:]))
	blocks := be.Uint64(b[8:])
	switch {
	case groups == 0,
		sectorLog < 9, sectorLog > 15, sector != 1<<sectorLog,
		blockLog < 9, blockLog > 16, block != 1<<blockLog,
		inodeLog < 8, inodeLog > 11, inode != 1<<inodeLog,
		int(blockLog)-int(inodeLog) != int(b[123]),
		realtime > 1<<30, realtime < 4<<10,
		b[127] > 100,
		blocks == 0, blocks > groups*groupBlocks, blocks < (groups-1)*groupBlocks+64:
		return false
	}
	return true
}

// An external XFS log has no superblock; log records start at any sector of
// its first 256 KiB. Record header, big-endian (fs/xfs/libxfs/
// xfs_log_format.h):
//
//	  0 u32 0xfeedbabe    8 u32 version, 1 or 2   12 u32 length of the body
//	300 u32 format, 1 to 3                        304 UUID of the filesystem
const (
	xfsLogMinSize = 10 << 20
	xfsLogSearch  = 256 << 10
	xfsLogPiece   = 4 << 10 // is looked at at a time
	xfsLogMagic   = 0xfeedbabe
	xfsMagic      = 'X'<<24 | 'F'<<16 | 'S'<<8 | 'B'
)

func probeXFSLog(p *probe, _ *magic) bool {
	for off := uint64(0); off < xfsLogSearch; off += xfsLogPiece {
		b := p.bytes(off, xfsLogPiece)
		if b == nil {
			return false
		}
		for ; len(b) >= 512; b = b[512:] {
			switch be.Uint32(b) {
			case xfsMagic:
				return false // a filesystem that starts later
			case xfsLogMagic:
				version, length, format := be.Uint32(b[8:]), be.Uint32(b[12:]), be.Uint32(b[300:])
				if version != 0 && version&^3 == 0 && length != 0 && length <= 1<<31-1 && format >= 1 && format <= 3 {
					p.uuidAs("LOGUUID", b[304:])
					return true
				}
			}
		}
	}
	return false
}
