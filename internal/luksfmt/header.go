// Package luksfmt reads LUKS headers, version 1 and 2.
//
// It reads through an io.ReaderAt, never writes, and makes no decision on
// what to do with a device: it says what the header says, what is wrong with
// it, and why it must not be unlocked, if so. It derives no keys. Both
// versions give the same Header.
//
// Sources: the LUKS On-Disk Format Specification 1.2.3 and the LUKS2 On-Disk
// Format Specification 1.1.3.
package luksfmt

import (
	"errors"
	"io"
	"slices"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/jsontree"
)

// Errors that callers tell apart.
var (
	// ErrNoLUKS is returned where there is no LUKS header at all.
	ErrNoLUKS = errors.New("no LUKS header")
	// ErrVersion is wrapped by the error for a version that is neither 1 nor 2.
	ErrVersion = errors.New("unknown LUKS version")
	// ErrCorrupt is wrapped by the error for a header that contradicts itself.
	ErrCorrupt = errors.New("corrupt LUKS header")
	// ErrRefused is wrapped by the error for a sound header that asks for what
	// is not done here (re-encryption under way, unknown requirements …).
	ErrRefused = errors.New("LUKS device is not supported")
)

// SectorSize is the unit of device-mapper tables and LUKS1 headers, in bytes.
const SectorSize = 512

// Dynamic is the Size of a segment that reaches to the end of the device.
const Dynamic = 0

// Priority says in which order keyslots are tried.
type Priority uint8

// The priorities of LUKS2. A slot with Ignore is tried only when it is asked
// for by its number.
const (
	Ignore Priority = iota
	Normal
	Prefer
)

// Header is a LUKS header.
type Header struct {
	Version   int // 1 or 2
	UUID      string
	Label     string // LUKS2
	Subsystem string // LUKS2

	Size  int64  // of one copy of the LUKS2 header, in bytes
	SeqID uint64 // LUKS2: counts the changes
	Copy  Copy   // which copy this is
	// Problems are what is wrong with the other copy, and what was passed
	// over: to be shown, not to be stopped by.
	Problems []string

	Keyslots []Keyslot // sorted by ID
	Digests  []Digest  // sorted by ID
	Segments []Segment // sorted by ID
	Tokens   []Token   // sorted by ID

	Reencrypt *ReencryptSlot // the keyslot of a re-encryption that is under way, or nil

	Flags        []string // LUKS2 config flags: "allow-discards", "no-read-workqueue" …
	Requirements []string // LUKS2 mandatory requirements
}

// Copy names one of the two copies of a LUKS2 header.
type Copy uint8

// The copies. LUKS1 has only a primary one.
const (
	Primary Copy = iota
	Secondary
)

func (c Copy) String() string {
	if c == Secondary {
		return "secondary"
	}
	return "primary"
}

// KDF is how a keyslot's key is derived from the passphrase.
type KDF struct {
	Type       string // "pbkdf2", "argon2i" or "argon2id"
	Salt       []byte `inputs:"-"`
	Hash       string // pbkdf2
	Iterations int    // pbkdf2
	Time       int    // argon2: passes
	Memory     int    // argon2: KiB
	CPUs       int    // argon2: lanes
}

// Keyslot holds the volume key, encrypted with a key from a passphrase.
type Keyslot struct {
	ID       int
	Type     string // "luks2" (also for LUKS1); others are kept and never tried
	KeySize  int    // of the volume key, in bytes
	Priority Priority

	AFHash  string // anti-forensic splitter
	Stripes int

	Offset      int64  // of the encrypted material, in bytes from the header's start
	AreaSize    int64  // space for it, in bytes
	Encryption  string // "aes-xts-plain64"
	AreaKeySize int    // of the key that encrypts the area, in bytes
	KDF         KDF
}

// MaterialSize is the length of the encrypted material, in bytes.
func (k *Keyslot) MaterialSize() int64 { return int64(k.KeySize) * int64(k.Stripes) }

// Digest recognises the right volume key.
type Digest struct {
	ID         int
	Keyslots   []int
	Segments   []int
	Hash       string
	Iterations int
	Salt       []byte `inputs:"-"` // no record of a boot has it
	Digest     []byte `inputs:"-"`
}

// Segment is an area of the data device.
type Segment struct {
	ID         int
	Type       string // "crypt"; "linear" and others during re-encryption
	Offset     uint64 // in bytes
	Size       uint64 // in bytes, or Dynamic
	IVTweak    uint64 // in 512-byte sectors
	Encryption string // "aes-xts-plain64"
	SectorSize int    // in bytes
	Flags      []string
	// Integrity is the type of the integrity data ("hmac(sha256)", "aead",
	// "none"), or "". IntegrityKeySize is 0 where the header does not say.
	Integrity        string
	IntegrityKeySize int
}

// Token is a way to get a passphrase that somebody else implements
// ("systemd-tpm2", "systemd-fido2", "clevis" …).
type Token struct {
	ID       int
	Type     string
	Keyslots []int
	JSON     *jsontree.Value `inputs:"-"` // the whole token
}

