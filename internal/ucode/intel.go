package ucode

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An update begins with a header, and may end with a table of further
// signatures (Intel SDM volume 3, "Microcode Update Facilities").
const (
	intelHeader      = 48
	intelVersion     = 1
	intelDefaultData = 2000
	intelTableHeader = 20
	intelTableEntry  = 12
)

// intelUpdate is one update and where it belongs.
type intelUpdate struct {
	bytes      []byte
	revision   int32
	signatures [][2]uint32 // signature and platforms
}

// parseIntel reads the updates of a file, which follow one another. Each has to
// add up to nothing.
func parseIntel(b []byte) ([]intelUpdate, error) {
	var out []intelUpdate
	for at := 0; len(b) > 0; {
		if len(b) < intelHeader {
			return nil, fmt.Errorf("%d bytes at %d are no update", len(b), at)
		}
		n := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
		data, total := n(7), n(8)
		if data == 0 {
			data, total = intelDefaultData, intelDefaultData+intelHeader
		}
		if n(0) != intelVersion || total%4 != 0 || uint64(total) < uint64(data)+intelHeader || uint64(total) > uint64(len(b)) {
			return nil, fmt.Errorf("what is at %d is no update", at)
		}
		u := intelUpdate{bytes: b[:total:total], revision: int32(n(1)), signatures: [][2]uint32{{n(3), n(6)}}}
		if sum(u.bytes[:data+intelHeader]) != 0 {
			return nil, fmt.Errorf("the update at %d is damaged: its sum is wrong", at)
		}
		if t := u.bytes[data+intelHeader:]; len(t) >= intelTableHeader {
			count := binary.LittleEndian.Uint32(t)
			if uint64(count)*intelTableEntry+intelTableHeader > uint64(len(t)) || sum(t[:intelTableHeader+count*intelTableEntry]) != 0 {
				return nil, fmt.Errorf("the update at %d is damaged: its further signatures", at)
			}
			for i := range count {
				e := t[intelTableHeader+i*intelTableEntry:]
				u.signatures = append(u.signatures, [2]uint32{binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])})
			}
		}
		out = append(out, u)
		at += int(total)
		b = b[total:]
	}
	if len(out) == 0 {
		return nil, errors.New("it is empty")
	}
	return out, nil
}

func sum(b []byte) (s uint32) {
	for ; len(b) >= 4; b = b[4:] {
		s += binary.LittleEndian.Uint32(b)
	}
	return s
}

// fits says whether an update is for a processor.
func (u *intelUpdate) fits(c CPU) bool {
	for _, s := range u.signatures {
		if s[0] == c.Signature() && (c.Platform == 0 || s[1] == 0 || s[1]&c.Platform != 0) {
			return true
		}
	}
	return false
}

// SelectIntel returns the updates of a file for the processors, nothing if there
// is none; with no processor at all it returns all of them. Updates of negative
// revision are for Intel's own trials and left out.
func SelectIntel(b []byte, cpus []CPU) ([]byte, error) {
	list, err := parseIntel(b)
	if err != nil {
		return nil, err
	}
	var out []byte
	for i := range list {
		u := &list[i]
		want := len(cpus) == 0
		for _, c := range cpus {
			want = want || c.Vendor == Intel && u.fits(c)
		}
		if want && u.revision >= 0 {
			out = append(out, u.bytes...)
		}
	}
	return out, nil
}
