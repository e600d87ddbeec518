package luksfmt

import (
	"encoding/base64"
	"math"
	"slices"
	"sort"
	"strconv"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/jsontree"
)

// reader collects the first error of a walk through the metadata, so that
// the walk itself reads like the specification.
type reader struct{ err error }

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
}

// get returns the member with the kind it must have.
func (r *reader) get(o *jsontree.Value, where, key string, k jsontree.Kind) *jsontree.Value {
	v := o.Get(key)
	if v.Kind() != k {
		r.fail("%s: %q is %v, not %v", where, key, v.Kind(), k)
		return nil
	}
	return v
}

func (r *reader) str(o *jsontree.Value, where, key string) string {
	s, _ := r.get(o, where, key, jsontree.String).Str()
	return s
}

// name is a string that can stand in a table line or name an algorithm.
func (r *reader) name(o *jsontree.Value, where, key string) string {
	s := r.str(o, where, key)
	if r.err == nil && (s == "" || len(s) > 128 || !printable([]byte(s))) {
		r.fail("%s: %q is %q", where, key, s)
	}
	return s
}

// num is a number within bounds.
func (r *reader) num(o *jsontree.Value, where, key string, lo, hi int) int {
	n, ok := r.get(o, where, key, jsontree.Number).Uint()
	if r.err == nil && (!ok || n < uint64(lo) || n > uint64(hi)) {
		r.fail("%s: %q is not within %d and %d", where, key, lo, hi)
	}
	return int(n)
}

// num64 is a 64-bit number, which LUKS2 writes as a string.
func (r *reader) num64(o *jsontree.Value, where, key string) uint64 {
	s := r.str(o, where, key)
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 {
		r.fail("%s: %q is %q, not a number", where, key, s)
	}
	return n
}

func (r *reader) bytes(o *jsontree.Value, where, key string) []byte {
	b, err := base64.StdEncoding.DecodeString(r.str(o, where, key))
	if err != nil || len(b) == 0 || len(b) > 1024 {
		r.fail("%s: %q is not base64 of 1 to 1024 bytes", where, key)
	}
	return b
}

// ids is an array of object numbers, written as strings.
func (r *reader) ids(o *jsontree.Value, where, key string) []int {
	var ids []int
	for _, m := range r.get(o, where, key, jsontree.Array).Members() {
		s, _ := m.Value.Str()
		id, ok := objectID(s)
		if !ok || slices.Contains(ids, id) {
			r.fail("%s: %q holds %q, not a number, or twice", where, key, s)
			return nil
		}
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// texts is an array of strings; a missing one is empty.
func (r *reader) texts(o *jsontree.Value, where, key string) []string {
	if o.Get(key) == nil {
		return nil
	}
	var l []string
	for _, m := range r.get(o, where, key, jsontree.Array).Members() {
		s, ok := m.Value.Str()
		if !ok {
			r.fail("%s: %q holds %v", where, key, m.Value.Kind())
			return nil
		}
		l = append(l, s)
	}
	return l
}

func objectID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == s
}

// each walks the objects of a section in the order of their numbers.
func (r *reader) each(root *jsontree.Value, section string, most int, f func(id int, where string, o *jsontree.Value)) {
	sec := r.get(root, "metadata", section, jsontree.Object)
	if len(sec.Members()) > most {
		r.fail("metadata: %q has %d objects, at most %d are allowed", section, len(sec.Members()), most)
		return
	}
	type object struct {
		id int
		v  *jsontree.Value
	}
	var list []object
	for _, m := range sec.Members() {
		id, ok := objectID(m.Key)
		if !ok || m.Value.Kind() != jsontree.Object {
			r.fail("metadata: %q has %v %q", section, m.Value.Kind(), m.Key)
			return
		}
		list = append(list, object{id, m.Value})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].id < list[j].id })
	for _, o := range list {
		if r.err != nil {
			return
		}
		f(o.id, section+" "+strconv.Itoa(o.id), o.v)
	}
}

// maxSegments is far above the handful that re-encryption makes.
const maxSegments = 256

// parseMetadata fills h from the JSON area (specification 1.1.3, section 3).
func parseMetadata(h *Header, root *jsontree.Value) error {
	r := &reader{}
	if root.Kind() != jsontree.Object {
		return fmt.Errorf("metadata is %v, not an object", root.Kind())
	}
	r.each(root, "keyslots", luks2MaxKeyslots, func(id int, where string, o *jsontree.Value) {
		h.Keyslots = append(h.Keyslots, r.keyslot(h, id, where, o))
	})
	r.each(root, "digests", luks2MaxKeyslots, func(id int, where string, o *jsontree.Value) {
		d := Digest{ID: id, Keyslots: r.ids(o, where, "keyslots"), Segments: r.ids(o, where, "segments")}
		if t := r.str(o, where, "type"); t != "pbkdf2" {
			h.Problems = append(h.Problems, fmt.Sprintf("%s has the unknown type %q", where, t))
			return
		}
		d.Hash = r.name(o, where, "hash")
		d.Iterations = r.num(o, where, "iterations", 1, math.MaxInt32)
		d.Salt, d.Digest = r.bytes(o, where, "salt"), r.bytes(o, where, "digest")
		// A short digest would let a wrong key through.
		if len(d.Digest) < 16 || len(d.Digest) > 64 {
			r.fail("%s: digest of %d bytes", where, len(d.Digest))
		}
		h.Digests = append(h.Digests, d)
	})
	r.each(root, "segments", maxSegments, func(id int, where string, o *jsontree.Value) {
		h.Segments = append(h.Segments, r.segment(id, where, o))
	})
	r.each(root, "tokens", luks2MaxKeyslots, func(id int, where string, o *jsontree.Value) {
		h.Tokens = append(h.Tokens, Token{ID: id, Type: r.str(o, where, "type"),
			Keyslots: r.ids(o, where, "keyslots"), JSON: o})
	})
	config := r.get(root, "metadata", "config", jsontree.Object)
	jsonSize := r.num64(config, "config", "json_size")
	if r.err == nil && jsonSize != uint64(h.Size-luks2BinarySize) {
		r.fail("config: json_size is %d, not %d", jsonSize, h.Size-luks2BinarySize)
	}
	r.num64(config, "config", "keyslots_size")
	h.Flags = r.texts(config, "config", "flags")
	if q := config.Get("requirements"); q != nil {
		if q.Kind() != jsontree.Object {
			r.fail("config: \"requirements\" is %v", q.Kind())
		}
		h.Requirements = r.texts(q, "requirements", "mandatory")
		for _, m := range q.Members() {
			if m.Key != "mandatory" {
				h.Problems = append(h.Problems, fmt.Sprintf("config: unknown kind of requirements %q", m.Key))
			}
		}
	}
	return r.err
}

