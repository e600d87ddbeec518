package sim

import (
	"maps"
	"slices"

	"firstlight/internal/sim/content"
)

// What lies on disks, layer by layer: each function returns the disks that a
// thing is spread over, with the bytes by which it is recognised and the
// thing itself where a right activation finds it.

// Filesystem is a filesystem of a type ("ext4", "xfs", "btrfs", "vfat") with
// the files in it. The UUID of a vfat is of the form "1234-ABCD" in its first
// eight digits: as many of the UUID's are taken.
func Filesystem(fstype, uuid, label string, files map[string]string) *Disk {
	d := &Disk{Label: fstype + " " + uuid, Files: files, FSType: fstype}
	switch fstype {
	case "ext4":
		d.Content = content.Ext4(uuid, label)
	case "xfs":
		d.Content = content.XFS(uuid, label)
	case "btrfs":
		u := content.UUID(uuid)
		d.Put(content.Btrfs{UUID: uuid, Device: content.UUIDText(be64(u[:8])+1, be64(u[8:])), Label: label, Devices: 1, Number: 1, Size: d.size()}.Pieces()...)
	case "vfat":
		u := content.UUID(uuid)
		d.Put(content.VFAT(uint32(be64(u[:8])>>32), label, d.size())...)
	default:
		panic("sim: no writer for the filesystem " + fstype)
	}
	return d
}

func be64(b []byte) (v uint64) {
	for _, c := range b[:8] {
		v = v<<8 | uint64(c)
	}
	return v
}

// SwapArea is a swap area, with an image of a hibernated system in it or not.
func SwapArea(uuid string, hibernated bool) *Disk {
	return &Disk{Label: "swap " + uuid, Content: content.Swap(uuid, hibernated)}
}

// Encrypt puts something into an encrypted device.
func Encrypt(l content.LUKS, inside *Disk) *Disk {
	d := &Disk{Label: "luks " + l.UUID, Size: l.DataOffset() + inside.size()}
	d.Holds = []Extent{{At: l.DataOffset(), Disk: inside, Key: l.Key()}}
	d.Put(l.Pieces()...)
	return d
}

// Part is a partition and what is on it.
type Part struct {
	Disk *Disk
	UUID string // GPT only
	Name string // GPT only
	Type string // see content.Partition; "" is Linux data
}

const mib = 1 << 20

// WithGPT is a disk with a GUID partition table.
func WithGPT(uuid string, parts ...Part) *Disk {
	d, list := lay(parts)
	for i := range list {
		if list[i].Type == "" {
			list[i].Type = content.LinuxData
		}
	}
	d.Put(content.GPT(uuid, d.Size, list)...)
	return d
}

// WithMBR is a disk with a master boot record.
func WithMBR(id uint32, parts ...Part) *Disk {
	d, list := lay(parts)
	d.Put(content.MBR(id, list)...)
	return d
}

// lay puts partitions one after the other, with room for the records of
// logical ones between them.
func lay(parts []Part) (*Disk, []content.Partition) {
	d := &Disk{}
	var list []content.Partition
	at := int64(mib)
	for _, p := range parts {
		size := (p.Disk.size() + mib - 1) &^ (mib - 1)
		list = append(list, content.Partition{Start: at, Size: size, Type: p.Type, UUID: p.UUID, Name: p.Name})
		d.Holds = append(d.Holds, Extent{At: at, Disk: p.Disk})
		at += size + mib
	}
	d.Size = at + mib
	return d, list
}

// memberInfo is what a disk is to an array or a group, for faults that change
// what its metadata says.
type memberInfo struct {
	array *arraySet
	group *groupSet
	index int
}

// arraySet are the members of an array as they are written.
type arraySet struct {
	members []*Disk
	supers  []content.MD
	whole   []*Disk // what each has a part of
	stripe  Stripe
	spares  int
}

