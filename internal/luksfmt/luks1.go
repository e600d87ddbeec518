package luksfmt

import (
	"bytes"
	"encoding/binary"

	"firstlight/internal/fmt"
)

// Layout of the LUKS1 header (specification 1.2.3, figure 1), big endian.
const (
	luks1Size        = 592
	luks1Slots       = 8
	luks1SlotSize    = 48
	luks1Enabled     = 0x00AC71F3
	luks1Disabled    = 0x0000DEAD
	luks1Cipher      = 8
	luks1Mode        = 40
	luks1Hash        = 72
	luks1Payload     = 104
	luks1KeyBytes    = 108
	luks1Digest      = 112
	luks1DigestSalt  = 132
	luks1DigestIter  = 164
	luks1UUID        = 168
	luks1FirstSlot   = 208
	luks1SaltSize    = 32
	luks1DigestSize  = 20
	luks1MaxStripes  = 4000
	maxKeySize       = 512 // bytes, of any key
	maxMaterial      = 16 << 20
	magicPrimary     = "LUKS\xba\xbe"
	magicSecondary   = "SKUL\xba\xbe"
	magicReencrypt   = "LUKS\xde\xad" // written over the magic by cryptsetup-reencrypt
	luks2MaxKeyslots = 32
)

var be = binary.BigEndian

func parseLUKS1(b []byte) (*Header, error) {
	corrupt := func(format string, a ...any) (*Header, error) {
		return nil, fmt.Errorf("%w: LUKS1: %s", ErrCorrupt, fmt.Sprintf(format, a...))
	}
	if len(b) < luks1Size {
		return corrupt("cut off after %d bytes", len(b))
	}
	text := func(off, size int) (string, bool) {
		f := b[off : off+size]
		i := bytes.IndexByte(f, 0)
		if i < 0 {
			return "", false
		}
		return string(f[:i]), printable(f[:i])
	}
	cipher, ok1 := text(luks1Cipher, 32)
	mode, ok2 := text(luks1Mode, 32)
	hash, ok3 := text(luks1Hash, 32)
	uuid, ok4 := text(luks1UUID, 40)
	if !ok1 || !ok2 || !ok3 || !ok4 || cipher == "" || mode == "" || hash == "" {
		return corrupt("cipher, mode, hash or uuid is no text")
	}
	keyBytes := be.Uint32(b[luks1KeyBytes:])
	if keyBytes == 0 || keyBytes > maxKeySize {
		return corrupt("key of %d bytes", keyBytes)
	}
	iter := be.Uint32(b[luks1DigestIter:])
	if iter == 0 || iter > 1<<31-1 {
		return corrupt("%d iterations for the digest", iter)
	}
	payload := be.Uint32(b[luks1Payload:])
	h := &Header{Version: 1, UUID: uuid, Size: luks1Size}
	enc := cipher + "-" + mode
	d := Digest{Segments: []int{0}, Hash: hash, Iterations: int(iter),
		Salt:   bytes.Clone(b[luks1DigestSalt : luks1DigestSalt+luks1SaltSize]),
		Digest: bytes.Clone(b[luks1Digest : luks1Digest+luks1DigestSize])}
	for i := range luks1Slots {
		s := b[luks1FirstSlot+i*luks1SlotSize:][:luks1SlotSize]
		switch active := be.Uint32(s); active {
		case luks1Disabled:
			continue
		case luks1Enabled:
		default:
			return corrupt("keyslot %d is neither enabled nor disabled (%#x)", i, active)
		}
		iter, off, stripes := be.Uint32(s[4:]), be.Uint32(s[40:]), be.Uint32(s[44:])
		if iter == 0 || iter > 1<<31-1 || off < 2 || stripes == 0 || stripes > luks1MaxStripes {
			return corrupt("keyslot %d: %d iterations, sector %d, %d stripes", i, iter, off, stripes)
		}
		size := int64(keyBytes) * int64(stripes)
		if payload != 0 && int64(off)*SectorSize+size > int64(payload)*SectorSize {
			return corrupt("keyslot %d reaches into the data", i)
		}
		h.Keyslots = append(h.Keyslots, Keyslot{ID: i, Type: "luks2", KeySize: int(keyBytes), Priority: Normal,
			AFHash: hash, Stripes: int(stripes), Offset: int64(off) * SectorSize,
			AreaSize: (size + SectorSize - 1) &^ (SectorSize - 1), Encryption: enc, AreaKeySize: int(keyBytes),
			KDF: KDF{Type: "pbkdf2", Hash: hash, Iterations: int(iter), Salt: bytes.Clone(s[8:40])}})
		d.Keyslots = append(d.Keyslots, i)
	}
	h.Digests = []Digest{d}
	h.Segments = []Segment{{Type: "crypt", Offset: uint64(payload) * SectorSize, Encryption: enc, SectorSize: SectorSize}}
	return h, nil
}

// printable says whether b is what can stand in a table line.
func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
