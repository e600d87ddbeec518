package prove

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
	"firstlight/internal/sim/gen"
)

// rootMark is a file of each filesystem that says which one it is.
const rootMark = "/.filesystem"

func markOf(id int) string { return "node " + strconv.Itoa(id) }

// built is a machine made from its description.
type built struct {
	d      *gen.Machine
	disks  map[int]*sim.Disk // by node: what lies on it, of a disk the disk itself
	copies int               // how many copies of disks there are so far
	pvs    map[int]string    // UUIDs of physical volumes, by the node that is one
	groups map[string]string // names of groups, by the UUID of a physical volume
	keys   []string          // volume keys, as bytes and as text
}

const (
	diskSize   = 64 << 20
	tableRoom  = 1 << 20
	extentSize = 1 << 20
	chunkSize  = 64 << 10
)

// build makes the disks of a description, with everything on them.
func build(d *gen.Machine, m *sim.Machine) *built {
	b := &built{d: d, disks: map[int]*sim.Disk{}, pvs: map[int]string{}, groups: map[string]string{}}
	for i := range d.Nodes {
		b.node(&d.Nodes[i])
	}
	for _, f := range d.Faults {
		if f.Trouble == gen.Signature && b.disks[f.Node] != nil {
			b.ambiguous(d.Node(f.Node))
		}
	}
	if d.Drivers {
		m.Modules = drivers(d)
	}
	return b
}

func (b *built) node(n *gen.Node) {
	switch n.Kind {
	case gen.Disk:
		b.disk(n)
	case gen.Array:
		b.array(n)
	case gen.Group:
		b.group(n)
	case gen.LUKS:
		b.locked(n)
	case gen.Cached:
		b.cached(n)
	case gen.Ext4:
		b.ext4(n)
	case gen.Btrfs:
		b.btrfs(n)
	case gen.Swap:
		on := b.disks[n.On[0]]
		head := content.Swap(n.UUID, n.Image)
		copy(head[1024+28:1024+44], n.Label)
		on.Put(content.Piece{Data: head})
	}
}

// disk makes a disk with its table and partitions.
func (b *built) disk(n *gen.Node) {
	d := &sim.Disk{Name: n.Name, Label: n.Name, Size: diskSize}
	b.disks[n.ID] = d
	var parts []content.Partition
	for i := range b.d.Nodes {
		p := &b.d.Nodes[i]
		if p.Kind != gen.Part || p.On[0] != n.ID {
			continue
		}
		at := int64(tableRoom + len(parts)*diskSize)
		parts = append(parts, content.Partition{Start: at, Size: diskSize, Type: content.LinuxData, UUID: p.UUID, Name: p.Name})
		b.disks[p.ID] = &sim.Disk{Label: n.Name + " partition", Size: diskSize}
		d.Holds = append(d.Holds, sim.Extent{At: at, Disk: b.disks[p.ID]})
	}
	if len(parts) > 0 {
		d.Size = int64(2*tableRoom + len(parts)*diskSize)
		entries := 128
		if b.d.Seed%4 != 0 {
			entries = 16
		}
		d.Put(content.GPTOf(entries, content.UUIDText(uint64(n.ID)<<32, b.d.Seed), d.Size, parts)...)
	}
}

func (b *built) locked(n *gen.Node) {
	on := b.disks[n.On[0]]
	version := 1 + n.ID%2
	l := content.LUKS{Version: version, UUID: n.UUID, Passphrases: []string{n.Pass}}
	at := l.DataOffset()
	inner := &sim.Disk{Label: "inside " + n.UUID, Size: on.Size - at}
	b.disks[n.ID] = inner
	on.Holds = append(on.Holds, sim.Extent{At: at, Disk: inner, Key: l.Key()})
	on.Put(l.Pieces()...)
	b.keys = append(b.keys, string(l.Key()), hex.EncodeToString(l.Key()))
}

