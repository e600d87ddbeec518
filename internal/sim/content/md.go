package content

// MD is one member of an array of the kernel's MD driver, as its superblock
// has it (the kernel's include/uapi/linux/raid/md_p.h).
type MD struct {
	Version string // "1.0", "1.1", "1.2" or "0.90"
	UUID    string
	Device  string // UUID of the member; none in 0.90
	Name    string // "host:name"; none in 0.90
	Level   int    // 0, 1, 4, 5, 6, 10; -1 is linear
	Layout  uint32
	Chunk   int64 // bytes; 0 where the level has none
	Slots   int
	Slot    int // of this member; SpareSlot for a spare
	// Lost are slots that this member believes to be without a member: it was
	// written to when they were away.
	Lost   []int
	Events uint64
	Dirty  bool  // was not shut down cleanly
	Data   int64 // bytes of each member that the array uses
	Made   uint32
}

// SpareSlot marks a member without a slot.
const SpareSlot = -1

// MDDataOffset is where the data of a member starts, in bytes: behind the
// superblock for those that have it at the front.
func (m MD) MDDataOffset() int64 {
	switch m.Version {
	case "1.1", "1.2":
		return 1 << 20
	}
	return 0
}

// MDReserved is how much larger a device must be than the data on it, in
// bytes.
const MDReserved = 1<<20 + 128<<10

const mdMagic = 0xa92b4efc

// Pieces are the superblock on a device of size bytes.
func (m MD) Pieces(size int64) []Piece {
	if m.Version == "0.90" {
		return []Piece{{size&^(64<<10-1) - 64<<10, m.old()}}
	}
	at := int64(4096)
	switch m.Version {
	case "1.1":
		at = 0
	case "1.0":
		at = (size - 8<<10) &^ 4095
	case "1.2":
	default:
		panic("content: MD version " + m.Version)
	}
	return []Piece{{at, m.super(at, size)}}
}

func (m MD) super(at, size int64) []byte {
	b := make([]byte, 4096)
	array, device := UUID(m.UUID), UUID(m.Device)
	le.PutUint32(b, mdMagic)
	le.PutUint32(b[4:], 1)
	copy(b[16:], array[:])
	copy(b[32:64], m.Name)
	le.PutUint64(b[64:], uint64(m.Made))
	le.PutUint32(b[72:], uint32(m.Level))
	le.PutUint32(b[76:], m.Layout)
	le.PutUint64(b[80:], uint64(m.Data/SectorSize))
	le.PutUint32(b[88:], uint32(m.Chunk/SectorSize))
	le.PutUint32(b[92:], uint32(m.Slots))
	if m.Level == 0 {
		le.PutUint32(b[8:], 1<<12) // its layout counts
		le.PutUint32(b[76:], 2)
	}
	le.PutUint64(b[128:], uint64(m.MDDataOffset()/SectorSize))
	dataSize := m.Data
	if m.Version != "1.0" {
		dataSize = size - m.MDDataOffset()
	}
	le.PutUint64(b[136:], uint64(dataSize/SectorSize))
	le.PutUint64(b[144:], uint64(at/SectorSize))
	number := m.Slot
	if m.Slot == SpareSlot {
		number = m.Slots
	}
	le.PutUint32(b[160:], uint32(number))
	copy(b[168:], device[:])
	le.PutUint64(b[192:], uint64(m.Made)+m.Events)
	le.PutUint64(b[200:], m.Events)
	le.PutUint64(b[208:], 1<<64-1)
	if m.Dirty {
		le.PutUint64(b[208:], 0)
	}
	roles := m.Slots + 1
	le.PutUint32(b[220:], uint32(roles))
	for i := range roles {
		role := uint16(i)
		if i == m.Slots || m.lost(i) {
			role = 0xffff
			if m.lost(i) {
				role = 0xfffe
			}
		}
		le.PutUint16(b[256+2*i:], role)
	}
	var sum uint64
	sb := b[:256+2*roles]
	i := 0
	for ; i+4 <= len(sb); i += 4 {
		sum += uint64(le.Uint32(sb[i:]))
	}
	if i+2 <= len(sb) {
		sum += uint64(le.Uint16(sb[i:]))
	}
	le.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
	return b
}

func (m MD) lost(slot int) bool {
	for _, l := range m.Lost {
		if l == slot {
			return true
		}
	}
	return false
}

// old is a 0.90 superblock of a little-endian machine.
func (m MD) old() []byte {
	b := make([]byte, 4096)
	put := func(word int, v uint32) { le.PutUint32(b[4*word:], v) }
	u := UUID(m.UUID)
	put(0, mdMagic)
	put(2, 90)
	put(5, be.Uint32(u[:]))
	put(6, m.Made)
	put(7, uint32(m.Level))
	put(8, uint32(m.Data>>10))
	put(9, uint32(m.Slots-len(m.Lost)))
	put(10, uint32(m.Slots))
	put(11, 127)
	for i := range 3 {
		put(13+i, be.Uint32(u[4+4*i:]))
	}
	put(32, m.Made+uint32(m.Events))
	if !m.Dirty {
		put(33, 1)
	}
	active := m.Slots - len(m.Lost)
	put(34, uint32(active))
	put(35, uint32(active))
	put(36, uint32(len(m.Lost)))
	put(39, uint32(m.Events))
	put(40, uint32(m.Events>>32))
	if !m.Dirty {
		put(43, 1<<32-1)
	}
	put(64, m.Layout)
	put(65, uint32(m.Chunk))
	disk := func(word, number int) {
		put(word, uint32(number))
		put(word+1, 8)
		put(word+2, uint32(16*number))
		put(word+3, uint32(number))
		switch {
		case number >= m.Slots:
		case m.lost(number):
			put(word+4, 1<<3)
		default:
			put(word+4, 1<<1|1<<2)
		}
	}
	for i := range m.Slots {
		disk(128+32*i, i)
	}
	number := m.Slot
	if m.Slot == SpareSlot {
		number = m.Slots
		disk(128+32*number, number)
	}
	disk(992, number)
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(le.Uint32(b[i:]))
	}
	put(38, uint32(sum)+uint32(sum>>32))
	return b
}