// Members are the disks of an array that holds something; md says what the
// superblocks have in common (Slot, Device, Data and Lost are filled in), and
// spares how many more have no slot.
func Members(md content.MD, inside *Disk, spares int) []*Disk {
	set := &arraySet{stripe: Stripe{Level: md.Level, Slots: md.Slots, Chunk: md.Chunk}, spares: spares}
	per := inside.size()
	if md.Level != 1 {
		data := set.stripe.data() * md.Chunk
		if md.Level == 10 {
			data = md.Chunk * int64(md.Slots) / 2
		}
		per = (per + data - 1) / data * md.Chunk
	}
	md.Data = (per + 64<<10 - 1) &^ (64<<10 - 1)
	if md.Level == 0 {
		md.Data = 0 // a RAID0 uses all that a member has
	}
	u := content.UUID(md.UUID)
	for i := range md.Slots + spares {
		s := md
		s.Slot = i
		if i >= md.Slots {
			s.Slot = content.SpareSlot
		}
		s.Device = content.UUIDText(be64(u[:8])^uint64(i+1), be64(u[8:]))
		d := &Disk{Size: (max(per, md.Data) + content.MDReserved + mib - 1) &^ (mib - 1)}
		d.info = memberInfo{array: set, index: i}
		set.members = append(set.members, d)
		set.supers = append(set.supers, s)
		set.whole = append(set.whole, inside)
	}
	for i := range set.members {
		set.write(i)
	}
	return set.members
}

// write writes what a member holds.
func (s *arraySet) write(i int) {
	d, md := s.members[i], s.supers[i]
	d.Holds = nil
	if md.Slot != content.SpareSlot {
		e := Extent{At: md.MDDataOffset(), Disk: s.whole[i]}
		if s.stripe.Level != 1 {
			stripe := s.stripe
			stripe.Slot = md.Slot
			e.Stripe = &stripe
			e.Length = md.Data
			if md.Data == 0 {
				e.Length = d.Size - content.MDReserved
			}
		}
		d.Holds = []Extent{e}
	}
	d.Put(md.Pieces(d.Size)...)
}

// groupSet are the physical volumes of a group as they are written.
type groupSet struct {
	members []*Disk
	texts   []content.VG // as each has it
	inside  []map[string]*Disk
}

// Volumes are the disks of a volume group. Its logical volumes hold what
// inside has under their names; the sizes of the physical volumes are taken
// from the group.
func Volumes(vg content.VG, inside map[string]*Disk) []*Disk {
	set := &groupSet{}
	for _, lv := range vg.LVs {
		n := int64(0)
		for _, s := range lv.Segments {
			n += s.Extents * vg.Extent
		}
		if d := inside[lv.Name]; d != nil && d.Size == 0 && n < d.size() {
			d.Size = n
		}
	}
	for i, pv := range vg.PVs {
		d := &Disk{Size: pv.Size, info: memberInfo{group: set, index: i}}
		set.members = append(set.members, d)
		set.texts = append(set.texts, vg)
		set.inside = append(set.inside, inside)
	}
	for i := range set.members {
		set.write(i)
	}
	return set.members
}

func (s *groupSet) write(i int) {
	d, vg := s.members[i], &s.texts[i]
	d.Holds = nil
	for _, lv := range vg.LVs {
		start := int64(0)
		for _, seg := range lv.Segments {
			n := int64(len(seg.Areas))
			for j, a := range seg.Areas {
				if a.PV != i || s.inside[i][lv.Name] == nil {
					continue
				}
				e := Extent{At: content.PVStart + a.Extent*vg.Extent, Disk: s.inside[i][lv.Name], From: start * vg.Extent, Length: seg.Extents / n * vg.Extent}
				if n > 1 {
					e.Stripe = &Stripe{Slots: int(n), Slot: j, Chunk: seg.Stripe}
				}
				d.Holds = append(d.Holds, e)
			}
			start += seg.Extents
		}
	}
	d.Put(vg.Pieces(i)...)
}

// Btrfs are the devices of a btrfs filesystem of several, which can do
// without some of them when it is mounted degraded.
func Btrfs(uuid, label string, devices, spare int, files map[string]string) []*Disk {
	return BtrfsSides(uuid, label, spare, make([]BtrfsSide, devices), files)
}

// BtrfsSide is what a device of a btrfs has seen of what was written to it.
type BtrfsSide struct {
	Commits []content.BtrfsCommit
	Behind  int // of them its superblock does not know
}

