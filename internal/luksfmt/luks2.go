package luksfmt

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/hashname"
	"firstlight/internal/luksfmt/jsontree"
)

// Layout of the LUKS2 binary header (specification 1.1.3, figure 3), big
// endian.
const (
	luks2BinarySize = 4096
	offHdrSize      = 8
	offSeqID        = 16
	offLabel        = 24
	offCsumAlg      = 72
	offUUID         = 168
	offSubsystem    = 208
	offHdrOffset    = 256
	offCsum         = 448
	csumSize        = 64
)

// jsonLimits are far above what any tool writes: 32 keyslots and tokens each
// with some 20 values.
var jsonLimits = jsontree.Limits{Depth: 32, Values: 32768}

var errNoMagic = errors.New("no magic")

// sizes are the sizes that a LUKS2 header can have, in bytes, which are the
// places of the secondary copy as well.
var sizes = [...]int64{16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}

func validSize(n uint64) bool {
	for _, s := range sizes {
		if n == uint64(s) {
			return true
		}
	}
	return false
}

// readLUKS2 reads both copies. head is the first block, or nil with the
// reason why the primary copy is out of the question.
func readLUKS2(r io.ReaderAt, head []byte, primaryErr error) (*Header, error) {
	var first, second *Header
	err1 := primaryErr
	if err1 == nil {
		first, err1 = readCopy(r, head, 0)
	}
	var err2 error
	if first != nil {
		second, err2 = readCopyAt(r, first.Size)
	} else {
		// The size in a damaged header is not believed: all places are tried.
		err2 = errNoMagic
		for _, off := range sizes {
			h, err := readCopyAt(r, off)
			if err == nil {
				second, err2 = h, nil
				break
			}
			if err2 == errNoMagic {
				err2 = err
			}
		}
	}
	var pick *Header
	switch {
	case first == nil && second == nil:
		if err1 == errNoMagic && err2 == errNoMagic {
			return nil, ErrNoLUKS
		}
		return nil, fmt.Errorf("%w: LUKS2: primary copy: %w; secondary copy: %w", ErrCorrupt, err1, err2)
	case second == nil:
		pick = first
		pick.Problems = append(pick.Problems, fmt.Sprintf("secondary copy of the header is unusable: %v", err2))
	case first == nil:
		pick = second
		pick.Problems = append(pick.Problems, fmt.Sprintf("primary copy of the header is unusable: %v", err1))
	case first.UUID != second.UUID:
		return nil, fmt.Errorf("%w: LUKS2: the copies have different UUIDs %q and %q", ErrCorrupt, first.UUID, second.UUID)
	case second.SeqID > first.SeqID:
		pick = second
		pick.Problems = append(pick.Problems, fmt.Sprintf("primary copy of the header is older (%d, secondary %d)", first.SeqID, second.SeqID))
	default:
		pick = first
		if first.SeqID > second.SeqID {
			pick.Problems = append(pick.Problems, fmt.Sprintf("secondary copy of the header is older (%d, primary %d)", second.SeqID, first.SeqID))
		}
	}
	return pick, nil
}

// readCopyAt reads the secondary copy at off.
func readCopyAt(r io.ReaderAt, off int64) (*Header, error) {
	var b [luks2BinarySize]byte
	n, err := r.ReadAt(b[:], off)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read at %d: %w", off, err)
	}
	return readCopy(r, b[:n], off)
}

// readCopy checks the binary header b, which stands at off, and reads the
// rest of its copy.
func readCopy(r io.ReaderAt, b []byte, off int64) (*Header, error) {
	magic := magicPrimary
	if off != 0 {
		magic = magicSecondary
	}
	if len(b) < 8 || string(b[:6]) != magic {
		return nil, errNoMagic
	}
	if v := be.Uint16(b[6:]); v != 2 {
		return nil, fmt.Errorf("version %d", v)
	}
	if len(b) < luks2BinarySize {
		return nil, fmt.Errorf("cut off after %d bytes", len(b))
	}
	size := be.Uint64(b[offHdrSize:])
	if !validSize(size) {
		return nil, fmt.Errorf("header size %d", size)
	}
	if o := be.Uint64(b[offHdrOffset:]); o != uint64(off) || off != 0 && size != uint64(off) {
		return nil, fmt.Errorf("says that it stands at %d with a size of %d, but stands at %d", o, size, off)
	}
	all := make([]byte, size)
	copy(all, b)
	if _, err := r.ReadAt(all[luks2BinarySize:], off+luks2BinarySize); err != nil {
		return nil, fmt.Errorf("read the JSON area: %w", err)
	}
	alg := field(b, offCsumAlg, 32)
	newHash, err := hashname.New(alg)
	if err != nil {
		return nil, fmt.Errorf("checksum: %w", err)
	}
	var want [csumSize]byte
	copy(want[:], b[offCsum:])
	clear(all[offCsum : offCsum+csumSize])
	sum := newHash()
	sum.Write(all)
	got := sum.Sum(nil)
	if subtle.ConstantTimeCompare(got, want[:len(got)]) != 1 {
		return nil, fmt.Errorf("%s checksum does not match", alg)
	}
	area := all[luks2BinarySize:]
	end := bytes.IndexByte(area, 0)
	if end < 0 {
		return nil, errors.New("JSON area is not terminated")
	}
	h := &Header{Version: 2, Size: int64(size), SeqID: be.Uint64(b[offSeqID:]),
		Label: field(b, offLabel, 48), UUID: field(b, offUUID, 40), Subsystem: field(b, offSubsystem, 48)}
	if off != 0 {
		h.Copy = Secondary
	}
	if h.UUID == "" || !printable([]byte(h.UUID)) || strings.Contains(h.UUID, "/") {
		return nil, fmt.Errorf("uuid %q", h.UUID)
	}
	tree, err := jsontree.Parse(area[:end], jsonLimits)
	if err != nil {
		return nil, err
	}
	if err := parseMetadata(h, tree); err != nil {
		return nil, err
	}
	return h, nil
}

// field returns a zero-terminated text; one without its zero ends where the
// field ends.
func field(b []byte, off, size int) string {
	f := b[off : off+size]
	if i := bytes.IndexByte(f, 0); i >= 0 {
		f = f[:i]
	}
	return string(f)
}
