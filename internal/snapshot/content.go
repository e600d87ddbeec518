package snapshot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"firstlight/internal/bcachefmt"
	"firstlight/internal/blkid"
	"firstlight/internal/btrfsfmt"
	"firstlight/internal/integrityfmt"
	"firstlight/internal/luksfmt"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/mdsuper"
	"firstlight/internal/parttable"
	"firstlight/internal/verityfmt"
	"firstlight/internal/zfslabel"
)

// maxContent bounds what is read of one device for good, in bytes: two LUKS2
// headers of the largest size with all keyslots are below it.
const maxContent = 48 << 20

// chunk is the grain in which zeros are found, in bytes.
const chunk = 512

// recorder passes reads on and remembers which ranges they were of.
type recorder struct {
	r     io.ReaderAt
	spans []span
}

type span struct{ off, end int64 }

func (r *recorder) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.r.ReadAt(p, off)
	if n > 0 {
		r.spans = append(r.spans, span{off, off + int64(n)})
	}
	return n, err
}

// Content takes what is on one device of size bytes: what a snapshot has of
// it. keys takes the keyslots of an encrypted one too.
func Content(name string, r io.ReaderAt, size int64, sector int, keys bool) (*Block, error) {
	b := &Block{Name: name, Size: size, Sector: sector}
	if err := b.take(r, keys); err != nil {
		return nil, err
	}
	return b, nil
}

// take runs every parser of the boot over a device and keeps what they read,
// and of that only what their answers depend on: a probe reads ahead, into
// files and into memory that was swapped out, which are nobody's business.
func (b *Block) take(r io.ReaderAt, keys bool) error {
	rec := &recorder{r: r}
	if _, err := b.probe(rec); err != nil {
		return fmt.Errorf("read /dev/%s: %w", b.Name, err)
	}
	b.answers(rec)
	var keep []span
	if h, err := luksfmt.Read(rec); err == nil && keys && b.holds(rec, "crypto_LUKS") {
		keep = keyAreas(h)
		for _, k := range keep {
			if n, err := rec.ReadAt(make([]byte, k.end-k.off), k.off); int64(n) < k.end-k.off {
				return fmt.Errorf("read the keyslots of /dev/%s: %w", b.Name, err)
			}
		}
		b.KeyMaterial = true
	}
	if b.holds(rec, "zfs_member") {
		// Most of a label is zeros, and each try of what of it matters would take
		// the check sums of all.
		for _, at := range zfslabel.Places(uint64(b.Size)) {
			keep = append(keep, span{int64(at.Off), int64(at.Off + at.Len)})
		}
	}
	pieces, err := b.read(r, rec.spans)
	if err != nil {
		return err
	}
	b.Ranges = pieces
	b.reduce(keep)
	pieces, b.Ranges = b.Ranges, nil
	for _, p := range pieces {
		b.add(p.Off, p.Data)
	}
	return nil
}

func (b *Block) probe(r io.ReaderAt) (*blkid.Result, error) {
	return blkid.ProbeWith(r, b.Size, blkid.Options{SectorSize: b.Sector})
}

// holds says whether a type is among those found on the device.
func (b *Block) holds(r io.ReaderAt, typ string) bool {
	res, err := b.probe(r)
	return err == nil && (res.Type() == typ || slices.ContainsFunc(res.Signatures, func(s blkid.Signature) bool { return s.Type == typ }))
}

