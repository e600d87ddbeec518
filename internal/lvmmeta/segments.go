package lvmmeta

import (
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
)

// snap is a snapshot of an origin.
type snap struct {
	cow     string
	chunk   uint64 // sectors
	extents uint64
	merging bool
}

// snapshots are those of a volume, in the order of the metadata.
func (b *treeBuilder) snapshots(lv *LV) []snap {
	var list []snap
	for i := range b.g.VG.LVs {
		for _, s := range b.g.VG.LVs[i].Segments {
			if s.Type != "snapshot" || s.word("origin") != lv.Name {
				continue
			}
			x := snap{cow: s.word("cow_store"), chunk: s.number("chunk_size"), extents: s.Extents}
			if x.cow == "" {
				x.cow, x.merging = s.word("merging_store"), true
			}
			if b.g.VG.LV(x.cow) != nil {
				list = append(list, x)
			}
		}
	}
	return list
}

// origin is a volume that has snapshots: what is written to it goes through
// them. A snapshot that is being merged is written back into it.
func (b *treeBuilder) origin(lv *LV, snaps []snap, n *devmapper.Node) error {
	b.t.Drivers = append(b.t.Drivers, "dm-snapshot")
	below, err := b.node(lv, "real")
	if err != nil {
		return err
	}
	n.Rank = rankOrigin
	for _, s := range snaps {
		if !s.merging {
			continue
		}
		cow, err := b.node(b.g.VG.LV(s.cow), "cow")
		if err != nil {
			return err
		}
		b.t.Writes = true
		n.Rank = rankMerging
		n.Table, err = b.one(lv, "snapshot-merge", ref(below)+" "+ref(cow)+" P "+strconv.FormatUint(s.chunk, 10))
		return err
	}
	n.Table, err = b.one(lv, "snapshot-origin", ref(below))
	return err
}

// snapshot is what a snapshot shows: the origin as it was.
func (b *treeBuilder) snapshot(lv *LV, n *devmapper.Node) error {
	b.t.Drivers = append(b.t.Drivers, "dm-snapshot")
	r := b.roles[lv.Name]
	origin := b.g.VG.LV(r.of)
	if origin == nil {
		return b.contradiction(lv, "it is a snapshot of "+r.of+", which does not exist")
	}
	for _, s := range b.snapshots(origin) {
		if s.cow != lv.Name {
			continue
		}
		if s.extents > (1<<53)/b.g.VG.ExtentSize {
			return b.contradiction(lv, "it is larger than any device")
		}
		line := devmapper.Target{Length: s.extents * b.g.VG.ExtentSize, Type: "error"}
		if !s.merging {
			real, err := b.node(origin, "real")
			if err != nil {
				return err
			}
			cow, err := b.node(lv, "cow")
			if err != nil {
				return err
			}
			line.Type, line.Params = "snapshot", []byte(ref(real)+" "+ref(cow)+" P "+strconv.FormatUint(s.chunk, 10))
		}
		n.Table = []devmapper.Target{line}
		return nil
	}
	return b.contradiction(lv, "it is no snapshot of "+r.of)
}

// segment is one line of a volume's table.
func (b *treeBuilder) segment(lv *LV, i int) (devmapper.Target, error) {
	s := &lv.Segments[i]
	size := b.g.VG.ExtentSize
	if s.Start+s.Extents > (1<<53)/size {
		return devmapper.Target{}, b.contradiction(lv, "it is larger than any device")
	}
	t := devmapper.Target{Start: s.Start * size, Length: s.Extents * size}
	var err error
	switch {
	case s.Type == "striped":
		t.Type, t.Params, err = b.striped(lv, i)
	case s.Type == "error", s.Type == "zero":
		t.Type = s.Type
	case s.Type == "mirror":
		t.Type = "mirror"
		t.Params, err = b.mirror(lv, s)
	case strings.HasPrefix(s.Type, "raid"):
		t.Type = "raid"
		t.Params, err = b.raid(lv, s)
	case s.Type == "thin-pool":
		t.Type = "thin-pool"
		t.Params, err = b.pool(lv, s)
	case s.Type == "thin":
		t.Type = "thin"
		t.Params, err = b.thin(lv, s)
	default:
		err = b.tool(lv, s.Type)
	}
	return t, err
}

// striped is one or several stripes on physical volumes or other volumes.
func (b *treeBuilder) striped(lv *LV, i int) (string, []byte, error) {
	s := &lv.Segments[i]
	size := b.g.VG.ExtentSize
	n := uint64(len(s.Stripes))
	text := ""
	for j, st := range s.Stripes {
		dev, offset := "", st.Extent*size
		if k, ok := b.g.index[st.Name]; ok {
			m := &b.g.Members[k]
			if ext := s.Extents / n; ext > m.Ref.PECount || st.Extent > m.Ref.PECount-ext {
				return "", nil, b.contradiction(lv, "its extents lie beyond those of physical volume "+m.Ref.ID)
			}
			switch {
			case m.Device == "" || m.Stale:
				dev, offset = b.absent(lv, i, j, m.Ref), 0
			case b.dev != nil:
				dev, offset = b.dev(m.Device), offset+m.Ref.PEStart
			default:
				dev, offset = m.Device, offset+m.Ref.PEStart
			}
		} else {
			below := b.g.VG.LV(st.Name)
			if below == nil || st.Extent > below.Extents {
				return "", nil, b.contradiction(lv, "it lies on "+st.Name+", which does not exist")
			}
			k, err := b.node(below, "")
			if err != nil {
				return "", nil, err
			}
			dev = ref(k)
		}
		text += " " + dev + " " + strconv.FormatUint(offset, 10)
	}
	if n == 1 {
		return "linear", []byte(text[1:]), nil
	}
	return "striped", []byte(strconv.FormatUint(n, 10) + " " + strconv.FormatUint(s.StripeSize, 10) + text), nil
}

