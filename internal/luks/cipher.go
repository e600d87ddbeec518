package luks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
)

// Ciphers is a source of ciphers that Go lacks: the kernel's, through AF_ALG.
type Ciphers interface {
	// Decrypter returns the decryption of a symmetric cipher by its name in
	// the kernel's crypto API: "xts(serpent)", "essiv(cbc(twofish),sha256)".
	Decrypter(name string, key []byte) (Decrypter, error)
}

// Decrypter decrypts with one key.
type Decrypter interface {
	// Decrypt decrypts data in place; iv is nil for a mode without one.
	Decrypt(data, iv []byte) error
	// Close gives the key up.
	Close() error
}

// sectors decrypts consecutive 512-byte sectors, the first of which has the
// number 0, in the way of a dm-crypt cipher specification.
type sectors struct {
	cipher, mode, iv, ivOpt string
	null                    bool
	kernel                  string // name in the crypto API, if the kernel shall do it
	from                    Ciphers
	hashes                  Hashes
}

// newSectors reads "cipher-mode-iv:option".
func newSectors(spec string, keySize int, from Ciphers, hashes Hashes) (*sectors, error) {
	unsupported := func(why string) error {
		return fmt.Errorf("cipher %q: %s: %w", spec, why, ErrUnsupported)
	}
	s := &sectors{from: from, hashes: hashes}
	rest := ""
	s.cipher, rest, _ = strings.Cut(spec, "-")
	s.mode, rest, _ = strings.Cut(rest, "-")
	s.iv, s.ivOpt, _ = strings.Cut(rest, ":")
	if strings.HasPrefix(spec, "capi:") {
		return nil, unsupported("written in the kernel's own way")
	}
	if s.cipher == "cipher_null" {
		s.null = true
		return s, nil
	}
	switch s.mode {
	case "": // the spelling of old LUKS1 headers: dm-crypt takes it for cbc-plain
		s.mode, s.iv = "cbc", "plain"
	case "plain":
		s.mode, s.iv = "cbc", "plain"
	}
	switch s.iv {
	case "plain", "plain64", "plain64be", "null", "benbi":
	case "essiv":
		if s.mode == "ecb" || s.ivOpt == "" {
			return nil, unsupported("essiv is made with a hash, for a mode that has an IV")
		}
		if _, err := hashes.find(s.ivOpt); err != nil && from == nil {
			return nil, fmt.Errorf("cipher %q: %w", spec, err)
		}
	case "":
		if s.mode != "ecb" {
			return nil, unsupported("no way to make the IV")
		}
	default:
		return nil, unsupported("unknown IV")
	}
	switch {
	case s.cipher == "aes" && (s.mode == "xts" && (keySize == 32 || keySize == 64) ||
		(s.mode == "cbc" || s.mode == "ecb") && (keySize == 16 || keySize == 24 || keySize == 32)):
		if _, err := hashes.find(s.ivOpt); s.iv != "essiv" || err == nil {
			return s, nil
		}
	case s.cipher == "aes" && (s.mode == "xts" || s.mode == "cbc" || s.mode == "ecb"):
		return nil, unsupported(fmt.Sprintf("key of %d bytes", keySize))
	}
	if from == nil {
		return nil, unsupported("not built in")
	}
	// "xchacha12,aes" with "adiantum" is adiantum(xchacha12,aes).
	s.kernel = s.mode + "(" + s.cipher + ")"
	if s.iv == "essiv" {
		s.kernel = "essiv(" + s.kernel + "," + s.ivOpt + ")"
	}
	return s, nil
}

// makeIV fills iv for a sector, as dm-crypt's generator of that name does.
func (s *sectors) makeIV(iv []byte, sector uint64) {
	clear(iv)
	switch s.iv {
	case "plain":
		binary.LittleEndian.PutUint32(iv, uint32(sector))
	case "plain64", "essiv":
		binary.LittleEndian.PutUint64(iv, sector)
	case "plain64be":
		binary.BigEndian.PutUint64(iv[len(iv)-8:], sector)
	case "benbi":
		shift := 5 // 512-byte sectors of 16-byte blocks
		if len(iv) == 8 {
			shift = 6
		}
		binary.BigEndian.PutUint64(iv[len(iv)-8:], sector<<shift+1)
	}
}

