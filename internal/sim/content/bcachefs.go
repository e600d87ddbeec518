package content

// Bcachefs is a member of a bcachefs, as the superblock has it (the kernel's
// fs/bcachefs/bcachefs_format.h), without a checksum.
type Bcachefs struct {
	UUID, Label  string
	Index, Count int
	Seq          uint64
	Locked       bool // a passphrase opens it
}

// Pieces are the superblock.
func (c Bcachefs) Pieces() []Piece {
	const fixed, member = 752, 56
	fields := make([]byte, 8+member*c.Count)
	le.PutUint32(fields, uint32(len(fields)/8))
	le.PutUint32(fields[4:], 1)
	for i := range c.Count {
		fields[8+member*i], fields[8+member*i+1] = 0xbc, byte(i+1)
	}
	if c.Locked {
		key := make([]byte, 8+16+8+32)
		le.PutUint32(key, uint32(len(key)/8))
		le.PutUint32(key[4:], 2)
		fields = append(fields, key...)
	}
	b := make([]byte, fixed, fixed+len(fields))
	le.PutUint16(b[16:], 1<<10|13)
	copy(b[24:], "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef")
	uuid := UUID(c.UUID)
	copy(b[40:], uuid[:])
	copy(b[56:], uuid[:])
	copy(b[72:104], c.Label)
	le.PutUint64(b[104:], 8)
	le.PutUint64(b[112:], c.Seq)
	le.PutUint16(b[120:], 8)
	b[122], b[123] = byte(c.Index), byte(c.Count)
	le.PutUint32(b[124:], uint32(len(fields)/8))
	b[257] = 7
	return []Piece{{At: 4096, Data: append(b, fields...)}}
}
