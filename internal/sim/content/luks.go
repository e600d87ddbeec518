package content

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// LUKS is an encrypted device with one key for each of its passphrases, which
// is cheap to derive: it protects nothing.
type LUKS struct {
	Version     int // 1 or 2
	UUID        string
	Label       string // LUKS2 only
	Passphrases []string
	// Iterations of PBKDF2; 0 is 1. cryptsetup makes none below 1000.
	Iterations int
	// Stripes of the anti-forensic splitter; 0 is 2. cryptsetup makes 4000.
	Stripes int
	// Tokens are the members of the LUKS2 header's object of that name, as JSON.
	Tokens string
}

const (
	luksKey    = 32 // bytes of every key
	luksCipher = "aes"
	luksMode   = "cbc-plain64"
)

// DataOffset is where the encrypted data starts, in bytes.
func (l LUKS) DataOffset() int64 {
	if l.stripes() > 32 {
		return 4 << 20
	}
	return 1 << 20
}

// Key is the volume key: it depends on the UUID alone.
func (l LUKS) Key() []byte {
	k := sha256.Sum256([]byte("volume key of " + l.UUID))
	return k[:]
}

func (l LUKS) stripes() int    { return max(l.Stripes, 2) }
func (l LUKS) iterations() int { return max(l.Iterations, 1) }

// areaSize is the room of one keyslot, in bytes.
func (l LUKS) areaSize() int64 {
	return (int64(luksKey*l.stripes()) + 4095) &^ 4095
}

func (l LUKS) salt(what string) []byte {
	s := sha256.Sum256([]byte("salt for " + what + " of " + l.UUID))
	return s[:]
}

func derive(secret []byte, salt []byte, iterations, size int) []byte {
	out, err := pbkdf2.Key(sha256.New, string(secret), salt, iterations, size)
	if err != nil {
		panic("content: " + err.Error()) // for lengths that are not used here
	}
	return out
}

// material is the encrypted key material of a slot: the volume key, split
// (LUKS1 specification 1.2.3, sections 2.4 and 4).
func (l LUKS) material(slot int, passphrase string) []byte {
	n := l.stripes()
	out := make([]byte, (luksKey*n+SectorSize-1)&^(SectorSize-1))
	d := make([]byte, luksKey)
	for i := range n - 1 {
		stripe := sha256.Sum256(fmt.Appendf(nil, "stripe %d of slot %d of %s", i, slot, l.UUID))
		copy(out[i*luksKey:], stripe[:])
		for j := range d {
			d[j] ^= stripe[j]
		}
		sum := sha256.Sum256(append([]byte{0, 0, 0, 0}, d...))
		copy(d, sum[:])
	}
	for j, k := range l.Key() {
		out[(n-1)*luksKey+j] = d[j] ^ k
	}
	block, err := aes.NewCipher(derive([]byte(passphrase), l.salt(fmt.Sprint("slot ", slot)), l.iterations(), luksKey))
	if err != nil {
		panic("content: " + err.Error())
	}
	for s := 0; s*SectorSize < len(out); s++ {
		var iv [aes.BlockSize]byte
		le.PutUint64(iv[:], uint64(s))
		sector := out[s*SectorSize:][:SectorSize]
		cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(sector, sector)
	}
	return out
}

// Pieces are the header and the key material.
func (l LUKS) Pieces() []Piece {
	if l.Version == 2 {
		return l.second()
	}
	return l.first()
}

// first is a LUKS1 header (specification 1.2.3, figure 1), big-endian.
func (l LUKS) first() []Piece {
	b := make([]byte, 1024)
	copy(b, "LUKS\xba\xbe\x00\x01")
	copy(b[8:], luksCipher)
	copy(b[40:], luksMode)
	copy(b[72:], "sha256")
	be.PutUint32(b[104:], uint32(l.DataOffset()/SectorSize))
	be.PutUint32(b[108:], luksKey)
	copy(b[112:132], derive(l.Key(), l.salt("digest"), l.iterations(), 20))
	copy(b[132:164], l.salt("digest"))
	be.PutUint32(b[164:], uint32(l.iterations()))
	copy(b[168:], l.UUID)
	pieces := []Piece{{0, b}}
	for i := range 8 {
		s := b[208+48*i:]
		at := 4096 + int64(i)*l.areaSize()
		be.PutUint32(s, 0xdead)
		be.PutUint32(s[40:], uint32(at/SectorSize))
		be.PutUint32(s[44:], uint32(l.stripes()))
		if i >= len(l.Passphrases) {
			continue
		}
		be.PutUint32(s, 0xac71f3)
		be.PutUint32(s[4:], uint32(l.iterations()))
		copy(s[8:40], l.salt(fmt.Sprint("slot ", i)))
		pieces = append(pieces, Piece{at, l.material(i, l.Passphrases[i])})
	}
	return pieces
}

// second is a LUKS2 header with its copy (LUKS2 on-disk format specification
// 1.1.3), big-endian, each 16 KiB.
func (l LUKS) second() []Piece {
	const (
		size  = 16 << 10
		slots = 2 * size
	)
	b64 := base64.StdEncoding.EncodeToString
	var keyslots, ids string
	var pieces []Piece
	for i, p := range l.Passphrases {
		at := slots + int64(i)*l.areaSize()
		if i > 0 {
			keyslots, ids = keyslots+",", ids+","
		}
		ids += fmt.Sprintf(`"%d"`, i)
		keyslots += fmt.Sprintf(`"%d":{"type":"luks2","key_size":%d,"af":{"type":"luks1","stripes":%d,"hash":"sha256"},`+
			`"area":{"type":"raw","offset":"%d","size":"%d","encryption":"%s-%s","key_size":%d},`+
			`"kdf":{"type":"pbkdf2","hash":"sha256","iterations":%d,"salt":"%s"}}`,
			i, luksKey, l.stripes(), at, l.areaSize(), luksCipher, luksMode, luksKey, l.iterations(), b64(l.salt(fmt.Sprint("slot ", i))))
		pieces = append(pieces, Piece{at, l.material(i, p)})
	}
	text := fmt.Sprintf(`{"keyslots":{%s},"tokens":{%s},"segments":{"0":{"type":"crypt","offset":"%d","size":"dynamic","iv_tweak":"0",`+
		`"encryption":"%s-%s","sector_size":512}},"digests":{"0":{"type":"pbkdf2","keyslots":[%s],"segments":["0"],"hash":"sha256",`+
		`"iterations":%d,"salt":"%s","digest":"%s"}},"config":{"json_size":"%d","keyslots_size":"%d"}}`,
		keyslots, l.Tokens, l.DataOffset(), luksCipher, luksMode, ids, l.iterations(), b64(l.salt("digest")),
		b64(derive(l.Key(), l.salt("digest"), l.iterations(), 32)), size-4096, l.DataOffset()-slots)
	for i, magic := range [2]string{"LUKS\xba\xbe", "SKUL\xba\xbe"} {
		b := make([]byte, size)
		at := int64(i) * size
		copy(b, magic)
		be.PutUint16(b[6:], 2)
		be.PutUint64(b[8:], size)
		be.PutUint64(b[16:], 3) // how often it was written
		copy(b[24:72], l.Label)
		copy(b[72:], "sha256")
		copy(b[104:], l.salt(fmt.Sprint("copy ", i)))
		copy(b[168:208], l.UUID)
		be.PutUint64(b[256:], uint64(at))
		copy(b[4096:], text)
		sum := sha256.Sum256(b)
		copy(b[448:], sum[:])
		pieces = append(pieces, Piece{at, b})
	}
	return pieces
}
