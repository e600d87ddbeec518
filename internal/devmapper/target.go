package devmapper

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// KeyRef is the key of a crypt target: either a key in the kernel's keyring
// (Description is not empty) or the key itself.
type KeyRef struct {
	Size        int    // in bytes; 0 only for cipher_null
	Type        string // "logon" (the default), "user", "encrypted" or "trusted"
	Description string // in the keyring: "cryptsetup:<uuid>-d0"
	Bytes       []byte // the key, if it is not in the keyring: becomes hex in the table
}

// Crypt are the parameters of the crypt target (the kernel's
// Documentation/admin-guide/device-mapper/dm-crypt.rst).
type Crypt struct {
	Cipher   string // "aes-xts-plain64", "capi:xts(aes)-plain64"
	Key      KeyRef
	IVOffset uint64 // added to the sector number, in 512-byte sectors
	Device   string // "major:minor" or a path
	Offset   uint64 // where the data starts on the device, in 512-byte sectors

	AllowDiscards       bool
	SameCPUCrypt        bool
	SubmitFromCryptCPUs bool
	HighPriority        bool
	NoReadWorkqueue     bool
	NoWriteWorkqueue    bool
	IVLargeSectors      bool
	SectorSize          int    // bytes: 512 (0 means 512), 1024, 2048 or 4096
	IntegrityTag        int    // bytes of tag for each sector; 0: none
	Integrity           string // "aead", "none", "hmac(sha256)" …
	IntegrityKeySize    int    // bytes; 0: not given
}

// Target returns the table line for length sectors from start.
func (c Crypt) Target(start, length uint64) (Target, error) {
	fail := func(format string, a ...any) (Target, error) {
		return Target{}, fmt.Errorf("crypt target: "+format, a...)
	}
	if !word(c.Cipher) {
		return fail("bad cipher %q", c.Cipher)
	}
	if err := span(start, length, c.Device); err != nil {
		return fail("%w", err)
	}
	sector := c.SectorSize
	if sector == 0 {
		sector = 512
	}
	if sector != 512 && sector != 1024 && sector != 2048 && sector != 4096 {
		return fail("sector size %d is not 512, 1024, 2048 or 4096", c.SectorSize)
	}
	if per := uint64(sector / 512); length%per != 0 || start%per != 0 {
		return fail("%d sectors from %d are not a multiple of the sector size %d", length, start, sector)
	}
	p := make([]byte, 0, 256+2*len(c.Key.Bytes))
	p = append(p, c.Cipher...)
	p = append(p, ' ')
	p, err := c.Key.append(p, c.Cipher)
	if err != nil {
		clear(p)
		return fail("%w", err)
	}
	p = append(p, ' ')
	p = strconv.AppendUint(p, c.IVOffset, 10)
	p = append(p, ' ')
	p = append(p, c.Device...)
	p = append(p, ' ')
	p = strconv.AppendUint(p, c.Offset, 10)
	opts, err := c.options(sector)
	if err != nil {
		clear(p)
		return fail("%w", err)
	}
	if len(opts) > 0 {
		// The buffer was made large enough: appending a key's neighbours
		// must not leave a copy of the key behind.
		add := " " + strconv.Itoa(len(opts)) + " " + strings.Join(opts, " ")
		old := p
		if p = append(p, add...); &p[0] != &old[0] {
			clear(old)
		}
	}
	return Target{Start: start, Length: length, Type: "crypt", Params: p, Secret: len(c.Key.Bytes) > 0}, nil
}

func (c Crypt) options(sector int) ([]string, error) {
	var o []string
	for _, f := range [...]struct {
		on   bool
		name string
	}{
		{c.AllowDiscards, "allow_discards"},
		{c.SameCPUCrypt, "same_cpu_crypt"},
		{c.SubmitFromCryptCPUs, "submit_from_crypt_cpus"},
		{c.HighPriority, "high_priority"},
		{c.NoReadWorkqueue, "no_read_workqueue"},
		{c.NoWriteWorkqueue, "no_write_workqueue"},
		{c.IVLargeSectors, "iv_large_sectors"},
	} {
		if f.on {
			o = append(o, f.name)
		}
	}
	if c.Integrity != "" {
		if !word(c.Integrity) || c.IntegrityTag <= 0 {
			return nil, fmt.Errorf("integrity %q with a tag of %d bytes", c.Integrity, c.IntegrityTag)
		}
		o = append(o, "integrity:"+strconv.Itoa(c.IntegrityTag)+":"+c.Integrity)
		if c.IntegrityKeySize > 0 {
			o = append(o, "integrity_key_size:"+strconv.Itoa(c.IntegrityKeySize))
		}
	}
	if sector != 512 {
		o = append(o, "sector_size:"+strconv.Itoa(sector))
	}
	return o, nil
}

