package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod/columns"
)

// segmentSize is where an archive of a large group ends and the next begins,
// in bytes of content: large enough to cost nothing in size, small enough to
// compress on several processors and to be found in the cache after a small
// change.
const segmentSize = 20 << 20

// Segment is one archive of an image.
type Segment struct {
	Name    string // of its group; "base" for the first
	Entries int
	Raw     int64  // bytes before compression
	Frame   []byte // the archive as it stands in the image
	Cached  bool   // Frame comes from the cache
	secret  bool
	entries []*Entry
	sums    map[*Entry]string // of the contents
}

// PackOptions say how Pack works.
type PackOptions struct {
	Compressor *compress.Compressor
	// Groups overrides Compressor for single groups, of the same method.
	Groups map[string]*compress.Compressor
	Cache  *Cache // nil for none
	Align  int    // of file contents, for an image without compression; see cpio.Options
	// Manifest adds a manifest of all files, as the last archive.
	Manifest bool
}

// Pack makes the archives of a Tree. What the kernel reads first stands first and
// is not compressed. The next holds every directory, link and node and the files
// without a group, the others follow in the order of
// their groups' names. What it returns does not depend on the cache.
func Pack(ctx context.Context, t *Tree, o PackOptions) ([]*Segment, error) {
	segments := split(t)
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for _, s := range slices.Backward(segments) { // the large ones first
		g.Go(func() error { return s.pack(each, o) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if !o.Manifest {
		return segments, nil
	}
	m := manifestSegment(t, segments)
	if err := m.pack(ctx, o); err != nil {
		return nil, err
	}
	return append(segments, m), nil
}

// manifestSegment is the archive that says what the others hold.
func manifestSegment(t *Tree, segments []*Segment) *Segment {
	sums := map[*Entry]string{}
	for _, s := range segments {
		maps.Copy(sums, s.sums)
	}
	var list, public []ManifestEntry
	for _, e := range t.Entries() {
		if e.Mode&cpio.TypeMask == cpio.TypeDir {
			continue
		}
		m := ManifestEntry{Path: e.Path, Sum: sums[e], Source: e.From, Why: e.Why}
		list = append(list, m)
		if e.Secret {
			m.Sum = ""
		}
		public = append(public, m)
	}
	perm := uint32(0o644)
	if t.HasSecrets() {
		perm = 0o600
	}
	text, id := FormatManifest(list), sha256.Sum256(FormatManifest(public))
	return &Segment{Name: "manifest", secret: t.HasSecrets(), Raw: int64(len(text)), entries: []*Entry{
		{Path: IDPath, Mode: cpio.TypeRegular | 0o644, Data: []byte(hex.EncodeToString(id[:]) + "\n")},
		{Path: ManifestPath, Mode: cpio.TypeRegular | perm, Data: text}}}
}

// earlyDir holds what the kernel reads before it unpacks an image: microcode and
// ACPI tables. It looks into the first archive alone, and does not unpack it.
const earlyDir = "kernel"

func split(t *Tree) []*Segment {
	base, early := &Segment{Name: "base"}, &Segment{Name: "early"}
	groups := map[string][]*Segment{}
	for _, e := range t.Entries() {
		if e.Path == earlyDir || strings.HasPrefix(e.Path, earlyDir+"/") {
			early.entries = append(early.entries, e)
			continue
		}
		group := e.Group
		if e.Secret {
			group = "secret"
		}
		if group == "" || e.Mode&cpio.TypeMask != cpio.TypeRegular {
			base.entries = append(base.entries, e)
			continue
		}
		list := groups[group]
		if len(list) == 0 || (list[len(list)-1].Raw+e.Size > segmentSize && list[len(list)-1].Raw > 0) {
			list = append(list, &Segment{Name: group, secret: e.Secret})
			groups[group] = list
		}
		s := list[len(list)-1]
		s.entries = append(s.entries, e)
		s.Raw += e.Size
	}
	out := []*Segment{base}
	if len(early.entries) > 0 {
		out = []*Segment{early, base}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[name]...)
	}
	return out
}

func (s *Segment) pack(ctx context.Context, o PackOptions) error {
	a, err := s.archive(o)
	if err != nil {
		return err
	}
	s.Raw, s.Entries = a.size, len(s.entries)
	c := o.Compressor
	if c.Spec().Method == compress.None || s.Name == "early" {
		s.Frame = a.bytes()
		return nil
	}
	if g := o.Groups[s.Name]; g != nil {
		c = g
	}
	key := ""
	if o.Cache != nil && !s.secret {
		key = cacheKey(c.Ident(), a)
		if frame, ok := o.Cache.get(key); ok {
			s.Frame, s.Cached = frame, true
			return nil
		}
	}
	if s.Frame, err = c.Compress(ctx, a.bytes()); err != nil {
		return fmt.Errorf("image: compressing %s: %w", s.Name, err)
	}
	if key != "" {
		o.Cache.put(key, s.Frame)
	}
	return nil
}

// archived is an archive that has not been put together: most are found in the cache,
// and never have to be.
type archived struct {
	parts []part
	size  int64 // bytes of all
}

// part is some of an archive, one after the other: bytes, or the content of a file,
// of which the SHA-256 is known.
type part struct {
	data []byte
	sum  string
}

// Write implements io.Writer.
func (a *archived) Write(p []byte) (int, error) {
	a.size += int64(len(p))
	if n := len(a.parts); n > 0 && a.parts[n-1].sum == "" {
		a.parts[n-1].data = append(a.parts[n-1].data, p...)
	} else {
		a.parts = append(a.parts, part{data: bytes.Clone(p)})
	}
	return len(p), nil
}

// content is a writer of the content of one file, which it does not copy.
type content struct {
	*archived
	data []byte
	sum  string
}

// Write implements io.Writer.
func (c content) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) != len(c.data) || &p[0] != &c.data[0] {
		return c.archived.Write(p)
	}
	c.size += int64(len(p))
	c.parts = append(c.parts, part{p, c.sum})
	return len(p), nil
}