// Read reads a header from r, which is the data device or a detached header.
// A LUKS2 header whose primary copy is damaged is read from the secondary
// one; both copies being sound, the newer one counts. Where only the secondary
// copy is there (Header.Copy), something else may have been put onto the
// device since: whoever calls must know that no other signature is on it.
// Errors wrap ErrNoLUKS,
// ErrVersion, ErrCorrupt or what r returned.
func Read(r io.ReaderAt) (*Header, error) {
	var b [luks2BinarySize]byte
	n, err := r.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		// The first sectors being unreadable, the second copy may do.
		h, err2 := readLUKS2(r, nil, fmt.Errorf("read: %w", err))
		if err2 != nil {
			return nil, fmt.Errorf("read LUKS header: %w", err)
		}
		return h, nil
	}
	head := b[:n]
	if len(head) >= 6 && string(head[:6]) == magicReencrypt {
		return nil, fmt.Errorf("%w: an offline re-encryption of LUKS1 is under way; finish it with cryptsetup", ErrRefused)
	}
	if len(head) >= 8 && string(head[:6]) == magicPrimary {
		switch v := int(head[6])<<8 | int(head[7]); v {
		case 1:
			return parseLUKS1(head)
		case 2:
			return readLUKS2(r, head, nil)
		default:
			return nil, fmt.Errorf("%w %d", ErrVersion, v)
		}
	}
	return readLUKS2(r, head, errNoMagic)
}

// Keyslot returns the keyslot with the number, or nil.
func (h *Header) Keyslot(id int) *Keyslot {
	for i := range h.Keyslots {
		if h.Keyslots[i].ID == id {
			return &h.Keyslots[i]
		}
	}
	return nil
}

// DataSegment returns the segment that is mapped when the device is unlocked,
// or the reason why there is none (ErrRefused).
func (h *Header) DataSegment() (*Segment, error) {
	if err := h.Refusal(); err != nil {
		return nil, err
	}
	return &h.Segments[0], nil
}

// VolumeDigest returns the digest of the key of DataSegment.
func (h *Header) VolumeDigest() (*Digest, error) {
	s, err := h.DataSegment()
	if err != nil {
		return nil, err
	}
	for i := range h.Digests {
		if slices.Contains(h.Digests[i].Segments, s.ID) {
			return &h.Digests[i], nil
		}
	}
	return nil, fmt.Errorf("%w: no digest is bound to segment %d", ErrCorrupt, s.ID)
}

// HasFlag says whether a config flag is set.
func (h *Header) HasFlag(flag string) bool { return slices.Contains(h.Flags, flag) }

// Refusal says why the device must not be mapped by Firstlight, or nil. The
// error wraps ErrRefused and names the requirement or the state.
func (h *Header) Refusal() error {
	refuse := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, a...))
	}
	var unknown []string
	for _, q := range h.Requirements {
		switch {
		case strings.HasPrefix(q, "online-reencrypt"), q == "offline-reencrypt":
			return refuse("re-encryption is under way (requirement %q); finish it with cryptsetup reencrypt", q)
		case q == "opal":
			return refuse("the drive encrypts by itself (requirement \"opal\")")
		case q == "inline-hw-tags":
			return refuse("integrity tags are kept in the drive's sectors (requirement %q)", q)
		default:
			unknown = append(unknown, q)
		}
	}
	if len(unknown) > 0 {
		return refuse("unknown requirement %q; a newer version is needed", strings.Join(unknown, `", "`))
	}
	var data []*Segment
	for i := range h.Segments {
		s := &h.Segments[i]
		if slices.ContainsFunc(s.Flags, func(f string) bool {
			return f == "in-reencryption" || strings.HasPrefix(f, "backup-")
		}) {
			return refuse("re-encryption is under way (segment %d is marked %q)", s.ID, strings.Join(s.Flags, " "))
		}
		data = append(data, s)
	}
	switch {
	case len(data) == 0:
		return refuse("the header has no segment")
	case len(data) > 1:
		return refuse("the header has %d segments, as it has during re-encryption", len(data))
	case strings.HasPrefix(data[0].Type, "hw-opal"):
		return refuse("the drive encrypts by itself (segment type %q)", data[0].Type)
	case data[0].Type != "crypt":
		return refuse("segment %d has the type %q", data[0].ID, data[0].Type)
	}
	for i := range h.Keyslots {
		if h.Keyslots[i].Type == "reencrypt" {
			return refuse("re-encryption is under way (keyslot %d)", h.Keyslots[i].ID)
		}
	}
	return nil
}

// TryOrder returns the keyslots that may hold the volume key in the order in
// which cryptsetup tries them: those with priority "prefer", then the normal
// ones, each by number. Slots of other keys and of unknown types are left out.
func (h *Header) TryOrder() []*Keyslot {
	d, err := h.VolumeDigest()
	if err != nil {
		return nil
	}
	return h.TryOrderOf(d)
}

// TryOrderOf is TryOrder for the key of a digest.
func (h *Header) TryOrderOf(d *Digest) []*Keyslot {
	var order []*Keyslot
	for _, p := range [...]Priority{Prefer, Normal} {
		for i := range h.Keyslots {
			k := &h.Keyslots[i]
			if k.Priority == p && k.Type == "luks2" && slices.Contains(d.Keyslots, k.ID) {
				order = append(order, k)
			}
		}
	}
	return order
}