// append writes the key field.
func (k KeyRef) append(p []byte, cipher string) ([]byte, error) {
	if strings.HasPrefix(cipher, "cipher_null") { // takes no key, whatever the header has
		return append(p, '-'), nil
	}
	if k.Description != "" {
		typ := k.Type
		if typ == "" {
			typ = "logon"
		}
		switch typ {
		case "logon", "user", "encrypted", "trusted":
		default:
			return p, fmt.Errorf("key type %q is not logon, user, encrypted or trusted", typ)
		}
		if k.Size <= 0 || k.Size > 4096 || len(k.Bytes) > 0 {
			return p, fmt.Errorf("key %q has no size of 1 to 4096 bytes, or is given twice", k.Description)
		}
		if !word(k.Description) {
			return p, fmt.Errorf("key description %q holds white space", k.Description)
		}
		p = append(p, ':')
		p = strconv.AppendInt(p, int64(k.Size), 10)
		return append(p, ":"+typ+":"+k.Description...), nil
	}
	if len(k.Bytes) == 0 {
		return p, fmt.Errorf("no key for cipher %q", cipher)
	}
	if k.Size != 0 && k.Size != len(k.Bytes) {
		return p, fmt.Errorf("key has %d bytes, %d were announced", len(k.Bytes), k.Size)
	}
	return hex.AppendEncode(p, k.Bytes), nil
}

// hideKey replaces the key field of a crypt target's parameters.
func hideKey(typ, p string) string {
	f := strings.SplitN(p, " ", 3)
	if typ != "crypt" || len(f) != 3 {
		return "(hidden)"
	}
	return f[0] + " (hidden) " + f[2]
}

// Linear is the linear target: length sectors are found on device from
// offset (512-byte sectors).
func Linear(start, length uint64, device string, offset uint64) (Target, error) {
	if err := span(start, length, device); err != nil {
		return Target{}, fmt.Errorf("linear target: %w", err)
	}
	return Target{Start: start, Length: length, Type: "linear",
		Params: []byte(device + " " + strconv.FormatUint(offset, 10))}, nil
}

// Stripe is one device of a striped target.
type Stripe struct {
	Device string // "major:minor" or a path
	Offset uint64 // in 512-byte sectors
}

// Striped is the striped target. chunk is in 512-byte sectors; length must be
// a multiple of the number of stripes and of the chunk, as the kernel asks.
func Striped(start, length, chunk uint64, stripes []Stripe) (Target, error) {
	if len(stripes) == 0 || len(stripes) > 4096 {
		return Target{}, fmt.Errorf("striped target: %d stripes", len(stripes))
	}
	if chunk == 0 || chunk > 1<<31 {
		return Target{}, fmt.Errorf("striped target: chunk of %d sectors", chunk)
	}
	n := uint64(len(stripes))
	if length%n != 0 || length/n%chunk != 0 {
		return Target{}, fmt.Errorf("striped target: %d sectors are not a multiple of %d chunks of %d", length, n, chunk)
	}
	p := strconv.AppendUint(nil, n, 10)
	p = append(p, ' ')
	p = strconv.AppendUint(p, chunk, 10)
	for _, s := range stripes {
		if err := span(start, length, s.Device); err != nil {
			return Target{}, fmt.Errorf("striped target: %w", err)
		}
		p = append(p, " "+s.Device+" "...)
		p = strconv.AppendUint(p, s.Offset, 10)
	}
	return Target{Start: start, Length: length, Type: "striped", Params: p}, nil
}

// Simple returns a target without a device of its own: "zero" or "error".
func Simple(start, length uint64, typ string) (Target, error) {
	if length == 0 || start+length < start || !slices.Contains([]string{"zero", "error"}, typ) {
		return Target{}, fmt.Errorf("target %q of %d sectors from %d", typ, length, start)
	}
	return Target{Start: start, Length: length, Type: typ}, nil
}

// span checks what every target has.
func span(start, length uint64, device string) error {
	if length == 0 || start+length < start || start+length > 1<<55 {
		return fmt.Errorf("bad span of %d sectors from %d", length, start)
	}
	if !word(device) {
		return fmt.Errorf("bad device %q", device)
	}
	return nil
}

// word says whether s can be one word of a table line. The kernel splits at
// white space and takes a backslash as an escape.
func word(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// CheckTable says whether the targets follow one another without gap from
// sector 0, as the kernel demands.
func CheckTable(table []Target) error {
	if len(table) == 0 {
		return fmt.Errorf("table is empty")
	}
	next := uint64(0)
	for i, t := range table {
		if t.Start != next {
			return fmt.Errorf("table line %d starts at %d, not at %d", i+1, t.Start, next)
		}
		if t.Length == 0 || t.Start+t.Length < t.Start {
			return fmt.Errorf("table line %d has a length of %d", i+1, t.Length)
		}
		if t.Type == "" || len(t.Type) > MaxType || !word(t.Type) {
			return fmt.Errorf("table line %d has the target %q", i+1, t.Type)
		}
		if slices.Contains(t.Params, 0) {
			return fmt.Errorf("table line %d holds a zero byte", i+1)
		}
		next = t.Start + t.Length
	}
	return nil
}