// decrypt decrypts data, whole sectors, in place.
func (s *sectors) decrypt(data, key []byte) error {
	switch {
	case s.null:
		return nil
	case s.kernel != "":
		return s.byKernel(data, key)
	}
	one, err := s.builtin(key)
	if err != nil {
		return err
	}
	var iv [aes.BlockSize]byte
	for n := 0; n*luksfmt.SectorSize < len(data); n++ {
		s.makeIV(iv[:], uint64(n))
		one(data[n*luksfmt.SectorSize:(n+1)*luksfmt.SectorSize], &iv)
	}
	return nil
}

func (s *sectors) byKernel(data, key []byte) error {
	d, err := s.from.Decrypter(s.kernel, key)
	if err != nil {
		return fmt.Errorf("%s: %w", s.kernel, err)
	}
	defer d.Close()
	var iv []byte
	switch {
	case s.mode == "ecb":
	case s.mode == "adiantum":
		iv = make([]byte, 32)
	case s.cipher == "blowfish" || s.cipher == "cast5" || s.cipher == "des3_ede" || s.cipher == "des":
		iv = make([]byte, 8)
	default:
		iv = make([]byte, 16)
	}
	for n := 0; n*luksfmt.SectorSize < len(data); n++ {
		if iv != nil {
			s.makeIV(iv, uint64(n))
		}
		if err := d.Decrypt(data[n*luksfmt.SectorSize:(n+1)*luksfmt.SectorSize], iv); err != nil {
			return fmt.Errorf("%s: %w", s.kernel, err)
		}
	}
	return nil
}

// builtin returns the decryption of one sector with AES.
func (s *sectors) builtin(key []byte) (func(sector []byte, iv *[16]byte), error) {
	dataKey := key
	if s.mode == "xts" {
		dataKey = key[:len(key)/2]
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	one := func(b []byte, iv *[16]byte) { cbcDecrypt(block, b, iv) }
	switch s.mode {
	case "xts":
		tweak, err := aes.NewCipher(key[len(key)/2:])
		if err != nil {
			return nil, err
		}
		one = func(b []byte, iv *[16]byte) { xtsDecrypt(block, tweak, b, iv) }
	case "ecb":
		one = func(b []byte, _ *[16]byte) {
			for ; len(b) > 0; b = b[16:] {
				block.Decrypt(b[:16], b[:16])
			}
		}
	}
	if s.iv != "essiv" {
		return one, nil
	}
	newH, err := s.hashes.find(s.ivOpt)
	if err != nil {
		return nil, err
	}
	h := newH()
	h.Write(key)
	salt := h.Sum(nil)
	defer clear(salt)
	essiv, err := aes.NewCipher(salt)
	if err != nil {
		return nil, fmt.Errorf("essiv:%s: %w", s.ivOpt, err)
	}
	return func(b []byte, iv *[16]byte) {
		essiv.Encrypt(iv[:], iv[:])
		one(b, iv)
	}, nil
}

// xtsDecrypt is XTS of IEEE 1619 for a sector, or less, in whole blocks. It
// makes all tweaks before it goes on: a call for each block costs more than
// the block.
func xtsDecrypt(block, tweak cipher.Block, b []byte, iv *[16]byte) {
	var tweaks [luksfmt.SectorSize]byte
	t := tweaks[:len(b)]
	tweak.Encrypt(t[:16], iv[:])
	lo, hi := binary.LittleEndian.Uint64(t[:8]), binary.LittleEndian.Uint64(t[8:16])
	for next := t[16:]; len(next) >= 16; next = next[16:] {
		// Each is x times the one before it in GF(2^128), the least
		// significant byte first.
		carry := hi >> 63
		hi = hi<<1 | lo>>63
		lo = lo<<1 ^ carry*0x87
		binary.LittleEndian.PutUint64(next[:8], lo)
		binary.LittleEndian.PutUint64(next[8:16], hi)
	}
	subtle.XORBytes(b, b, t)
	for rest := b; len(rest) >= 16; rest = rest[16:] {
		block.Decrypt(rest[:16], rest[:16])
	}
	subtle.XORBytes(b, b, t)
	clear(t)
}

// cbcDecrypt goes from the last block to the first, in place.
func cbcDecrypt(block cipher.Block, b []byte, iv *[16]byte) {
	for at := len(b) - 16; at >= 0; at -= 16 {
		block.Decrypt(b[at:at+16], b[at:at+16])
		prev := iv[:]
		if at > 0 {
			prev = b[at-16 : at]
		}
		subtle.XORBytes(b[at:at+16], b[at:at+16], prev)
	}
}
