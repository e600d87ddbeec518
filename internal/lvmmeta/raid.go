package lvmmeta

import (
	"strconv"
	"strings"
)

// raidKinds are the layouts that the kernel's raid target has, by LVM's name
// of the segment: the target's name, the driver, and how many images may be
// missing (-1: all but one; of raid10 it depends on which).
var raidKinds = [...]struct {
	lvm, target, driver string
	spare               int
}{
	{"raid0", "raid0", "raid0", 0}, {"raid0_meta", "raid0", "raid0", 0},
	{"raid1", "raid1", "raid1", -1},
	{"raid10", "raid10", "raid10", 0}, {"raid10_near", "raid10", "raid10", 0},
	{"raid4", "raid4", "raid456", 1},
	{"raid5", "raid5_ls", "raid456", 1}, {"raid5_n", "raid5_n", "raid456", 1}, {"raid5_la", "raid5_la", "raid456", 1},
	{"raid5_ra", "raid5_ra", "raid456", 1}, {"raid5_ls", "raid5_ls", "raid456", 1}, {"raid5_rs", "raid5_rs", "raid456", 1},
	{"raid6", "raid6_zr", "raid456", 2}, {"raid6_zr", "raid6_zr", "raid456", 2}, {"raid6_nr", "raid6_nr", "raid456", 2},
	{"raid6_nc", "raid6_nc", "raid456", 2}, {"raid6_n_6", "raid6_n_6", "raid456", 2}, {"raid6_ls_6", "raid6_ls_6", "raid456", 2},
	{"raid6_rs_6", "raid6_rs_6", "raid456", 2}, {"raid6_la_6", "raid6_la_6", "raid456", 2}, {"raid6_ra_6", "raid6_ra_6", "raid456", 2},
}

// raid is a volume of the kernel's raid target: MD's levels, with the
// superblock of each image on a volume of its own.
func (b *treeBuilder) raid(lv *LV, s *Segment) ([]byte, error) {
	k := -1
	for i := range raidKinds {
		if raidKinds[i].lvm == s.Type {
			k = i
		}
	}
	if k < 0 {
		return nil, b.tool(lv, s.Type)
	}
	kind := raidKinds[k]
	if s.has("data_offset") || s.number("reshape_count") > 0 {
		return nil, b.tool(lv, s.Type+" that is being reshaped")
	}
	b.t.Drivers = append(b.t.Drivers, "dm-raid", kind.driver)
	b.t.Writes = true
	names := s.list("raids", "raid0_lvs")
	images, metas := names, []string(nil)
	if s.pairs() {
		images = nil
		for i := 0; i+1 < len(names); i += 2 {
			metas, images = append(metas, names[i]), append(images, names[i+1])
		}
	}
	n := len(images)
	if n == 0 || n > 253 || s.pairs() && len(names)%2 != 0 {
		return nil, b.contradiction(lv, strconv.Itoa(len(names))+" volumes for its images")
	}
	areas, lost, err := b.images(lv, metas, images, kind.target != "raid0")
	if err != nil {
		return nil, err
	}
	copies := int(min(s.number("data_copies"), 1<<10))
	raid10 := kind.target == "raid10"
	if raid10 && copies == 0 {
		copies = 2
	}
	if !endures(lost, kind.spare, raid10, copies) {
		b.t.Missing, b.t.Legs = append(b.t.Missing, b.t.Legs...), nil
	}
	params := s.raidParams(b.g.VG, images, kind.target, copies)
	text := kind.target + " " + strconv.Itoa(len(params)+1) + " " + strconv.FormatUint(s.number("stripe_size"), 10)
	for _, p := range params {
		text += " " + p
	}
	return []byte(text + " " + strconv.Itoa(n) + areas), nil
}

// images makes the images of a RAID volume and says which are lost. legs says
// that it can be mapped without some.
func (b *treeBuilder) images(lv *LV, metas, images []string, legs bool) (areas string, lost []bool, err error) {
	lost = make([]bool, len(images))
	outer := b.leg
	defer func() { b.leg = outer }()
	for i, name := range images {
		image := b.g.VG.LV(name)
		if image == nil {
			return "", nil, b.contradiction(lv, "its image "+strconv.Quote(name)+" does not exist")
		}
		// An image that was split off for a time is not in use.
		if image.Visible() && !image.Writable() {
			areas += " - -"
			lost[i] = true
			continue
		}
		b.leg, b.lost = outer || legs, false
		meta := "-"
		if metas != nil {
			k, err := b.part(lv, metas[i])
			if err != nil {
				return "", nil, err
			}
			meta = ref(k)
		}
		k, err := b.node(image, "")
		if err != nil {
			return "", nil, err
		}
		lost[i] = b.lost
		areas += " " + meta + " " + ref(k)
	}
	b.lost = false
	return areas, lost, nil
}

// endures says whether RAID has all of its content without the images that
// are lost.
func endures(lost []bool, spare int, raid10 bool, copies int) bool {
	n, gone := len(lost), 0
	for _, l := range lost {
		if l {
			gone++
		}
	}
	switch {
	case gone == 0:
		return true
	case raid10:
		// Each group of neighbours holds the same; the last one may go on
		// with the first images.
		for i := 0; i < n*copies; i += copies {
			group := 0
			for j := range copies {
				if lost[(i+j)%n] {
					group++
				}
			}
			if group >= copies {
				return false
			}
		}
		return true
	case spare < 0:
		return gone < n
	}
	return gone <= spare
}

// raidParams are the optional parameters of the target, as LVM gives them.
func (s *Segment) raidParams(vg *VG, images []string, target string, copies int) []string {
	if target == "raid0" {
		return nil
	}
	var p []string
	add := func(key string, value uint64) {
		if value != 0 {
			p = append(p, key, strconv.FormatUint(value, 10))
		}
	}
	if target == "raid10" && s.has("data_copies") {
		add("raid10_copies", uint64(copies))
	}
	add("region_size", s.number("region_size"))
	for _, mark := range [...]struct{ status, key string }{{"REBUILD", "rebuild"}, {"WRITEMOSTLY", "write_mostly"}} {
		for i, name := range images {
			if lv := vg.LV(name); lv != nil && strings.Contains(" "+strings.Join(lv.Status, " ")+" ", " "+mark.status+" ") {
				p = append(p, mark.key, strconv.Itoa(i))
			}
		}
	}
	if target == "raid1" {
		add("max_write_behind", s.number("writebehind"))
	}
	add("max_recovery_rate", s.number("max_recovery_rate"))
	add("min_recovery_rate", s.number("min_recovery_rate"))
	return p
}