// cached makes a disk with a cache: of one that is dirty the cache has all, and
// the disk something older.
func (b *built) cached(n *gen.Node) {
	disk, cache := b.disks[n.On[0]], b.disks[n.On[1]]
	inner := &sim.Disk{Label: "cached " + n.UUID, Size: min(disk.Size, cache.Size) - content.BcacheData}
	b.disks[n.ID] = inner
	c := content.Bcache{UUID: n.UUID, Set: content.UUIDText(uint64(n.ID)<<32, b.d.Seed+5), State: 1}
	of := inner
	if slices.ContainsFunc(b.d.Faults, func(f gen.Fault) bool { return f.Node == n.ID && f.Trouble == gen.Dirty }) {
		c.State = 2
		of = &sim.Disk{Label: "old content of " + n.UUID, Size: inner.Size}
	}
	disk.Holds = append(disk.Holds, sim.Extent{At: content.BcacheData, Disk: of})
	disk.Put(c.Pieces()...)
	c.UUID, c.Cache, c.State = content.UUIDText(uint64(n.ID)<<32, b.d.Seed+6), true, 0
	cache.Holds = append(cache.Holds, sim.Extent{At: content.BcacheData, Disk: inner})
	cache.Put(c.Pieces()...)
}

// array spreads what is on an array over its members.
func (b *built) array(n *gen.Node) {
	data := int64(1 << 40)
	for _, on := range n.On {
		data = min(data, b.disks[on].Size-content.MDReserved)
	}
	data &^= chunkSize - 1
	slots := len(n.On)
	wide := map[int]int64{0: int64(slots), 1: 1, 5: int64(slots) - 1, 6: int64(slots) - 2, 10: int64(slots) / 2}[n.Level]
	inner := &sim.Disk{Label: "array " + n.Name, Size: data * wide}
	b.disks[n.ID] = inner
	events, lost, split, dirty := b.history(n)
	for slot, on := range n.On {
		member := b.disks[on]
		md := content.MD{Version: "1.2", UUID: n.UUID, Device: content.UUIDText(uint64(n.ID)<<32|uint64(slot), b.d.Seed+1), Name: "any:" + n.Name,
			Level: n.Level, Slots: slots, Slot: slot, Events: 40, Made: 1700000000, Data: data, Dirty: dirty, Lost: lost}
		switch n.Level {
		case 0, 5, 6, 10:
			md.Chunk = chunkSize
		}
		if n.Level == 5 || n.Level == 6 {
			md.Layout = 2
		}
		if n.Level == 10 {
			md.Layout = 0x102
		}
		if e, ok := events[slot]; ok {
			md.Events, md.Lost = e, nil
		}
		if split && slot < 2 {
			md.Lost = []int{1 - slot}
		}
		ext := sim.Extent{At: md.MDDataOffset(), Disk: inner, Length: data}
		if slices.Contains(lost, slot) {
			ext.Disk = &sim.Disk{Label: "old content of " + n.Name, Size: inner.Size}
		}
		if n.Level != 1 {
			ext.Stripe = &sim.Stripe{Level: n.Level, Slots: slots, Slot: slot, Chunk: chunkSize}
		}
		member.Holds = append(member.Holds, ext)
		member.Put(md.Pieces(member.Size)...)
	}
}

// history is what happened to an array: which members are older than the
// others, which slots those believe to be lost.
func (b *built) history(n *gen.Node) (events map[int]uint64, lost []int, split, dirty bool) {
	events = map[int]uint64{}
	lost = b.d.StaleSlots(n)
	for _, slot := range lost {
		events[slot] = 20
	}
	for _, f := range b.d.Faults {
		if f.Node != n.ID {
			continue
		}
		switch f.Trouble {
		case gen.Split:
			split = true
		case gen.Dirty:
			dirty = true
		}
	}
	return events, lost, split && len(n.On) > 1, dirty
}