func (r *reader) keyslot(h *Header, id int, where string, o *jsontree.Value) Keyslot {
	k := Keyslot{ID: id, Type: r.str(o, where, "type"), Priority: Normal}
	if p := o.Get("priority"); p != nil {
		k.Priority = Priority(r.num(o, where, "priority", 0, 2))
	}
	if k.Type == "reencrypt" {
		h.Reencrypt = reencryptSlot(id, o)
	}
	if k.Type != "luks2" {
		return k // kept: somebody else's, or that of a re-encryption
	}
	k.KeySize = r.num(o, where, "key_size", 1, maxKeySize)

	af := r.get(o, where, "af", jsontree.Object)
	if t := r.str(af, where+" af", "type"); r.err == nil && t != "luks1" {
		r.fail("%s: anti-forensic splitter %q", where, t)
	}
	k.Stripes = r.num(af, where+" af", "stripes", 1, luks1MaxStripes)
	k.AFHash = r.name(af, where+" af", "hash")

	area := r.get(o, where, "area", jsontree.Object)
	if t := r.str(area, where+" area", "type"); r.err == nil && t != "raw" {
		r.fail("%s: area type %q", where, t)
	}
	k.Encryption = r.name(area, where+" area", "encryption")
	k.AreaKeySize = r.num(area, where+" area", "key_size", 1, maxKeySize)
	k.Offset = int64(r.num64(area, where+" area", "offset"))
	k.AreaSize = int64(r.num64(area, where+" area", "size"))
	if r.err == nil {
		switch {
		case k.Offset < 2*h.Size:
			r.fail("%s: area at %d lies in the header", where, k.Offset)
		case k.MaterialSize() > k.AreaSize || k.MaterialSize() > maxMaterial:
			r.fail("%s: %d bytes of key material in an area of %d", where, k.MaterialSize(), k.AreaSize)
		case k.Offset%SectorSize != 0 || k.Offset+k.AreaSize < k.Offset:
			r.fail("%s: area at %d with %d bytes", where, k.Offset, k.AreaSize)
		}
	}
	k.KDF = r.kdf(r.get(o, where, "kdf", jsontree.Object), where+" kdf")
	return k
}

func (r *reader) kdf(o *jsontree.Value, where string) KDF {
	f := KDF{Type: r.str(o, where, "type"), Salt: r.bytes(o, where, "salt")}
	switch f.Type {
	case "pbkdf2":
		f.Hash = r.name(o, where, "hash")
		f.Iterations = r.num(o, where, "iterations", 1, math.MaxInt32)
	case "argon2i", "argon2id":
		f.Time = r.num(o, where, "time", 1, math.MaxInt32)
		f.Memory = r.num(o, where, "memory", 1, 1<<30) // KiB: 1 TiB, refused later if there is less
		f.CPUs = r.num(o, where, "cpus", 1, 255)
	}
	return f
}

func (r *reader) segment(id int, where string, o *jsontree.Value) Segment {
	s := Segment{ID: id, Type: r.str(o, where, "type"), Flags: r.texts(o, where, "flags"), SectorSize: SectorSize}
	s.Offset = r.num64(o, where, "offset")
	if v, _ := o.Get("size").Str(); v != "dynamic" {
		s.Size = r.num64(o, where, "size")
		if r.err == nil && (s.Size == 0 || s.Size%SectorSize != 0) {
			r.fail("%s: size %d", where, s.Size)
		}
	}
	if r.err == nil && s.Offset%SectorSize != 0 {
		r.fail("%s: offset %d", where, s.Offset)
	}
	if s.Type != "crypt" {
		return s
	}
	s.IVTweak = r.num64(o, where, "iv_tweak")
	s.Encryption = r.name(o, where, "encryption")
	s.SectorSize = r.num(o, where, "sector_size", 512, 4096)
	if n := s.SectorSize; r.err == nil && (n&(n-1) != 0 || s.Size%uint64(n) != 0) {
		r.fail("%s: sector size %d with a size of %d", where, n, s.Size)
	}
	if v := o.Get("integrity"); v != nil {
		if v.Kind() != jsontree.Object {
			r.fail("%s: \"integrity\" is %v", where, v.Kind())
		}
		s.Integrity = r.name(v, where+" integrity", "type")
		if v.Get("key_size") != nil {
			s.IntegrityKeySize = r.num(v, where+" integrity", "key_size", 0, maxKeySize)
		}
	}
	return s
}