// absent is a device of errors in the place of what a missing physical volume
// holds. LVM makes it, for RAID to find that the image is gone.
func (b *treeBuilder) absent(lv *LV, segment, area int, pv PVRef) string {
	list := &b.t.Missing
	if b.leg {
		list = &b.t.Legs
		b.lost = true
	}
	if !refers(*list, pv) {
		*list = append(*list, pv)
	}
	layer := "missing_" + strconv.Itoa(segment) + "_" + strconv.Itoa(area)
	uuid := DMUUID(b.g.VG, lv) + "-" + layer
	if i, ok := b.nodes[uuid]; ok {
		return ref(i)
	}
	return ref(b.add(devmapper.Node{Name: devmapper.LVName(b.g.VG.Name, lv.Name, layer), UUID: uuid, Flags: devmapper.Temporary,
		Table: []devmapper.Target{{Length: lv.Segments[segment].Extents * b.g.VG.ExtentSize, Type: "error"}}}))
}

func refers(list []PVRef, pv PVRef) bool {
	for _, r := range list {
		if r.ID == pv.ID {
			return true
		}
	}
	return false
}

// mirror is the kernel's older mirror target, with a log on a volume of its
// own or in memory.
func (b *treeBuilder) mirror(lv *LV, s *Segment) ([]byte, error) {
	b.t.Drivers = append(b.t.Drivers, "dm-mirror")
	b.t.Writes = true
	images, region := s.list("mirrors"), s.number("region_size")
	if len(images) < 2 || region == 0 || s.has("extents_moved") {
		return nil, b.tool(lv, "a mirror that is being changed")
	}
	text := "core 1 "
	if name := s.word("mirror_log"); name != "" {
		log, err := b.part(lv, name)
		if err != nil {
			return nil, err
		}
		text = "disk 2 " + ref(log) + " "
	}
	text += strconv.FormatUint(region, 10) + " " + strconv.Itoa(len(images))
	for _, name := range images {
		i, err := b.part(lv, name)
		if err != nil {
			return nil, err
		}
		text += " " + ref(i) + " 0"
	}
	return []byte(text + " 1 handle_errors"), nil
}

// part is the node of a volume that another one is made of.
func (b *treeBuilder) part(of *LV, name string) (int, error) {
	lv := b.g.VG.LV(name)
	if lv == nil {
		return 0, b.contradiction(of, "it is made of "+strconv.Quote(name)+", which does not exist")
	}
	return b.node(lv, "")
}

// pool is a thin pool: space for thin volumes and the metadata on who has it.
func (b *treeBuilder) pool(lv *LV, s *Segment) ([]byte, error) {
	b.t.Drivers = append(b.t.Drivers, "dm-thin-pool")
	b.t.Writes = true
	// LVM activates no thin volume without a part of its pool, though that be
	// RAID.
	defer func() { b.t.Missing, b.t.Legs = append(b.t.Missing, b.t.Legs...), nil }()
	if s.has("message1") {
		return nil, b.tool(lv, "a thin pool with changes that are not finished")
	}
	meta, err := b.part(lv, s.word("metadata"))
	if err != nil {
		return nil, err
	}
	data, err := b.part(lv, s.word("pool"))
	if err != nil {
		return nil, err
	}
	var features []string
	if s.number("zero_new_blocks") == 0 {
		features = append(features, "skip_block_zeroing")
	}
	switch d := s.word("discards"); d {
	case "passdown":
	case "nopassdown":
		features = append(features, "no_discard_passdown")
	case "ignore", "":
		features = append(features, "ignore_discard")
	default:
		return nil, b.tool(lv, "a thin pool with discards "+strconv.Quote(d))
	}
	for _, f := range lv.Flags {
		if f == "ERROR_WHEN_FULL" {
			features = append(features, "error_if_no_space")
		}
	}
	text := ref(meta) + " " + ref(data) + " " + strconv.FormatUint(s.number("chunk_size"), 10) + " " +
		strconv.FormatUint(s.number("low_water_mark"), 10) + " " + strconv.Itoa(len(features))
	for _, f := range features {
		text += " " + f
	}
	return []byte(text), nil
}

// thin is a volume in a thin pool.
func (b *treeBuilder) thin(lv *LV, s *Segment) ([]byte, error) {
	pool := b.g.VG.LV(s.word("thin_pool"))
	if pool == nil || len(pool.Segments) != 1 || pool.Segments[0].Type != "thin-pool" {
		return nil, b.contradiction(lv, "its pool "+strconv.Quote(s.word("thin_pool"))+" is none")
	}
	i, err := b.node(pool, "tpool")
	if err != nil {
		return nil, err
	}
	id := s.number("device_id")
	// While a thin snapshot is merged into it, a volume shows the snapshot.
	for j := range b.g.VG.LVs {
		for _, m := range b.g.VG.LVs[j].Segments {
			if m.Type == "thin" && m.word("merge") == lv.Name {
				id = m.number("device_id")
			}
		}
	}
	text := ref(i) + " " + strconv.FormatUint(id, 10)
	if name := s.word("external_origin"); name != "" {
		origin := b.g.VG.LV(name)
		if origin == nil {
			return nil, b.contradiction(lv, "its origin "+name+" does not exist")
		}
		k, err := b.node(origin, "real")
		if err != nil {
			return nil, err
		}
		text += " " + ref(k)
	}
	return []byte(text), nil
}