// group makes a volume group with all of its volumes.
func (b *built) group(n *gen.Node) {
	g := content.VG{Name: n.Name, UUID: lvmID(n.UUID), Seqno: 5, Extent: extentSize}
	index := map[int]int{}
	users := map[int]int64{}
	for i, pv := range n.On {
		id := lvmID(content.UUIDText(uint64(n.ID)<<32|uint64(i), b.d.Seed+2))
		b.pvs[pv] = content.LVMUUID(id)
		b.groups[b.pvs[pv]] = n.Name
		index[pv] = i
		g.PVs = append(g.PVs, content.PV{UUID: id, Size: b.disks[pv].Size, Device: "/dev/" + fmt.Sprint("old", i)})
	}
	var volumes []*gen.Node
	for i := range b.d.Nodes {
		if v := &b.d.Nodes[i]; v.Kind == gen.LV && v.On[0] == n.ID {
			volumes = append(volumes, v)
			for _, pv := range v.On[1:] {
				users[pv]++
			}
		}
	}
	next := map[int]int64{}
	for _, v := range volumes {
		inner := &sim.Disk{Label: "volume " + v.Name}
		b.disks[v.ID] = inner
		lv := content.LV{Name: v.Name, UUID: lvmID(v.UUID)}
		for _, pv := range v.On[1:] {
			i := index[pv]
			count := g.Extents(i) / users[pv]
			lv.Segments = append(lv.Segments, content.Segment{Extents: count, Areas: []content.Area{{PV: i, Extent: next[pv]}}})
			b.disks[pv].Holds = append(b.disks[pv].Holds, sim.Extent{At: content.PVStart + next[pv]*extentSize,
				Disk: inner, From: inner.Size, Length: count * extentSize})
			next[pv] += count
			inner.Size += count * extentSize
		}
		g.LVs = append(g.LVs, lv)
	}
	for i, pv := range n.On {
		b.disks[pv].Put(g.Pieces(i)...)
	}
}

// lvmID makes LVM's kind of UUID from the usual one.
func lvmID(uuid string) string { return strings.ReplaceAll(uuid, "-", "") }

// files are those of a filesystem, with the mark.
func files(n *gen.Node) map[string]string {
	f := map[string]string{rootMark: markOf(n.ID)}
	for k, v := range n.Files {
		f[k] = v
	}
	return f
}

func (b *built) ext4(n *gen.Node) {
	on := b.disks[n.On[0]]
	on.Files, on.FSType = files(n), "ext4"
	on.Put(content.Piece{Data: content.Ext4(n.UUID, n.Label)})
}

func (b *built) btrfs(n *gen.Node) {
	whole := &sim.Disk{Label: "btrfs " + n.Label, Files: files(n)}
	pool := &sim.Pool{Filesystem: whole, Devices: len(n.On), UUID: n.UUID}
	if n.Profile == "raid1" {
		pool.Spare = 1
	}
	for i, id := range n.On {
		on := b.disks[id]
		fs := content.Btrfs{UUID: n.UUID, Device: content.UUIDText(uint64(n.ID)<<32|uint64(i), b.d.Seed+3), Label: n.Label,
			Devices: len(n.On), Number: i + 1, Size: on.Size, Spare: pool.Spare}
		on.Put(fs.Pieces()...)
		if on.FSType = "btrfs"; len(n.On) > 1 {
			on.Pool = pool
		} else {
			on.Files = whole.Files
		}
	}
}

// ambiguous puts a second signature on a device: that of a filesystem where
// there is none, or of another one.
func (b *built) ambiguous(n *gen.Node) {
	on := b.disks[n.ID]
	on.Put(content.Piece{Data: content.XFS(content.UUIDText(uint64(n.ID)<<32, b.d.Seed+4), "old")})
}

// bus is a bus for a disk, with its controller.
func bus(kind string, slot int, d *sim.Disk) *sim.Device {
	switch kind {
	case "nvme":
		return sim.NVMe(slot, d)
	case "scsi":
		return sim.SATA(slot, d)
	}
	return sim.Virtio(slot, d)
}

// drivers are the modules of the image: all but those that lack.
func drivers(d *gen.Machine) []sim.Module {
	return slices.DeleteFunc(sim.Debian(), func(m sim.Module) bool {
		return slices.ContainsFunc(d.Faults, func(f gen.Fault) bool {
			return f.Trouble == gen.NoDriver && m.Name == map[string]string{"virtio": "virtio_blk", "scsi": "ahci", "nvme": "nvme"}[f.What]
		})
	})
}