// answers is all that the parsers of a boot say of a device, as text that is
// the same when they say the same.
func (b *Block) answers(r io.ReaderAt) string {
	var out strings.Builder
	say := func(v any, err error) {
		text, jerr := json.Marshal(v)
		fmt.Fprintln(&out, string(text), err, jerr)
	}
	res, err := b.probe(r)
	if err != nil {
		return err.Error()
	}
	tell := func(res *blkid.Result) {
		say(res.Pairs(), nil)
		say(res.Signatures, nil)
		say(res.Damaged, nil)
		say(res.BadSums, nil)
	}
	tell(res)
	// A boot knows which of these it is; the questions differ a little.
	for _, kind := range [...]blkid.Kind{blkid.Disk, blkid.Partition} {
		if res, err := blkid.ProbeWith(r, b.Size, blkid.Options{Kind: kind, SectorSize: b.Sector}); err != nil {
			say(nil, err)
		} else {
			tell(res)
		}
	}
	say(parttable.Read(r, b.Size, b.Sector))
	// The metadata of a thin pool has no signature that blkid knows.
	super := make([]byte, lvmmeta.ThinSuperSize)
	if n, _ := r.ReadAt(super, 0); n == len(super) {
		if v, err := lvmmeta.ParseThinSuper(super); err == nil {
			say(v, nil)
		}
	}
	if root, der, ok := b.signature(r); ok {
		say(root, nil)
		say(der, nil)
	}
	exact := func(off, n int64) {
		p := make([]byte, n)
		got, err := r.ReadAt(p, off)
		say(p[:got], err)
	}
	tree := func(off uint64) { // the root hash is compared with the top of the tree
		v, err := verityfmt.Read(r, off)
		say(v, err)
		if err == nil {
			exact(int64(v.HashStart())*int64(v.HashBlock), int64(v.HashBlock))
		}
	}
	for _, off := range b.trees {
		tree(off)
	}
	types := []string{res.Type()}
	for _, s := range res.Signatures {
		types = append(types, s.Type)
	}
	for _, typ := range types {
		switch typ {
		case "linux_raid_member":
			say(mdsuper.Read(r, uint64(b.Size)))
		case "bcache":
			say(bcachefmt.Read(r, uint64(b.Size)))
		case "zfs_member":
			say(zfslabel.Read(r, uint64(b.Size)))
		case "LVM2_member":
			say(lvmmeta.ReadPV(r, uint64(b.Size)))
		case "crypto_LUKS":
			h, err := luksfmt.Read(r)
			say(h, err)
			if err != nil {
				break
			}
			if s, err := h.DataSegment(); err == nil && s.Integrity != "" {
				say(integrityfmt.Read(r, int64(s.Offset)))
			}
		case "DM_integrity":
			say(integrityfmt.Read(r, 0))
		case "DM_verity_hash":
			tree(0)
		case "btrfs":
			exact(64<<10, 4096) // the superblock
			nodes := &reads{r: r}
			if shape := btrfsfmt.Read(nodes); shape.Devices > 1 {
				say(btrfsfmt.Lost(map[uint64]io.ReaderAt{shape.Number: nodes}))
				say(btrfsfmt.Weigh([]io.ReaderAt{nodes, nodes})) // with what its superblock leads to
			}
			for _, n := range nodes.list { // what they say, they say whole
				exact(n.off, n.end-n.off)
			}
		case "ext2", "ext3", "ext4":
			exact(1024, 1024) // with the state after the last use
		}
	}
	return out.String()
}

// signature reads what is signed, and the signature, on a partition that has
// nothing else: what has no signature of a root hash is not kept.
func (b *Block) signature(r io.ReaderAt) (root, der []byte, ok bool) {
	text := make([]byte, min(b.Size, 2*verityfmt.MaxSignature))
	if _, err := r.ReadAt(text, 0); err != nil && err != io.EOF {
		return nil, nil, false
	}
	root, der, err := verityfmt.SignaturePartition(text)
	return root, der, err == nil
}

// reads keeps what is read.
type reads struct {
	r    io.ReaderAt
	list []span
}

func (x *reads) ReadAt(p []byte, off int64) (int, error) {
	x.list = append(x.list, span{off, off + int64(len(p))})
	return x.r.ReadAt(p, off)
}

// keyAreas are where the keyslots of a device have their material.
func keyAreas(h *luksfmt.Header) []span {
	var out []span
	for i := range h.Keyslots {
		k := &h.Keyslots[i]
		size := (k.MaterialSize() + 511) &^ 511
		if size > 0 && size <= 4<<20 && k.Offset > 0 {
			out = append(out, span{k.Offset, k.Offset + size})
		}
	}
	return out
}

// read reads the spans, merged, in one piece each.
func (b *Block) read(r io.ReaderAt, spans []span) ([]Range, error) {
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.off, y.off) })
	var merged []span
	for _, s := range spans {
		if n := len(merged); n > 0 && s.off <= merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, s.end)
			continue
		}
		merged = append(merged, s)
	}
	var out []Range
	var total int64
	for _, s := range merged {
		n := s.end - s.off
		if total += n; total > maxContent {
			return nil, fmt.Errorf("read /dev/%s: its metadata is more than %d bytes", b.Name, int64(maxContent))
		}
		data := make([]byte, n)
		if got, err := r.ReadAt(data, s.off); int64(got) < n {
			return nil, fmt.Errorf("read /dev/%s: %d bytes at %d: %w", b.Name, n, s.off, err)
		}
		out = append(out, Range{s.off, n, data})
	}
	return out, nil
}

// reduce turns everything into zeros that no answer depends on, but for the
// spans that are to be kept: large pieces first, then smaller ones.
func (b *Block) reduce(keep []span) {
	want := b.answers(b)
	var try func(data []byte, off int64, size int)
	try = func(data []byte, off int64, size int) {
		for at := 0; at < len(data); at += size {
			piece := data[at:min(at+size, len(data))]
			lo, hi := off+int64(at), off+int64(at+len(piece))
			if len(bytes.Trim(piece, "\x00")) == 0 {
				continue
			}
			if !slices.ContainsFunc(keep, func(k span) bool { return k.off < hi && lo < k.end }) {
				old := bytes.Clone(piece)
				clear(piece)
				if b.answers(b) == want {
					continue
				}
				copy(piece, old)
			}
			if size > chunk {
				try(piece, lo, size/8)
			}
		}
	}
	for _, r := range b.Ranges {
		try(r.Data, r.Off, chunk*8*8*8)
	}
}

