package luks

import (
	"encoding"
	"encoding/binary"
	"hash"

	"firstlight/internal/argon2"
	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
	"firstlight/internal/luksfmt/hashname"
)

// derive turns the passphrase into the key of the slot's area.
func derive(ctx Cancellation, k *luksfmt.Keyslot, pass []byte, o *Options) ([]byte, error) {
	f := &k.KDF
	switch f.Type {
	case "pbkdf2":
		return pbkdf2(ctx, o.Hashes, f.Hash, pass, f.Salt, f.Iterations, k.AreaKeySize)
	case "argon2i", "argon2id":
		need := uint64(f.Memory) << 10
		if need > MaxMemory {
			return nil, &MemoryError{Need: need}
		}
		if o.MemAvailable != nil {
			if available := o.MemAvailable(); available != 0 && need > available {
				return nil, &MemoryError{need, available}
			}
		}
		kind := argon2.Argon2id
		if f.Type == "argon2i" {
			kind = argon2.Argon2i
		}
		cost := argon2.Cost{Time: uint32(f.Time), Memory: uint32(f.Memory), Threads: uint8(f.CPUs)}
		key := argon2.Key(kind, pass, f.Salt, cost, uint32(k.AreaKeySize), o.Now)
		if o.FreeMemory != nil {
			o.FreeMemory()
		}
		return key, nil
	}
	return nil, fmt.Errorf("key derivation %q: %w", f.Type, ErrUnsupported)
}

// Hashes is a source of hash functions beyond those of package hashname. It
// returns the constructor, or an error that wraps hashname.ErrUnknown.
type Hashes func(name string) (func() hash.Hash, error)

// find returns the constructor of a hash function, wherever it comes from.
func (more Hashes) find(name string) (func() hash.Hash, error) {
	h, err := hashname.New(name)
	if err != nil && more != nil {
		h, err = more(name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return h, nil
}

// checkEvery is how many iterations of PBKDF2 pass between two looks at the
// context: some milliseconds.
const checkEvery = 1 << 13

// pbkdf2 derives size bytes (RFC 8018, 5.2). The standard library's cannot
// be cancelled, and brings hashes along that nothing else here needs.
func pbkdf2(ctx Cancellation, hashes Hashes, hashName string, pass, salt []byte, iterations, size int) ([]byte, error) {
	newH, err := hashes.find(hashName)
	if err != nil {
		return nil, err
	}
	m := newHMAC(newH, pass)
	defer m.wipe()
	n := m.inner.Size()
	out := make([]byte, 0, (size+n-1)/n*n)
	u, t := make([]byte, 0, n), make([]byte, n)
	defer clear(u[:n])
	defer clear(t)
	for block := uint32(1); len(out) < size; block++ {
		u = m.sum(u[:0], binary.BigEndian.AppendUint32(salt[:len(salt):len(salt)], block))
		copy(t, u)
		for i := 1; i < iterations; i++ {
			if i%checkEvery == 0 && ctx.Err() != nil {
				clear(out)
				return nil, ctx.Err()
			}
			u = m.sum(u[:0], u)
			for j := range t {
				t[j] ^= u[j]
			}
		}
		out = append(out, t...)
	}
	clear(out[size:])
	return out[:size], nil
}

// hmac is HMAC (RFC 2104) that keeps the states after the two pads, so that
// one sum costs two blocks instead of four.
type hmac struct {
	inner, outer hash.Hash
	ipad, opad   []byte // states after the pads, or the pads themselves
	states       bool
	tmp          []byte
}

type marshaler interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

func newHMAC(newH func() hash.Hash, key []byte) *hmac {
	m := &hmac{inner: newH(), outer: newH()}
	bs := m.inner.BlockSize()
	pad := make([]byte, bs)
	if len(key) > bs {
		m.inner.Write(key)
		m.inner.Sum(pad[:0])
		m.inner.Reset()
	} else {
		copy(pad, key)
	}
	m.ipad, m.opad = make([]byte, bs), make([]byte, bs)
	for i, b := range pad {
		m.ipad[i], m.opad[i] = b^0x36, b^0x5c
	}
	clear(pad)
	m.tmp = make([]byte, 0, m.inner.Size())
	in, ok1 := m.inner.(marshaler)
	out, ok2 := m.outer.(marshaler)
	if ok1 && ok2 {
		m.inner.Write(m.ipad)
		m.outer.Write(m.opad)
		is, err1 := in.MarshalBinary()
		os, err2 := out.MarshalBinary()
		if err1 == nil && err2 == nil {
			clear(m.ipad)
			clear(m.opad)
			m.ipad, m.opad, m.states = is, os, true
		}
	}
	return m
}

// start brings h to the state after its pad.
func (m *hmac) start(h hash.Hash, pad []byte) {
	if m.states {
		if h.(marshaler).UnmarshalBinary(pad) == nil {
			return
		}
		panic("luks: a hash does not read the state that it wrote")
	}
	h.Reset()
	h.Write(pad)
}

// sum appends the HMAC of a message to dst, which may overlap it.
func (m *hmac) sum(dst, message []byte) []byte {
	m.start(m.inner, m.ipad)
	m.inner.Write(message)
	m.tmp = m.inner.Sum(m.tmp[:0])
	m.start(m.outer, m.opad)
	m.outer.Write(m.tmp)
	return m.outer.Sum(dst)
}

func (m *hmac) wipe() {
	clear(m.ipad)
	clear(m.opad)
	clear(m.tmp[:cap(m.tmp)])
	m.inner.Reset()
	m.outer.Reset()
}