// bytes puts it together.
func (a *archived) bytes() []byte {
	out := make([]byte, 0, a.size)
	for i := range a.parts {
		out = append(out, a.parts[i].data...)
		a.parts[i].data = nil // so that no more than one of both is held
	}
	return out
}

func (s *Segment) archive(o PackOptions) (*archived, error) {
	out := &archived{}
	opts := cpio.Options{}
	if o.Compressor.Spec().Method == compress.None {
		opts.Align = o.Align
	}
	w, err := cpio.NewWriter(out, opts)
	if err != nil {
		return nil, err
	}
	if err := s.write(w, out); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// A plain archive must start at a multiple of four for the kernel, and of
	// the alignment for those who asked for one; zeros between are skipped.
	if n := out.size % int64(max(opts.Align, 4)); n != 0 {
		out.Write(make([]byte, int64(max(opts.Align, 4))-n))
	}
	return out, nil
}

// like is what two files of an archive have in common that may become hard
// links to one.
type like struct {
	size     int64
	mode     uint32
	uid, gid uint32
}

// links finds files of a group that are the same: they are programs, modules
// and firmware, which nobody changes. Those of the base may be written to at run
// time, and are kept apart. It returns, for the first of several, the names of
// all, and for the others none.
func (s *Segment) links() (map[*Entry][]string, error) {
	out := map[*Entry][]string{}
	alike := map[like][]*Entry{}
	for _, e := range s.entries {
		if e.Mode&cpio.TypeMask != cpio.TypeRegular {
			continue
		}
		out[e] = []string{e.Path}
		if s.Name != "base" && s.Name != "early" && !s.secret && e.Size > 0 {
			k := like{size: e.Size, mode: e.Mode, uid: e.UID, gid: e.GID}
			alike[k] = append(alike[k], e)
		}
	}
	for _, list := range alike {
		if len(list) == 1 {
			continue
		}
		first := map[string]*Entry{}
		for _, e := range list { // in the order of the archive
			data, err := e.Content()
			if err != nil {
				return nil, err
			}
			sum := sumOf(data)
			f := first[sum]
			if f == nil {
				first[sum] = e
				continue
			}
			out[f], out[e] = append(out[f], e.Path), nil
			s.sums[e] = sum
		}
	}
	return out, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (s *Segment) write(w *cpio.Writer, out *archived) error {
	s.sums = map[*Entry]string{}
	links, err := s.links()
	if err != nil {
		return err
	}
	for _, e := range s.entries {
		w.Owner(e.UID, e.GID)
		names, regular := links[e]
		switch {
		case !regular:
			if err := writeEntry(w, e); err != nil {
				return err
			}
			continue
		case names == nil:
			continue // written with the first of its name
		}
		data, err := e.Content()
		if err != nil {
			return err
		}
		// If a file changed since it was found to be the same as another, the
		// other one gets the newer content as well; sums are of what is written.
		s.sums[e] = sumOf(data)
		for _, other := range s.entries {
			if len(names) > 1 && slices.Contains(names[1:], other.Path) {
				s.sums[other] = s.sums[e]
			}
		}
		sum := s.sums[e]
		if e.Column { // the sum is that of the module as the kernel gets it
			if b, ok := columns.Arrange(data); ok {
				data, sum = b, sumOf(b)
			}
		}
		w.To(content{out, data, sum})
		if err := w.Links(names, e.Mode&^cpio.TypeMask, data); err != nil {
			return err
		}
	}
	return nil
}

func writeEntry(w *cpio.Writer, e *Entry) error {
	perm := e.Mode &^ cpio.TypeMask
	switch e.Mode & cpio.TypeMask {
	case cpio.TypeDir:
		return w.Dir(e.Path, perm)
	case cpio.TypeSymlink:
		return w.Symlink(e.Path, e.Target)
	}
	return w.Node(e.Path, e.Mode, e.Major, e.Minor)
}
