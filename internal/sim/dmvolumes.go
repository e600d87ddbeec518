package sim

import (
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// raid reads "LEVEL N PARAMETER… COUNT META IMAGE …" of the raid target, of
// which raid1 is modelled: an image counts if it and its metadata can be read.
func (d mapper) raid(t *dmTable, v *view, f []string) error {
	if err := d.m.driver("dm-raid", "target raid"); err != nil {
		return unix.EINVAL
	}
	if err := d.m.driver("raid1", "level raid1"); err != nil {
		return unix.EINVAL
	}
	if len(f) < 2 || f[0] != "raid1" {
		return unix.EINVAL
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 1 || len(f) < 3+n {
		return unix.EINVAL
	}
	images, err := strconv.Atoi(f[2+n])
	list := f[3+n:]
	if err != nil || images < 1 || len(list) != 2*images {
		return unix.EINVAL
	}
	lost := 0
	for pair := range slices.Chunk(list, 2) {
		if pair[1] == "-" {
			lost++
			continue
		}
		meta, image := view{n: 1 << 9}, view{n: v.n}
		if err := d.on(t, &meta, pair[0], "0"); err != nil {
			return err
		}
		if err := d.on(t, &image, pair[1], "0"); err != nil {
			return err
		}
		if meta.on.locate(0, nil, 0).gone || image.on.locate(0, nil, 0).gone {
			lost++
			continue
		}
		v.copies = append(v.copies, image)
	}
	if len(v.copies) == 0 {
		return unix.EINVAL
	}
	d.m.Volumes = append(d.m.Volumes, Mirrored{d.m.now, lost})
	// Each image's superblock is written when the target starts.
	for i := range v.copies {
		d.m.wrote(v.copies[i].base, v.copies[i].base, "raid target started")
	}
	return nil
}

// Mirrored is a RAID volume of the device mapper that was given its table.
type Mirrored struct {
	At   time.Duration
	Lost int // images that it is without
}

// snapshot reads "ORIGIN" of the snapshot-origin target, or "ORIGIN COW P
// CHUNK" of the snapshot target. Nothing is written to either here, so that a
// snapshot shows what its origin does.
func (d mapper) snapshot(t *dmTable, v *view, f []string) error {
	if err := d.m.driver("dm-snapshot", "target snapshot"); err != nil {
		return unix.EINVAL
	}
	switch len(f) {
	case 1:
	case 4:
		cow := view{n: 1 << 9}
		if err := d.on(t, &cow, f[1], "0"); err != nil {
			return err
		}
	default:
		return unix.EINVAL
	}
	return d.on(t, v, f[0], "0")
}

// multipath reads "FEATURES… HANDLER… GROUPS FIRST {SELECTOR 0 PATHS ARGUMENTS
// {DEVICE ARGUMENT…}…}…": what the first path does not give, the next does.
func (d mapper) multipath(t *dmTable, v *view, f []string) error {
	if err := d.m.driver("dm-multipath", "target multipath"); err != nil {
		return unix.EINVAL
	}
	take := func() int {
		if len(f) == 0 {
			return -1
		}
		n, err := strconv.Atoi(f[0])
		if f = f[1:]; err != nil {
			return -1
		}
		return n
	}
	for range 2 {
		n := take()
		if n < 0 || n > len(f) {
			return unix.EINVAL
		}
		f = f[n:]
	}
	groups, first := take(), take()
	if groups < 1 || first < 1 || first > groups {
		return unix.EINVAL
	}
	for range groups {
		if len(f) < 4 || f[1] != "0" {
			return unix.EINVAL
		}
		if err := d.m.driver("dm-"+f[0], "path selector"); err != nil {
			return unix.EINVAL
		}
		f = f[2:]
		paths, args := take(), take()
		if paths < 1 || args < 0 || len(f) < paths*(1+args) {
			return unix.EINVAL
		}
		for range paths {
			path := view{n: v.n}
			if err := d.on(t, &path, f[0], "0"); err != nil {
				return err
			}
			v.copies = append(v.copies, path)
			f = f[1+args:]
		}
	}
	if len(f) > 0 {
		return unix.EINVAL
	}
	return nil
}
