// Package luks unlocks LUKS volumes: it gets the volume key out of a keyslot
// with a passphrase, and says how the device is to be mapped.
//
// It computes and reads through an io.ReaderAt; it asks nobody, maps nothing
// and touches no keyring. Ciphers that Go lacks are asked for through
// Ciphers. Deriving a key is made slow on purpose: call Open where it holds
// up nothing else.
//
// Sources: the LUKS On-Disk Format Specification 1.2.3, the LUKS2 On-Disk
// Format Specification 1.1.3, RFC 8018 (PBKDF2), RFC 9106 (Argon2).
package luks

import (
	"crypto/subtle"
	"errors"
	"io"
	"slices"
	"time"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
)

// Errors that callers tell apart.
var (
	// ErrWrongPassphrase is wrapped by Open's error when the passphrase opens
	// none of the keyslots that could be tried: asking again makes sense.
	ErrWrongPassphrase = errors.New("no keyslot opens with this passphrase")
	// ErrNoKeyslot is returned when there is no keyslot to try.
	ErrNoKeyslot = errors.New("no keyslot to try")
	// ErrUnsupported is wrapped by the error for a keyslot whose cipher, hash
	// or key derivation is not available.
	ErrUnsupported = errors.New("not supported")
	// ErrMemory is what every *MemoryError is.
	ErrMemory = errors.New("too little memory")
)

// MaxMemory is the most that an argon2 keyslot may ask for, in bytes. It is
// the most that cryptsetup sets.
const MaxMemory = 4 << 30

// MemoryError says that a keyslot's key derivation needs more memory than
// there is.
type MemoryError struct {
	Need, Available uint64 // bytes; Available is 0 where Need is beyond MaxMemory
}

// Is makes it ErrMemory.
func (e *MemoryError) Is(err error) bool { return err == ErrMemory }

func (e *MemoryError) Error() string {
	if e.Available == 0 {
		return fmt.Sprintf("its argon2 key derivation asks for %d MiB of memory, more than any tool sets", e.Need>>20)
	}
	return fmt.Sprintf("its argon2 key derivation needs %d MiB of memory, %d MiB are available", e.Need>>20, e.Available>>20)
}

// Options qualify Open. The zero value is usable.
type Options struct {
	// Keyslots are the slots to try, in this order, whatever their priority;
	// nil means the order of Header.TryOrder.
	Keyslots []int
	// MemAvailable says before each argon2 derivation how much memory it may
	// take, in bytes (MemAvailable of /proc/meminfo); 0 means that it is
	// unknown. May be nil.
	MemAvailable func() uint64
	// FreeMemory is called after each argon2 derivation, whose memory is
	// garbage then: debug.FreeOSMemory belongs here, since a second keyslot
	// would otherwise need as much again. May be nil.
	FreeMemory func()
	// Now is a monotonic clock, by which the quicker of two forms of argon2 is
	// found. May be nil: the usual one is taken.
	Now func() time.Duration
	// Ciphers decrypts keyslots with what Go lacks (serpent, twofish …). May
	// be nil: such slots fail with ErrUnsupported.
	Ciphers Ciphers
	// Hashes has hash functions that are not built in. May be nil: keyslots
	// with them fail with ErrUnsupported.
	Hashes Hashes
}

// VolumeKey is the key that encrypts the data. Wipe it after use.
type VolumeKey struct {
	Keyslot int // the slot that gave it
	Digest  int // the digest that knows it
	key     []byte
}

// Bytes returns the key itself, not a copy.
func (k *VolumeKey) Bytes() []byte { return k.key }

// Wipe clears the key. A nil or wiped key may be wiped again.
func (k *VolumeKey) Wipe() {
	if k != nil {
		clear(k.key)
		k.key = nil
	}
}

// Cancellation says whether work is still wanted. A context.Context is one;
// /init, which never cancels, does not pay for the times in it.
type Cancellation interface {
	// Err is nil for as long as the work is wanted.
	Err() error
}

// ToTheEnd is the Cancellation of work that is always wanted.
type ToTheEnd struct{}

// Err returns nil.
func (ToTheEnd) Err() error { return nil }

// Open tries the passphrase on the keyslots until one gives the volume key.
// area is where the header was read from. Open ends early with ctx's error:
// between keyslots, and within PBKDF2 (argon2 runs to its end). The
// passphrase is not wiped.
//
// The error wraps ErrWrongPassphrase if at least one keyslot was tried and
// none was opened; errors of slots that could not be tried (ErrUnsupported,
// *MemoryError, read errors) are joined to it.
func Open(ctx Cancellation, h *luksfmt.Header, area io.ReaderAt, passphrase []byte, o Options) (*VolumeKey, error) {
	d, err := h.VolumeDigest()
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", h.UUID, err)
	}
	slots := h.TryOrderOf(d)
	if o.Keyslots != nil {
		if slots, err = chosen(h, d, o.Keyslots); err != nil {
			return nil, fmt.Errorf("unlock %s: %w", h.UUID, err)
		}
	}
	return openSlots(ctx, h, slots, d, area, passphrase, &o)
}

