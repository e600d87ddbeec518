package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

var le = binary.LittleEndian

// devnum is the number of a block device.
type devnum struct{ major, minor int }

// byNumber finds the block device "major:minor".
func (m *Machine) byNumber(number string) *Disk {
	a, b, ok := strings.Cut(number, ":")
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil {
		return nil
	}
	return m.numbers[devnum{major, minor}]
}

// reader is what the kernel itself reads of a device.
type reader struct{ d *Disk }

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r.d.read(p, off) }

// Piece implements blkread.Memory.
func (r reader) Piece(off, n uint64) ([]byte, error) { return r.d.piece(off, n) }

// block is an open block device.
type block struct {
	m    *Machine
	d    *Disk
	life int
	// seen are the places that were read last: a probe looks at many bytes of
	// few places.
	seen [4]struct {
		at int64
		place
	}
	next int
}

func (b *block) check() error {
	if b.life != b.d.life || !b.d.there || b.m.readFails(b.d) {
		return fmt.Errorf("read %s: %w", b.d.node(), unix.EIO)
	}
	return nil
}

func (b *block) ReadAt(p []byte, off int64) (int, error) {
	if err := b.check(); err != nil {
		return 0, err
	}
	n, err := b.d.read(p, off)
	if errors.Is(err, unix.EIO) {
		err = fmt.Errorf("read %s: %w", b.d.node(), err)
	}
	return n, err
}

// Piece implements blkread.Memory.
func (b *block) Piece(off, n uint64) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	for i := range b.seen {
		s := &b.seen[i]
		if rel := int64(off) - s.at; rel >= 0 && rel+int64(n) <= s.n {
			if rel+int64(n) <= int64(len(s.data)) {
				return s.data[rel:][:n:n], nil
			}
			if rel >= int64(len(s.data)) && n <= uint64(len(zeros)) {
				return zeros[:n:n], nil
			}
		}
	}
	if p := b.d.locate(int64(off), nil, 0); !p.gone && !p.garbage && p.n > int64(n) {
		b.seen[b.next%len(b.seen)].at = int64(off)
		b.seen[b.next%len(b.seen)].place = p
		b.next++
	}
	return b.d.piece(off, n)
}

func (b *block) Close() error    { return nil }
func (b *block) Size() int64     { return b.d.size() }
func (b *block) SectorSize() int { return 512 }

// zeros is what most of a disk is.
var zeros [1 << 20]byte

// noise is what encrypted bytes look like, and parities, and what a wrong key
// makes of anything. It begins anew every noiseStep bytes.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 256<<10)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		if i%noiseStep == 0 {
			x = 0x9e3779b97f4a7c15
		}
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
})

const noiseStep = 4096

// piece returns bytes of a device, where it can without copying them. They
// must not be changed.
func (d *Disk) piece(off, n uint64) ([]byte, error) {
	p := d.locate(int64(off), nil, 0)
	switch {
	case p.gone:
		return nil, fmt.Errorf("read %s: %w", d.node(), unix.EIO)
	case p.n < int64(n):
	case p.garbage:
		if from := off % noiseStep; from+n <= uint64(len(noise())) {
			return noise()[from:][:n:n], nil
		}
	case len(p.data) >= int(n):
		return p.data[:n:n], nil
	case len(p.data) == 0 && n <= uint64(len(zeros)):
		return zeros[:n:n], nil
	}
	b := make([]byte, n)
	_, err := d.read(b, int64(off))
	return b, err
}

// OpenBlock implements machine.Storage.
func (m *Machine) OpenBlock(name string) (machine.Block, error) {
	d := m.disks[name]
	if d == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	if f := m.faultOn(OpenFails, d); f != nil {
		return nil, fmt.Errorf("open %s: %w", name, f.err())
	}
	return &block{m: m, d: d, life: d.life}, nil
}

var errNoCommand = errors.New("the device does not know this command")

// Identify implements machine.Storage: no disk here answers to ATA commands.
func (m *Machine) Identify(string) ([]byte, error) { return nil, errNoCommand }

// Inquiry implements machine.Storage.
func (m *Machine) Inquiry(string, bool, byte) ([]byte, error) { return nil, errNoCommand }

// Resume implements machine.System.
func (m *Machine) Resume(major, minor uint32, offset uint64) error {
	d := m.numbers[devnum{int(major), int(minor)}]
	if d == nil {
		return fmt.Errorf("resume from %d:%d: %w", major, minor, fs.ErrNotExist)
	}
	var mark [10]byte
	if _, err := d.read(mark[:], int64(offset)<<12+4096-10); err != nil || m.readFails(d) {
		return fmt.Errorf("resume from %s: %w", d.node(), unix.EIO)
	}
	if !bytes.Equal(mark[:9], []byte("S1SUSPEND")) {
		return machine.ErrNoImage
	}
	if f := m.faultOn(ImageRefused, d); f != nil {
		return fmt.Errorf("resume from %s: %w", d.node(), f.err())
	}
	m.Resumed = d.node()
	m.ResumedFrom, _ = d.shows()
	return nil
}

