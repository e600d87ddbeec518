// Package acpitable reads what firmware's tables for booting from the network
// (iBFT, NBFT) have in common: the ACPI header (ACPI 6.5, 5.2.6) with its
// checksum, addresses and texts. It is pure; each table's own package knows what
// is in it.
package acpitable

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unicode/utf8"

	"firstlight/internal/fmt"
)

// Offsets and size of the header, in bytes. Numbers are little-endian.
const (
	lengthAt   = 4
	revisionAt = 8
	Header     = 36
)

// ErrText says that a text is too long or has what cannot be seen.
var ErrText = errors.New("a text is too long, or has what cannot be seen")

// Body checks a table and returns it without what stands behind it: its
// signature, its length (least to most bytes), its revision and its checksum.
func Body(b []byte, signature string, least, most int, revision byte) ([]byte, error) {
	least = max(least, Header)
	switch {
	case len(b) < least:
		return nil, fmt.Errorf("%s is too short", signature)
	case string(b[:4]) != signature:
		return nil, fmt.Errorf("not an %s", signature)
	}
	n := int64(binary.LittleEndian.Uint32(b[lengthAt:]))
	if n < int64(least) || n > int64(len(b)) || n > int64(most) {
		return nil, fmt.Errorf("%s: its length is not that of the table", signature)
	}
	b = b[:n:n]
	if b[revisionAt] != revision {
		return nil, fmt.Errorf("%s: an unknown revision", signature)
	}
	var sum byte
	for _, c := range b {
		sum += c
	}
	if sum != 0 {
		return nil, fmt.Errorf("%s: the checksum is wrong", signature)
	}
	return b, nil
}

// Addr reads an address of 16 bytes, IPv4 ones mapped; the zero Addr for none
// that a host could have.
func Addr(b []byte) netip.Addr {
	a := netip.AddrFrom16([16]byte(b[:16])).Unmap()
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Addr{}
	}
	return a
}

// Text reads a text of UTF-8 that can be seen, on one line, of at most so many
// bytes. Some firmwares count the NUL behind it.
func Text(v []byte, most int) (string, error) {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	if len(v) > most || !utf8.Valid(v) {
		return "", ErrText
	}
	for _, r := range string(v) {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return "", ErrText
		}
	}
	return string(v), nil
}

// Notes are what of a table could not be used, each for a person.
type Notes []string

// Add adds one, as long as there is room for most.
func (n *Notes) Add(most int, format string, args ...any) {
	if len(*n) < most {
		*n = append(*n, fmt.Sprintf(format, args...))
	}
}