// add keeps bytes, with stretches of zeros as what they are.
func (b *Block) add(off int64, data []byte) {
	for len(data) > 0 {
		n := min(int64(len(data)), chunk-off%chunk)
		r := Range{Off: off, Len: n}
		if len(bytes.Trim(data[:n], "\x00")) > 0 {
			r.Data = bytes.Clone(data[:n])
		}
		if last := len(b.Ranges) - 1; last >= 0 && b.Ranges[last].Off+b.Ranges[last].Len == off && (b.Ranges[last].Data == nil) == (r.Data == nil) {
			b.Ranges[last].Len += n
			b.Ranges[last].Data = append(b.Ranges[last].Data, r.Data...)
		} else {
			b.Ranges = append(b.Ranges, r)
		}
		off, data = off+n, data[n:]
	}
}

func (b *Block) readAt(p []byte, off int64) (int, error) {
	if b.Problem != "" {
		return 0, fmt.Errorf("read /dev/%s: %s: %w", b.Name, b.Problem, ErrNotTaken)
	}
	if off < 0 || off >= b.Size {
		return 0, io.EOF
	}
	want := p
	if int64(len(want)) > b.Size-off {
		want = want[:b.Size-off]
	}
	done := 0
	i, _ := slices.BinarySearchFunc(b.Ranges, off, func(r Range, off int64) int {
		if r.Off+r.Len <= off {
			return -1
		}
		return 1
	})
	for ; done < len(want); i++ {
		at := off + int64(done)
		if i >= len(b.Ranges) || b.Ranges[i].Off > at {
			return done, fmt.Errorf("read /dev/%s: %d bytes at %d: %w", b.Name, len(want)-done, at, ErrNotTaken)
		}
		r := b.Ranges[i]
		skip := at - r.Off
		n := int(min(r.Len-skip, int64(len(want)-done)))
		if r.Data == nil {
			clear(want[done : done+n])
		} else {
			copy(want[done:done+n], r.Data[skip:])
		}
		done += n
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// WithoutKeys returns the snapshot without the key material of encrypted
// devices: what --save writes. Only devices with any are copied.
func (s *Snapshot) WithoutKeys() *Snapshot {
	out := *s
	out.Blocks = nil
	for _, b := range s.Blocks {
		if b.KeyMaterial {
			b = b.withoutKeys()
		}
		out.Blocks = append(out.Blocks, b)
	}
	out.Mounts, out.Aside = withoutContent(s.Mounts), withoutContent(s.Aside)
	return &out
}

// withoutContent is filesystems without the content of their secret files.
func withoutContent(list []*Mount) []*Mount {
	var out []*Mount
	for _, m := range list {
		c := *m
		c.Entries = maps.Clone(m.Entries)
		for p, e := range c.Entries {
			if e.Secret {
				e.Data = nil
				c.Entries[p] = e
			}
		}
		out = append(out, &c)
	}
	return out
}

func (b *Block) withoutKeys() *Block {
	c := *b
	c.KeyMaterial = false
	h, err := luksfmt.Read(b)
	if err != nil {
		c.Ranges, c.Problem = nil, "its header cannot be read again: "+strings.ReplaceAll(err.Error(), "\n", "; ")
		return &c
	}
	for _, k := range keyAreas(h) {
		c.drop(k.off, k.end)
	}
	return &c
}

// Keyslots are where a LUKS device keeps the material of its keys; nil for
// any other device.
func (b *Block) Keyslots() []Range {
	h, err := luksfmt.Read(b)
	if err != nil {
		return nil
	}
	var out []Range
	for _, k := range keyAreas(h) {
		out = append(out, Range{Off: k.off, Len: k.end - k.off})
	}
	return out
}

// drop forgets the bytes from off to end; reading them gives zeros, so that
// probes of the whole device still work.
func (b *Block) drop(off, end int64) {
	old := b.Ranges
	b.Ranges = nil
	for _, r := range old {
		lo, hi := max(r.Off, off), min(r.Off+r.Len, end)
		if lo >= hi || r.Data == nil {
			b.Ranges = append(b.Ranges, r)
			continue
		}
		data := bytes.Clone(r.Data)
		clear(data[lo-r.Off : hi-r.Off])
		b.Ranges = append(b.Ranges, Range{Off: r.Off, Len: r.Len, Data: data})
	}
}
