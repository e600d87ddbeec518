package luks

import (
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/integrityfmt"
	"firstlight/internal/luksfmt"
)

// IntegrityName is the name of the dm-integrity device below an authenticated
// volume, as cryptsetup has it.
func IntegrityName(name string) string { return name + "_dif" }

// IntegrityDMUUID is its UUID, as cryptsetup has it since version 2.7, which
// finds the device by it. Version 2.6 called it CRYPT-INTEGRITY-NAME_dif.
func IntegrityDMUUID(h *luksfmt.Header, name string) string {
	s := "CRYPT-SUBDEV-" + strings.ReplaceAll(h.UUID, "-", "") + "-" + IntegrityName(name)
	return s[:min(len(s), devmapper.MaxUUID)]
}

// IntegrityTable returns the table of the dm-integrity device below an
// authenticated volume. sb is what its device says, at the offset of the data
// segment.
func IntegrityTable(h *luksfmt.Header, sb *integrityfmt.Superblock, o MapOptions) ([]devmapper.Target, error) {
	fail := func(format string, a ...any) ([]devmapper.Target, error) {
		return nil, fmt.Errorf("map %s: dm-integrity: "+format, append([]any{h.UUID}, a...)...)
	}
	s, err := h.DataSegment()
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", h.UUID, err)
	}
	switch {
	case s.Size != luksfmt.Dynamic:
		return fail("a segment of a fixed size: %w", luksfmt.ErrRefused)
	case sb.Has(integrityfmt.JournalMAC), sb.Has(integrityfmt.Inline):
		return fail("flags %#x: %w", sb.Flags, luksfmt.ErrRefused)
	case sb.BlockSize != s.SectorSize:
		return fail("blocks of %d bytes below sectors of %d: %w", sb.BlockSize, s.SectorSize, luksfmt.ErrCorrupt)
	case s.Offset >= o.DeviceSize, sb.Sectors > (o.DeviceSize-s.Offset)/luksfmt.SectorSize:
		return fail("%d sectors on a device of %d bytes: %w", sb.Sectors, o.DeviceSize, luksfmt.ErrCorrupt)
	}
	i := devmapper.Integrity{Device: o.Device, Offset: s.Offset / luksfmt.SectorSize, TagSize: sb.TagSize, Mode: 'J'}
	if h.HasFlag("no-journal") {
		i.Mode = 'D'
	}
	if sb.BlockSize != luksfmt.SectorSize {
		i.Options = append(i.Options, "block_size:"+strconv.Itoa(sb.BlockSize))
	}
	t, err := i.Target(0, sb.Sectors)
	if err != nil {
		return fail("%w", err)
	}
	return []devmapper.Target{t}, nil
}

// AuthenticatedTable returns the table of the volume itself, over the
// dm-integrity device that o names.
func AuthenticatedTable(h *luksfmt.Header, sb *integrityfmt.Superblock, o MapOptions) ([]devmapper.Target, error) {
	s, err := h.DataSegment()
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", h.UUID, err)
	}
	cipher, err := authenticated(s.Encryption, s.Integrity)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", h.UUID, err)
	}
	c := crypt(h, s, o)
	c.Cipher, c.Offset, c.AllowDiscards = cipher, 0, false // dm-integrity takes no discards
	c.Integrity, c.IntegrityTag, c.IntegrityKeySize = "aead", sb.TagSize, s.IntegrityKeySize
	if s.Integrity == "none" {
		c.Integrity = "none"
	}
	t, err := c.Target(0, sb.Sectors)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", h.UUID, err)
	}
	return []devmapper.Target{t}, nil
}

// authenticated is a cipher in the spelling of the kernel's crypto API, which
// dm-crypt wants for authenticated encryption:
// "capi:authenc(hmac(sha256),xts(aes))-random".
func authenticated(spec, integrity string) (string, error) {
	if strings.HasPrefix(spec, "capi:") {
		return spec, nil
	}
	name, rest, _ := strings.Cut(spec, "-")
	mode, iv, both := strings.Cut(rest, "-")
	if !both {
		mode, iv = "", rest
	}
	inner := name
	if mode != "" {
		inner = mode + "(" + name + ")"
	}
	switch {
	case name == "" || iv == "":
		return "", fmt.Errorf("cipher %q: %w", spec, ErrUnsupported)
	case integrity == "aead" && mode == "ccm":
		return "capi:rfc4309(" + inner + ")-" + iv, nil
	case integrity == "aead", integrity == "none":
		return "capi:" + inner + "-" + iv, nil
	case integrity == "poly1305":
		return "capi:rfc7539(" + inner + ",poly1305)-" + iv, nil
	case strings.HasPrefix(integrity, "hmac("), strings.HasPrefix(integrity, "cmac("):
		return "capi:authenc(" + integrity + "," + inner + ")-" + iv, nil
	}
	return "", fmt.Errorf("integrity %q: %w", integrity, ErrUnsupported)
}