// Pool is a btrfs filesystem of several devices.
type Pool struct {
	Filesystem *Disk // with its Files
	Devices    int
	UUID       string
	// Spare is how many of its devices it can do without, when it is mounted
	// degraded.
	Spare int
	// Seed is the UUID, in 16 bytes, of the filesystem that it grew from, whose
	// devices are among its own; "" if it did not.
	Seed string
}

// btrfsMember is what the kernel knows of a device of a pool.
type btrfsMember struct {
	number uint64
	device *Disk
	life   int
	pool   *Pool
}

// btrfsHead reads what a btrfs superblock says of the pool: its UUID, how many
// devices it has, and the number of this one.
func btrfsHead(d *Disk) (uuid string, devices, number uint64, ok bool) {
	const at = 64 << 10
	var b [0xd1]byte
	if _, err := d.read(b[:], at); err != nil || string(b[0x40:0x48]) != "_BHRfS_M" {
		return "", 0, 0, false
	}
	return string(b[0x20:0x30]), le.Uint64(b[0x88:]), le.Uint64(b[0xc9:]), true
}

// btrfsGeneration is that of a device's superblock.
func btrfsGeneration(d *Disk) uint64 {
	var b [8]byte
	d.read(b[:], 64<<10+0x48)
	return le.Uint64(b[:])
}

// BtrfsScan implements machine.Storage.
func (m *Machine) BtrfsScan(name string) error {
	if err := m.Load("btrfs"); err != nil {
		return err
	}
	d := m.disks[name]
	if d == nil {
		return fmt.Errorf("tell btrfs of %s: %w", name, fs.ErrNotExist)
	}
	if m.readFails(d) {
		return fmt.Errorf("tell btrfs of %s: %w", name, unix.EIO)
	}
	uuid, _, number, ok := btrfsHead(d)
	if !ok {
		return fmt.Errorf("tell btrfs of %s: %w", name, unix.EINVAL)
	}
	leaf, _ := d.shows()
	x := btrfsMember{number, d, d.life, nil}
	if leaf != nil {
		x.pool = leaf.Pool
	}
	list := m.btrfs[uuid]
	for i := range list {
		if list[i].number == number {
			list[i] = x // the kernel believes who comes last
			return nil
		}
	}
	m.btrfs[uuid] = append(list, x)
	return nil
}

// BtrfsForget implements machine.Storage.
func (m *Machine) BtrfsForget(name string) error {
	for uuid, list := range m.btrfs {
		for i, x := range list {
			if x.device.node() != name || x.life != x.device.life {
				continue
			}
			for _, at := range m.mounted {
				if x.pool != nil && at.content == x.pool.Filesystem {
					return fmt.Errorf("forget %s: %w", name, unix.EBUSY)
				}
			}
			m.btrfs[uuid] = slices.Delete(list, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("forget %s: %w", name, unix.ENOENT)
}

// BtrfsReady implements machine.Storage.
func (m *Machine) BtrfsReady(name string) (bool, error) {
	d := m.disks[name]
	if d == nil {
		return false, fmt.Errorf("ask btrfs of %s: %w", name, fs.ErrNotExist)
	}
	uuid, devices, _, ok := btrfsHead(d)
	if !ok {
		return true, nil
	}
	if err := m.BtrfsScan(name); err != nil { // the ioctl does both
		return false, err
	}
	return uint64(len(m.btrfs[uuid])) >= devices, nil
}

// mountPool checks the devices of a btrfs that is being mounted and returns
// the filesystem. Mounted read-only it can lack what it cannot do without; it is
// not whole then.
func (m *Machine) mountPool(d, leaf *Disk, mt machine.Mount) (fsys *Disk, whole bool, err error) {
	if err := m.BtrfsScan(d.node()); err != nil {
		return nil, false, err
	}
	uuid, _, _, _ := btrfsHead(d)
	have := 0
	whole = true
	// The kernel goes by the newest superblock, and believes what else there is of
	// it to be of the same filesystem.
	pool, newest, latest := leaf.Pool, btrfsGeneration(d), d
	for _, x := range m.btrfs[uuid] {
		if x.life != x.device.life || !x.device.there {
			continue
		}
		have++
		if g := btrfsGeneration(x.device); x.pool != nil && g > newest {
			pool, newest, latest = x.pool, g, x.device
		}
	}
	_, devices, _, _ := btrfsHead(latest)
	for _, x := range m.btrfs[uuid] {
		if x.life == x.device.life && x.device.there && x.pool != pool {
			whole = false
			m.Mixed = append(m.Mixed, mt)
		}
	}
	leaf = &Disk{Pool: pool}
	for _, x := range m.btrfs[leaf.Pool.Seed] {
		if x.life == x.device.life && x.device.there {
			have++
		}
	}
	missing := int(devices) - have
	degraded := strings.Contains(","+mt.Data+",", ",degraded,")
	lost := missing > leaf.Pool.Spare
	if missing > 0 && (!degraded || lost && mt.Flags&readOnly == 0) {
		return nil, false, unix.EINVAL
	}
	if lost {
		m.Lost = append(m.Lost, mt)
	}
	return leaf.Pool.Filesystem, whole && !lost, nil
}