// BtrfsSides are the devices of a btrfs filesystem that was used without some of
// them. What is mounted is called by the last commit that it has.
func BtrfsSides(uuid, label string, spare int, sides []BtrfsSide, files map[string]string) []*Disk {
	u := content.UUID(uuid)
	pools := map[string]*Pool{}
	var ids []string
	for i := range sides {
		ids = append(ids, content.UUIDText(be64(u[:8])^uint64(i+1), be64(u[8:])))
	}
	var out []*Disk
	for i, s := range sides {
		name := "btrfs " + uuid
		if n := len(s.Commits); n > 0 {
			name += " " + s.Commits[n-1].Text
		}
		if pools[name] == nil {
			pools[name] = &Pool{Filesystem: &Disk{Label: name, Files: files, FSType: "btrfs"}, Devices: len(sides), UUID: uuid, Spare: spare}
		}
		d := &Disk{Pool: pools[name], FSType: "btrfs"}
		d.Put(content.Btrfs{UUID: uuid, Device: ids[i], Label: label, Devices: len(sides), Number: i + 1, Size: d.size(), Spare: spare,
			IDs: ids, Commits: s.Commits, Behind: s.Behind}.Pieces()...)
		out = append(out, d)
	}
	return out
}

// Sprout is a seed of btrfs, and the device of a filesystem that grew from it; both
// have the label. What grew has the files.
func Sprout(seedUUID, uuid, label string, files map[string]string) (seed, grown *Disk) {
	s, u := content.UUID(seedUUID), content.UUID(uuid)
	seed = &Disk{FSType: "btrfs", Files: map[string]string{}}
	seed.Put(content.Btrfs{UUID: seedUUID, Device: content.UUIDText(be64(s[:8])^1, be64(s[8:])), Label: label, Devices: 1, Number: 1, Size: seed.size(), Seed: true}.Pieces()...)
	grown = &Disk{FSType: "btrfs", Pool: &Pool{Filesystem: &Disk{Label: "btrfs " + uuid, Files: files, FSType: "btrfs"}, Devices: 2, UUID: uuid, Seed: string(s[:])}}
	grown.Put(content.Btrfs{UUID: uuid, Device: content.UUIDText(be64(u[:8])^2, be64(u[8:])), Label: label, Devices: 2, Number: 2, Size: grown.size(), SeedUUID: seedUUID}.Pieces()...)
	return seed, grown
}

// membership finds what a disk, or something on it, is to an array or group.
func (d *Disk) membership() *memberInfo {
	if d.info.array != nil || d.info.group != nil {
		return &d.info
	}
	for i := range d.Holds {
		if in := d.Holds[i].Disk; in != nil {
			if x := in.membership(); x != nil {
				return x
			}
		}
	}
	return nil
}

// older is what a member holds that was not there when the others were last
// written: the same things as they were, which are not the ones wanted.
func older(d *Disk) *Disk {
	done := map[*Disk]*Disk{}
	c := d.clone(done)
	for from, to := range done {
		to.Label = "an older " + from.label()
		if to.Files != nil {
			to.Files = maps.Clone(to.Files)
			to.Files["/.older"] = ""
		}
	}
	return c
}

// makeStale changes the metadata of all members as if this one had been away
// when the others were last used.
func (d *Disk) makeStale() {
	x := d.membership()
	switch {
	case x == nil:
	case x.array != nil:
		s := x.array
		for i := range s.supers {
			if i != x.index {
				s.supers[i].Events += 10
				s.supers[i].Lost = append(slices.Clone(s.supers[i].Lost), x.index)
				s.write(i)
			}
		}
		s.whole[x.index] = older(s.whole[x.index])
		s.write(x.index)
	default:
		s := x.group
		for i := range s.texts {
			if i != x.index {
				s.texts[i].Seqno++
				s.texts[i].PVs = slices.Clone(s.texts[i].PVs)
				s.texts[i].PVs[x.index].Missing = true
				s.write(i)
			}
		}
		old := map[string]*Disk{}
		for _, name := range sortedKeys(s.inside[x.index]) {
			old[name] = older(s.inside[x.index][name])
		}
		s.inside[x.index] = old
		s.write(x.index)
	}
}

// split is makeStale where both sides were used.
func (d *Disk) split() {
	x := d.membership()
	d.makeStale()
	if x == nil || x.array == nil {
		return
	}
	s := x.array
	me := &s.supers[x.index]
	me.Events += 12
	for i := range me.Slots {
		if i != x.index {
			me.Lost = append(slices.Clone(me.Lost), i)
		}
	}
	s.write(x.index)
}