// openSlots tries the passphrase on some slots until one gives the key of the
// digest.
func openSlots(ctx Cancellation, h *luksfmt.Header, slots []*luksfmt.Keyslot, d *luksfmt.Digest, area io.ReaderAt, passphrase []byte, o *Options) (*VolumeKey, error) {
	var failed []error
	tried := false
	for _, k := range slots {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("unlock %s: %w", h.UUID, err)
		}
		key, err := openSlot(ctx, k, d, area, passphrase, o)
		switch {
		case err == nil:
			return &VolumeKey{Keyslot: k.ID, Digest: d.ID, key: key}, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("unlock %s: %w", h.UUID, ctx.Err())
		case errors.Is(err, errMismatch):
			tried = true
		default:
			failed = append(failed, fmt.Errorf("keyslot %d: %w", k.ID, err))
		}
	}
	if tried {
		failed = append([]error{ErrWrongPassphrase}, failed...)
	}
	if len(failed) == 0 {
		failed = []error{ErrNoKeyslot}
	}
	return nil, fmt.Errorf("unlock %s: %w", h.UUID, joined(failed))
}

// joined is one error as it is, and several on one line.
func joined(errs []error) error {
	err := errs[0]
	for _, e := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, e)
	}
	return err
}

func chosen(h *luksfmt.Header, d *luksfmt.Digest, ids []int) ([]*luksfmt.Keyslot, error) {
	var slots []*luksfmt.Keyslot
	for _, id := range ids {
		k := h.Keyslot(id)
		switch {
		case k == nil:
			return nil, fmt.Errorf("keyslot %d is empty: %w", id, ErrNoKeyslot)
		case k.Type != "luks2":
			return nil, fmt.Errorf("keyslot %d has the type %q: %w", id, k.Type, ErrUnsupported)
		case !slices.Contains(d.Keyslots, id):
			return nil, fmt.Errorf("keyslot %d does not hold the volume key: %w", id, ErrNoKeyslot)
		}
		slots = append(slots, k)
	}
	return slots, nil
}

var errMismatch = errors.New("key does not match")

// openSlot returns the volume key of one slot, or errMismatch.
func openSlot(ctx Cancellation, k *luksfmt.Keyslot, d *luksfmt.Digest, area io.ReaderAt, pass []byte, o *Options) ([]byte, error) {
	// What cannot work is found out before the slow part.
	dec, err := newSectors(k.Encryption, k.AreaKeySize, o.Ciphers, o.Hashes)
	if err != nil {
		return nil, err
	}
	if dec.null && len(pass) > 0 {
		// Whoever can write to the disk could put such a slot there: it must
		// not look as if a passphrase protected anything.
		return nil, errMismatch
	}
	split, err := newSplitter(o.Hashes, k.AFHash)
	if err != nil {
		return nil, err
	}
	material := make([]byte, (k.MaterialSize()+luksfmt.SectorSize-1)&^(luksfmt.SectorSize-1))
	defer clear(material)
	if _, err := area.ReadAt(material, k.Offset); err != nil {
		return nil, fmt.Errorf("read its key material at %d: %w", k.Offset, err)
	}
	areaKey, err := derive(ctx, k, pass, o)
	if err != nil {
		return nil, err
	}
	defer clear(areaKey)
	if err := dec.decrypt(material, areaKey); err != nil {
		return nil, fmt.Errorf("decrypt its key material (%s): %w", k.Encryption, err)
	}
	key := split.merge(material, k.KeySize, k.Stripes)
	ok, err := matches(ctx, o.Hashes, d, key)
	if err != nil || !ok {
		clear(key)
		if err == nil {
			err = errMismatch
		}
		return nil, err
	}
	return key, nil
}

// matches says whether key is the one that the digest was made from.
func matches(ctx Cancellation, hashes Hashes, d *luksfmt.Digest, key []byte) (bool, error) {
	sum, err := pbkdf2(ctx, hashes, d.Hash, key, d.Salt, d.Iterations, len(d.Digest))
	if err != nil {
		return false, fmt.Errorf("digest %d: %w", d.ID, err)
	}
	return subtle.ConstantTimeCompare(sum, d.Digest) == 1, nil
}

// CheckKey says whether a volume key that came from elsewhere (a token, a
// file) is that of the header. Its error is that of the header or the hash.
func CheckKey(ctx Cancellation, hashes Hashes, h *luksfmt.Header, key []byte) (bool, error) {
	d, err := h.VolumeDigest()
	if err != nil {
		return false, err
	}
	return matches(ctx, hashes, d, key)
}
