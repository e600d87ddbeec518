// Package zfslabel reads the labels of devices of ZFS pools: which pool a device
// is of, what else the pool is made of, who used it last, and what of its history
// the device has. It reads nothing of what is in the pool.
//
// The format is that of OpenZFS's include/sys/vdev_impl.h, uberblock_impl.h and
// zio_checksum.h. Four labels of 256 KiB are on a device, two at its start and two
// at its end: in each, at 16 KiB, a list of properties of 112 KiB with a checksum
// at its end, and at 128 KiB a ring of uberblocks, each with one too. The list is
// in XDR; the rest is in the byte order of the machine that wrote it.
package zfslabel

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// Places and sizes in a label, in bytes.
const (
	Size       = 256 << 10 // of one label
	labels     = 4
	listAt     = 16 << 10
	listSize   = 112 << 10
	ringAt     = 128 << 10
	ringSize   = 128 << 10
	sealSize   = 40 // at the end of what has a checksum: a magic number and 32 bytes
	sealMagic  = 0x0210da7ab10c7a11
	uberMagic  = 0x00bab10c
	uberShift  = 10 // the smallest uberblock has so many bits
	uberMost   = 13
	rootAt     = 40 // of the block pointer in an uberblock
	rootSumAt  = rootAt + 96
	featureRmv = "com.delphix:device_removal"
)

// State is what became of the pool that a device is of (enum pool_state).
type State uint64

// States of a pool.
const (
	Active    State = iota // in use, or not put away by who used it
	Exported               // put away
	Destroyed              // and may be overwritten
	Spare                  // the device is a spare
	Cache                  // the device is a cache
)

// Vdev is a device of a pool, or what is made of several.
type Vdev struct {
	Type    string // "disk", "file", "mirror", "raidz", "draid", "replacing", "spare" …
	ID      uint64 // its number among its siblings
	GUID    uint64
	Parity  uint64 // of raidz and draid: how many of the children may be missing
	Ashift  uint64 // of a top-level vdev: a sector has 1<<Ashift bytes
	Log     bool   // holds the intent log alone
	Path    string // of a leaf, where it was when the label was written
	Offline bool   // taken out by a person
	Gone    bool   // marked as not to be used: removed, faulted, never there
	// Children are what it is made of.
	Children []Vdev
}

// Uber is an uberblock: what the pool was at a time.
type Uber struct {
	Txg  uint64 // number of the transaction group
	Time uint64 // when, seconds since 1970
	Root uint64 // stands for the state that it leads to: a part of the checksum
}

// Label is what a device says of itself and of its pool.
type Label struct {
	Version  uint64 // of the format of the pool; 5000 has features
	Pool     string // its name
	PoolGUID uint64
	State    State
	Txg      uint64 // when the label was written
	GUID     uint64 // of this device
	TopGUID  uint64 // of the top-level vdev that it is in
	HostID   uint64 // who used the pool last; 0 is not known
	HostName string
	Errata   uint64
	// Tops is how many top-level vdevs the pool has, with the numbers in Holes,
	// where there is none any more.
	Tops  uint64
	Holes []uint64
	// Tree is the top-level vdev that the device is in; nil for a spare or a
	// cache.
	Tree *Vdev
	// Features are those that one has to know to read the pool.
	Features []string
	// Ubers are the uberblocks in the ring, the newest first.
	Ubers []Uber
	// Copies is how many of the four labels have the list that was taken.
	Copies int
}

// Removed says that top-level vdevs were taken out of the pool, whose data lies
// in others now: the numbers that such have had are in no label.
func (l *Label) Removed() bool {
	for _, f := range l.Features {
		if f == featureRmv {
			return true
		}
	}
	return false
}

// Error is one of this package. It is a constant, so that a program that links
// the package and reads nothing has nothing of it.
type Error string

func (e Error) Error() string { return string(e) }

// ErrNoLabel says that there is none that is whole.
const ErrNoLabel Error = "no label of ZFS on it is whole"

// Place is where something is on a device, in bytes.
type Place struct{ Off, Len uint64 }

// Places are where Read reads on a device of size bytes; none on one that is too
// small.
func Places(size uint64) []Place {
	size &^= Size - 1
	if size < labels*Size {
		return nil
	}
	list := make([]Place, labels)
	for i := range uint64(labels) {
		list[i] = Place{i*Size + listAt, Size - listAt}
		if i >= labels/2 {
			list[i].Off = size - (labels-i)*Size + listAt
		}
	}
	return list
}

// Read reads the labels of a device of size bytes: the newest that is whole
// counts, and the uberblocks of all. It reads 1 MiB.
func Read(r io.ReaderAt, size uint64) (*Label, error) {
	var best *Label
	var last error
	rings := make([][]byte, 0, labels)
	var places []uint64
	buf := make([]byte, Size-listAt)
	for _, p := range Places(size) {
		if _, err := r.ReadAt(buf, int64(p.Off)); err != nil {
			last = err
			continue
		}
		rings, places = append(rings, append([]byte(nil), buf[ringAt-listAt:]...)), append(places, p.Off-listAt+ringAt)
		if !sealed(buf[:listSize], p.Off) {
			continue
		}
		l, err := parse(buf[:listSize-sealSize])
		switch {
		case err != nil:
			last = err
		case best == nil || l.Txg > best.Txg:
			best, l.Copies = l, 1
		case l.Txg == best.Txg:
			best.Copies++
		}
	}
	switch {
	case best == nil && last != nil:
		return nil, last
	case best == nil:
		return nil, ErrNoLabel
	case best.Tree == nil:
		return best, nil
	}
	for i, ring := range rings {
		best.addRing(ring, places[i])
	}
	return best, nil
}

