package luksfmt

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/jsontree"
)

// ReencryptSlot is the keyslot in which cryptsetup keeps how a re-encryption is
// done and, while a piece is in hand, what is needed to repair it.
type ReencryptSlot struct {
	ID              int
	Mode, Direction string // "reencrypt", "encrypt", "decrypt"; "forward", "backward"
	Area            string // how a piece is protected: "checksum", "journal", "datashift" …
	Offset, Size    uint64 // of the area, in bytes
	Hash            string // of a checksum
	SectorSize      uint32 // of a checksum, in bytes
	Shift           uint64 // of a datashift, in bytes
}

// reencryptSlot reads the slot; nil if something is missing in it, which leaves
// the device refused.
func reencryptSlot(id int, o *jsontree.Value) *ReencryptSlot {
	r := &reader{}
	area := r.get(o, "keyslot", "area", jsontree.Object)
	s := &ReencryptSlot{ID: id, Mode: r.name(o, "keyslot", "mode"), Direction: r.name(o, "keyslot", "direction"),
		Area: r.name(area, "area", "type"), Offset: r.num64(area, "area", "offset"), Size: r.num64(area, "area", "size")}
	switch s.Area {
	case "none", "journal":
	case "checksum", "datashift-checksum":
		s.Hash, s.SectorSize = r.name(area, "area", "hash"), uint32(r.num(area, "area", "sector_size", 1, math.MaxInt32))
	}
	if strings.HasPrefix(s.Area, "datashift") {
		s.Shift = r.num64(area, "area", "shift_size")
	}
	if r.err != nil {
		return nil
	}
	return s
}

// Reencryption is a re-encryption of which no piece is in hand: the device can
// be opened as it is, part of it with the old key, part of it with the new one.
type Reencryption struct {
	// Segments are those of the device, one after the other. Each is "crypt" or
	// "linear"; only the last one can have the size Dynamic.
	Segments []*Segment
	// Old and New recognise the keys of before and after. One is nil where the
	// data is not encrypted then; they are the same where the key stays.
	Old, New *Digest
	// Proof recognises what Statement makes of the keys: only who has them can
	// have asked for this re-encryption.
	Proof *Digest

	version         byte
	slot            *ReencryptSlot
	previous, final *Segment
	moved           *Segment
}

// Reencryption returns the state of a re-encryption under way, or why the
// device must not be opened (ErrRefused).
func (h *Header) Reencryption() (*Reencryption, error) {
	refuse := func(why string) (*Reencryption, error) {
		return nil, fmt.Errorf("%w: re-encryption is under way, and %s", ErrRefused, why)
	}
	r := &Reencryption{slot: h.Reencrypt}
	if len(h.Requirements) != 1 || r.slot == nil {
		return refuse("its requirements are " + strconv.Quote(strings.Join(h.Requirements, " ")) + ": finish it with cryptsetup reencrypt")
	}
	switch h.Requirements[0] {
	case "online-reencrypt-v2":
		r.version = 2
	case "online-reencrypt-v3":
		r.version = 3
	default:
		return refuse("it is of another version (" + h.Requirements[0] + "): finish it with cryptsetup reencrypt")
	}
	for i := range h.Segments {
		s := &h.Segments[i]
		has := func(f string) bool { return slices.Contains(s.Flags, f) }
		switch {
		case has("in-reencryption"):
			return refuse("it was interrupted within a piece, which has to be recovered: run cryptsetup repair on the device in a rescue system")
		case s.Integrity != "", s.Type != "crypt" && s.Type != "linear":
			return refuse("it concerns a segment of the type " + s.Type + " " + s.Integrity)
		case has("backup-previous"):
			r.previous = s
		case has("backup-final"):
			r.final = s
		case has("backup-moved-segment"):
			r.moved = s
		case len(r.Segments) > 0 && r.Segments[len(r.Segments)-1].Size == Dynamic:
			return refuse("a segment follows one without end")
		default:
			r.Segments = append(r.Segments, s)
		}
	}
	if r.previous == nil || r.final == nil || len(r.Segments) == 0 {
		return refuse("the header does not say what was before and what comes after")
	}
	r.Old, r.New = h.digestOf(r.previous), h.digestOf(r.final)
	for i := range h.Digests {
		if slices.Contains(h.Digests[i].Keyslots, r.slot.ID) {
			r.Proof = &h.Digests[i]
		}
	}
	for _, s := range append(r.Segments[:len(r.Segments):len(r.Segments)], r.previous, r.final) {
		if d := h.digestOf(s); s.Type == "crypt" && (d == nil || d != r.Old && d != r.New) {
			return refuse("segment " + strconv.Itoa(s.ID) + " has neither the old nor the new key")
		}
	}
	if r.Proof == nil || r.Old == nil && r.New == nil {
		return refuse("nothing proves who asked for it: run cryptsetup repair on the device in a rescue system")
	}
	return r, nil
}

// digestOf returns the digest of a segment's key, or nil.
func (h *Header) digestOf(s *Segment) *Digest {
	for i := range h.Digests {
		if slices.Contains(h.Digests[i].Segments, s.ID) {
			return &h.Digests[i]
		}
	}
	return nil
}

// DigestOf returns the digest of the key of a segment, nil if it has none.
func (r *Reencryption) DigestOf(s *Segment) *Digest {
	for _, d := range [...]*Digest{r.Old, r.New} {
		if d != nil && slices.Contains(d.Segments, s.ID) {
			return d
		}
	}
	return nil
}

// Statement is what Proof is the digest of: the keys and how the re-encryption is
// done. A key is nil where there is none. The caller wipes it.
func (r *Reencryption) Statement(oldKey, newKey []byte) []byte {
	b := make([]byte, 0, 1024+len(oldKey)+len(newKey)) // never moved, so that no copy is left behind
	b = append(b, 'v', '0'+r.version)
	b = append(b, oldKey...)
	if r.New != r.Old {
		b = append(b, newKey...)
	}
	u64 := func(n uint64) { b = binary.BigEndian.AppendUint64(b, n) }
	b = append(b, r.slot.Mode+r.slot.Direction+r.slot.Area...)
	u64(r.slot.Offset)
	u64(r.slot.Size)
	if strings.HasSuffix(r.slot.Area, "checksum") {
		b = append(b, r.slot.Hash...)
		b = binary.BigEndian.AppendUint32(b, r.slot.SectorSize)
	}
	if strings.HasPrefix(r.slot.Area, "datashift") {
		u64(r.slot.Shift)
	}
	for _, s := range [...]*Segment{r.previous, r.final, r.moved} {
		if s == nil {
			continue
		}
		b = append(b, s.Type...)
		u64(s.Offset)
		if s.Size == Dynamic {
			b = append(b, "dynamic"...)
		} else {
			u64(s.Size)
		}
		if s.Type == "crypt" {
			u64(s.IVTweak)
			b = append(b, s.Encryption...)
			b = binary.BigEndian.AppendUint32(b, uint32(s.SectorSize))
		}
	}
	return b
}
