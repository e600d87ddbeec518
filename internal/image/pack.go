package image

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
)

// segmentSize is where an archive of a large group ends and the next begins,
// in bytes of content: large enough to cost nothing in size, small enough to
// compress on several processors and to be found in the cache after a small
// change.
const segmentSize = 16 << 20

// Segment is one archive of an image.
type Segment struct {
	Name    string // of its group; "base" for the first
	Entries int
	Raw     int64  // bytes before compression
	Frame   []byte // the archive as it stands in the image
	Cached  bool   // Frame comes from the cache
	secret  bool
	entries []*Entry
}

// PackOptions say how Pack works.
type PackOptions struct {
	Compressor *compress.Compressor
	// Groups overrides Compressor for single groups, of the same method.
	Groups map[string]*compress.Compressor
	Cache  *Cache // nil for none
	Align  int    // of file contents, for an image without compression; see cpio.Options
}

// Pack makes the archives of a Tree. The first holds every directory, link
// and node and the files without a group, the others follow in the order of
// their groups' names. What it returns does not depend on the cache.
func Pack(ctx context.Context, t *Tree, o PackOptions) ([]*Segment, error) {
	segments := split(t)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for _, s := range slices.Backward(segments) { // the large ones first
		g.Go(func() error { return s.pack(ctx, o) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return segments, nil
}

func split(t *Tree) []*Segment {
	base := &Segment{Name: "base"}
	groups := map[string][]*Segment{}
	for _, e := range t.Entries() {
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
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[name]...)
	}
	return out
}

func (s *Segment) pack(ctx context.Context, o PackOptions) error {
	raw, err := s.archive(o)
	if err != nil {
		return err
	}
	s.Raw, s.Entries = int64(len(raw)), len(s.entries)
	c := o.Compressor
	if c.Spec().Method == compress.None {
		s.Frame = raw
		return nil
	}
	if g := o.Groups[s.Name]; g != nil {
		c = g
	}
	key := ""
	if o.Cache != nil && !s.secret {
		key = cacheKey(c.Ident(), raw)
		if frame, ok := o.Cache.get(key); ok {
			s.Frame, s.Cached = frame, true
			return nil
		}
	}
	if s.Frame, err = c.Compress(ctx, raw); err != nil {
		return fmt.Errorf("image: compressing %s: %w", s.Name, err)
	}
	if key != "" {
		o.Cache.put(key, s.Frame)
	}
	return nil
}

func (s *Segment) archive(o PackOptions) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(int(s.Raw) + 512*len(s.entries) + 256)
	opts := cpio.Options{}
	if o.Compressor.Spec().Method == compress.None {
		opts.Align = o.Align
	}
	w, err := cpio.NewWriter(&out, opts)
	if err != nil {
		return nil, err
	}
	for _, e := range s.entries {
		if err := writeEntry(w, e); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// A plain archive must start at a multiple of four for the kernel, and of
	// the alignment for those who asked for one; zeros between are skipped.
	for out.Len()%max(opts.Align, 4) != 0 {
		out.WriteByte(0)
	}
	return out.Bytes(), nil
}

func writeEntry(w *cpio.Writer, e *Entry) error {
	perm := e.Mode &^ cpio.TypeMask
	switch e.Mode & cpio.TypeMask {
	case cpio.TypeDir:
		return w.Dir(e.Path, perm)
	case cpio.TypeSymlink:
		return w.Symlink(e.Path, e.Target)
	case cpio.TypeRegular:
		data, err := e.Content()
		if err != nil {
			return err
		}
		return w.File(e.Path, perm, data)
	}
	return w.Node(e.Path, e.Mode, e.Major, e.Minor)
}