// sealed says whether the checksum at the end of a block is right that was
// written at an offset of the device. The offset is a part of what is summed, in
// the place of the checksum.
func sealed(b []byte, at uint64) bool {
	seal := b[len(b)-sealSize:]
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint64(seal) != sealMagic {
		order = binary.BigEndian
	}
	if order.Uint64(seal) != sealMagic {
		return false
	}
	var verifier [32]byte
	order.PutUint64(verifier[:], at)
	h := sha256.New()
	h.Write(b[:len(b)-32])
	h.Write(verifier[:])
	sum := h.Sum(nil)
	for i := 0; i < 32; i += 8 {
		if binary.BigEndian.Uint64(sum[i:]) != order.Uint64(seal[8+i:]) {
			return false
		}
	}
	return true
}

// parse makes a label out of its list.
func parse(b []byte) (*Label, error) {
	l, err := parseList(b)
	if err != nil {
		return nil, err
	}
	label := &Label{Version: l.word("version"), Pool: l.text("name"), PoolGUID: l.word("pool_guid"), State: State(l.word("state")), Txg: l.word("txg"),
		GUID: l.word("guid"), TopGUID: l.word("top_guid"), HostID: l.word("hostid"), HostName: l.text("hostname"), Errata: l.word("errata"), Tops: l.word("vdev_children")}
	if label.State == Spare || label.State == Cache {
		return label, nil // has its own number and no more
	}
	tree := l.find("vdev_tree", kindList)
	if tree == nil || label.PoolGUID == 0 || label.GUID == 0 || label.Pool == "" {
		return nil, errList
	}
	label.Tree = new(Vdev)
	label.Tree.fill(tree.lists[0])
	if p := l.find("hole_array", kindUint64s); p != nil {
		label.Holes = p.words
	}
	if p := l.find("features_for_read", kindList); p != nil {
		for _, f := range p.lists[0] {
			label.Features = append(label.Features, f.name)
		}
	}
	return label, nil
}

// fill reads a vdev and what it is made of.
func (v *Vdev) fill(l list) {
	v.Type, v.Path = l.text("type"), l.text("path")
	v.ID, v.GUID, v.Parity, v.Ashift = l.word("id"), l.word("guid"), l.word("nparity"), l.word("ashift")
	v.Log, v.Offline = l.word("is_log") != 0, l.word("offline") != 0
	v.Gone = l.word("not_present")|l.word("faulted")|l.word("removed") != 0
	if p := l.find("children", kindLists); p != nil {
		v.Children = make([]Vdev, len(p.lists))
		for i, c := range p.lists {
			v.Children[i].fill(c)
		}
	}
}

// addRing takes the uberblocks of a ring, as far as they are whole and new. place
// is where it begins on the device.
func (l *Label) addRing(ring []byte, place uint64) {
	shift := min(max(l.Tree.Ashift, uberShift), uberMost)
	for at := 0; at < ringSize; at += 1 << shift {
		b := ring[at : at+1<<shift]
		var order binary.ByteOrder = binary.LittleEndian
		if order.Uint64(b) != uberMagic {
			order = binary.BigEndian
		}
		u := Uber{Txg: order.Uint64(b[16:]), Time: order.Uint64(b[32:]), Root: order.Uint64(b[rootSumAt:])}
		if order.Uint64(b) != uberMagic || u.Txg == 0 || l.has(u) || !sealed(b, place+uint64(at)) {
			continue
		}
		i := len(l.Ubers)
		l.Ubers = append(l.Ubers, u)
		for ; i > 0 && l.Ubers[i-1].Txg < u.Txg; i-- {
			l.Ubers[i] = l.Ubers[i-1]
		}
		l.Ubers[i] = u
	}
}

func (l *Label) has(u Uber) bool {
	for _, o := range l.Ubers {
		if o.Txg == u.Txg && o.Root == u.Root {
			return true
		}
	}
	return false
}

// Newest is the last transaction group of which the device has the uberblock, 0
// for none.
func (l *Label) Newest() uint64 {
	if len(l.Ubers) == 0 {
		return 0
	}
	return l.Ubers[0].Txg
}

// Apart says whether two devices of a pool have different histories: the same
// transaction group led to different states. It returns the last in which they
// agree, as far as it is known, else 0.
func Apart(a, b *Label) (last uint64, apart bool) {
	for _, u := range a.Ubers {
		same, other := false, false
		for _, o := range b.Ubers {
			if o.Txg == u.Txg {
				same, other = same || o.Root == u.Root, other || o.Root != u.Root
			}
		}
		switch {
		case same:
			last = max(last, u.Txg)
		case other:
			apart = true
		}
	}
	return last, apart
}
