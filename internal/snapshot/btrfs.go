package snapshot

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"firstlight/internal/btrfsfmt"
)

// Where the superblock of a btrfs has what is needed here, in bytes from the start
// of the device: the UUID of the filesystem, and the other one that its nodes may have
// instead.
const (
	btrfsUUIDAt  = 64<<10 + 0x20
	btrfsNodesAt = 64<<10 + 0x23b
	uuidSize     = 16
)

// maxTogether bounds the devices of one filesystem that are compared.
const maxTogether = 32

// gap is the grain in which what is no node is left out, in bytes.
const gap = 4096

// together takes what a boot reads of several devices of one btrfs to compare them,
// which is more than it reads of each alone.
func (t *taker) together() {
	var ids []string
	groups := map[string][]*Block{}
	for _, b := range t.s.Blocks {
		id := make([]byte, uuidSize)
		if b.Problem != "" || btrfsfmt.Read(b).Devices < 2 {
			continue
		}
		if _, err := b.ReadAt(id, btrfsUUIDAt); err != nil {
			continue
		}
		if groups[string(id)] == nil {
			ids = append(ids, string(id))
		}
		groups[string(id)] = append(groups[string(id)], b)
	}
	for _, id := range ids {
		var devices []io.ReaderAt
		for _, b := range groups[id] {
			d, err := t.o.Disks.OpenBlock(nodeOf(t.s.Sys, "/class/block/"+b.Name, b.Name))
			if err != nil {
				t.note("%v", err)
				break
			}
			defer d.Close()
			devices = append(devices, d)
		}
		if len(devices) == len(groups[id]) && len(devices) > 1 {
			if err := compared(groups[id], devices); err != nil {
				t.note("%v", err)
			}
		}
	}
}

// compared adds to the blocks what is read of their devices to weigh them, each
// with each, for a boot does so as they appear, and all.
func compared(blocks []*Block, devices []io.ReaderAt) error {
	devices = devices[:min(len(devices), maxTogether)]
	var read []*recorder
	var all []io.ReaderAt
	for _, d := range devices {
		r := &recorder{r: d}
		read, all = append(read, r), append(all, r)
	}
	weigh := func(list ...io.ReaderAt) { _, _ = btrfsfmt.Weigh(list) } // only what it reads counts
	for i := range all {
		for j := range all {
			if i != j {
				weigh(all[i], all[j])
			}
		}
	}
	weigh(all...)
	slices.Reverse(all)
	weigh(all...)
	var errs []error
	for i, r := range read {
		errs = append(errs, blocks[i].nodes(r))
	}
	return errors.Join(errs...)
}

// nodes takes the nodes of trees among what was read. What else lay there is of
// files perhaps, and zeros say as well that it is no node.
func (b *Block) nodes(read *recorder) error {
	var own [2][uuidSize]byte
	for i, at := range [...]int64{btrfsUUIDAt, btrfsNodesAt} {
		if _, err := b.ReadAt(own[i][:], at); err != nil {
			return err
		}
	}
	spans := slices.Clone(read.spans)
	slices.SortFunc(spans, func(x, y span) int { return cmp.Or(cmp.Compare(x.off, y.off), cmp.Compare(y.end, x.end)) })
	spans = slices.CompactFunc(spans, func(x, y span) bool { return x.off == y.off })
	pieces, err := b.read(read.r, slices.Clone(spans)) // bounded
	if err != nil {
		return err
	}
	for _, s := range spans {
		p := pieces[slices.IndexFunc(pieces, func(p Range) bool { return p.Off <= s.off && s.end <= p.Off+p.Len })]
		data := p.Data[s.off-p.Off:][:s.end-s.off]
		if len(data) > 0x30 && (bytes.Equal(data[0x20:0x30], own[0][:]) || bytes.Equal(data[0x20:0x30], own[1][:]) && own[1] != [uuidSize]byte{}) {
			b.put(s.off, data)
			continue
		}
		for at := s.off; at < s.end; at += gap {
			n := min(gap, s.end-at)
			if _, err := b.ReadAt(make([]byte, n), at); errors.Is(err, ErrNotTaken) {
				b.put(at, make([]byte, n))
			}
		}
	}
	return nil
}

// put has bytes in the place of what was taken there.
func (b *Block) put(off int64, data []byte) {
	end := off + int64(len(data))
	var list []Range
	part := func(r Range, lo, hi int64) {
		if lo >= hi {
			return
		}
		if r.Data != nil {
			r.Data = r.Data[lo-r.Off : hi-r.Off]
		}
		list = append(list, Range{Off: lo, Len: hi - lo, Data: r.Data})
	}
	for _, r := range b.Ranges {
		part(r, r.Off, min(r.Off+r.Len, off))
		part(r, max(r.Off, end), r.Off+r.Len)
	}
	list = append(list, Range{Off: off, Len: int64(len(data)), Data: bytes.Clone(data)})
	slices.SortFunc(list, func(x, y Range) int { return cmp.Compare(x.Off, y.Off) })
	b.Ranges = list
}
