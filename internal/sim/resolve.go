package sim

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"
)

// view is a run of bytes of a mapped device or partition.
type view struct {
	at, n int64
	on    *Disk // what shows; nil: zeros
	from  int64
	base  *Disk  // the device that it is read through
	life  int    // of base when it was mapped: what comes back is another device
	key   []byte // decrypts with it
	// stripes are the devices over which it is spread, with the first byte
	// of each; chunk is in bytes.
	stripes []view
	chunk   int64
	// copies are devices with the same content: what one does not give is
	// read from the next.
	copies []view
	fails  bool // every access is an error
	// with is a device that has to be there as well, as it was.
	with     *Disk
	withLife int
}

// place is what a byte of a device really is.
type place struct {
	leaf    *Disk  // the innermost thing that it belongs to; nil for none
	off     int64  // where in it
	n       int64  // as many bytes after it go on in the same way
	data    []byte // its bytes, nil where there are none: zeros
	garbage bool   // encrypted, a parity, or decrypted with a wrong key
	gone    bool   // the device behind it is not there
}

// maxLayers bounds how deep devices may be stacked.
const maxLayers = 32

// keys are those with which bytes are decrypted on their way up, the lowest
// layer's first.
type keys struct {
	key  []byte
	next *keys
}

// locate follows a byte of a device through every layer. With keys it asks
// for what is encrypted with them there, one layer below the other.
func (d *Disk) locate(off int64, key *keys, depth int) place {
	if depth > maxLayers {
		return place{gone: true, n: 1}
	}
	if d.array != nil {
		return d.array.locate(off, key, depth)
	}
	if d.mapping != nil || d.above != nil || d.viewed {
		return d.through(off, key, depth)
	}
	return d.inside(off, key, depth)
}

// through follows a byte of a mapped device or partition.
func (d *Disk) through(off int64, key *keys, depth int) place {
	for i := range d.views {
		v := &d.views[i]
		if off < v.at || off >= v.at+v.n {
			continue
		}
		rel, left := off-v.at, v.at+v.n-off
		if v.fails {
			return place{gone: true, n: left}
		}
		if v.copies != nil {
			p := place{gone: true, n: left}
			for j := range v.copies {
				if c := &v.copies[j]; c.base.life == c.life && c.base.there {
					if p = c.on.locate(c.from+rel, key, depth+1); !p.gone {
						break
					}
				}
			}
			p.n = min(p.n, left)
			return p
		}
		if v.stripes != nil {
			chunk, in := rel/v.chunk, rel%v.chunk
			s := &v.stripes[chunk%int64(len(v.stripes))]
			left = min(left, v.chunk-in)
			rel = chunk/int64(len(v.stripes))*v.chunk + in
			v = s
		}
		if v.on == nil {
			return place{n: left} // zeros
		}
		if v.base.life != v.life || !v.base.there || v.with != nil && (v.with.life != v.withLife || !v.with.there) {
			return place{gone: true, n: left}
		}
		if v.key != nil {
			key = &keys{v.key, key}
		}
		p := v.on.locate(v.from+rel, key, depth+1)
		p.n = min(p.n, left)
		return p
	}
	return place{n: 1 << 40}
}

// inside follows a byte of what is on a disk.
func (d *Disk) inside(off int64, key *keys, depth int) place {
	next := d.size()
	if n := int64(len(d.Content)); off < n {
		next = min(next, n)
	}
	for i := range d.Holds {
		e := &d.Holds[i]
		n := e.length()
		if off < e.At {
			next = min(next, e.At)
			continue
		}
		if off >= e.At+n {
			continue
		}
		rel, left := off-e.At, min(e.At+n, next)-off
		switch {
		case e.Data != nil:
			if key != nil {
				return place{garbage: true, n: left}
			}
			return place{leaf: d, off: off, data: e.Data[rel:], n: left}
		case e.Key != nil:
			if key == nil || !bytes.Equal(e.Key, key.key) {
				return place{garbage: true, n: left}
			}
			key = key.next
		}
		at := e.From + rel
		if s := e.Stripe; s != nil {
			logical, run, ok := s.logical(rel)
			left = min(left, run)
			if !ok {
				return place{garbage: true, n: left}
			}
			at = e.From + logical
		}
		p := e.Disk.locate(at, key, depth+1)
		p.n = min(p.n, left)
		return p
	}
	left := max(next-off, 1)
	if key != nil {
		return place{garbage: true, n: left}
	}
	p := place{leaf: d, off: off, n: left}
	if off < int64(len(d.Content)) {
		p.data = d.Content[off:]
	}
	return p
}

// read implements io.ReaderAt over what the device shows.
func (d *Disk) read(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		if off >= d.size() {
			return done, io.EOF
		}
		at := d.locate(off, nil, 0)
		if at.gone {
			return done, unix.EIO
		}
		n := int(min(at.n, int64(len(p)-done), d.size()-off))
		at.fill(p[done:done+n], off)
		done += n
		off += int64(n)
	}
	return done, nil
}

// fill writes the bytes of a place.
func (at *place) fill(p []byte, off int64) {
	switch {
	case at.garbage:
		// The noise ends at a multiple of its step, and so goes on at its
		// beginning.
		for from := off % noiseStep; len(p) > 0; from = 0 {
			p = p[copy(p, noise()[from:]):]
		}
	default:
		n := copy(p, at.data)
		clear(p[n:])
	}
}

// shows returns what a device really shows: the thing that its first byte
// belongs to, and whether all of it is there, in order and without gaps.
func (d *Disk) shows() (leaf *Disk, whole bool) {
	first := d.locate(0, nil, 0)
	if first.leaf == nil {
		return nil, false
	}
	leaf = first.leaf
	end := min(leaf.size(), d.size())
	if leaf.size() > d.size() {
		return leaf, false
	}
	if first.off != 0 {
		return leaf, false
	}
	for off := int64(0); off < end; {
		p := d.locate(off, nil, 0)
		// A thing with content of its own may have other things in it.
		if p.gone || p.garbage || p.leaf == leaf && p.off != off || p.leaf != leaf && !leaf.encloses(p.leaf) {
			return leaf, false
		}
		off += max(p.n, 1)
	}
	return leaf, true
}

// encloses says whether another disk lies on this one.
func (d *Disk) encloses(other *Disk) bool {
	for i := range d.Holds {
		if e := d.Holds[i].Disk; e != nil && (e == other || e.encloses(other)) {
			return true
		}
	}
	return false
}
