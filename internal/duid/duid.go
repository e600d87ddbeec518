// Package duid makes the names by which DHCP servers know a machine: the DUIDs
// of RFC 8415, section 11, and the client identifier that RFC 4361 makes of
// them for IPv4. A machine that has the same name in the initramfs and in its
// system gets the same address in both. It is pure.
package duid

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// The types of DUIDs.
const (
	typeLLT  = 1 // hardware address and time
	typeEN   = 2 // enterprise number
	typeLL   = 3 // hardware address
	typeUUID = 4 // RFC 6355
)

// SystemdEnterprise is the enterprise number of systemd, whose networkd makes a
// DUID-EN with it of the machine's id.
const SystemdEnterprise = 43793

// maxLen bounds a DUID, in bytes, with its type.
const maxLen = 130

// LL is the DUID of a hardware address. hw is ARP's hardware type, 1 for
// Ethernet.
func LL(hw uint16, addr []byte) []byte {
	return append(head(typeLL, uint64(hw), 2), addr...)
}

// LLT is the DUID of a hardware address and the time of its making, in seconds
// since 2000-01-01 UTC.
func LLT(hw uint16, seconds uint32, addr []byte) []byte {
	b := binary.BigEndian.AppendUint32(head(typeLLT, uint64(hw), 2), seconds)
	return append(b, addr...)
}

// EN is the DUID that an enterprise gives.
func EN(enterprise uint32, id []byte) []byte {
	return append(head(typeEN, uint64(enterprise), 4), id...)
}

// UUID is the DUID of a machine's UUID.
func UUID(uuid [16]byte) []byte { return append(head(typeUUID, 0, 0), uuid[:]...) }

// head is the type and a number of size bytes.
func head(t uint16, n uint64, size int) []byte {
	b := binary.BigEndian.AppendUint16(nil, t)
	return append(b, binary.BigEndian.AppendUint64(nil, n)[8-size:]...)
}

// Valid says whether the bytes can be a DUID. Whose they are is not to be read
// out of them.
func Valid(b []byte) bool { return len(b) > 2 && len(b) <= maxLen }

// ClientID4 is the client identifier, option 61 of DHCP for IPv4, that RFC 4361
// makes of a DUID and the number of an interface.
func ClientID4(iaid uint32, duid []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{255}, iaid), duid...)
}

// IAID is a number for an interface, of its hardware address: the last four
// bytes.
func IAID(addr []byte) uint32 {
	var b [4]byte
	if n := len(addr); n > 4 {
		addr = addr[n-4:]
	}
	copy(b[4-len(addr):], addr)
	return binary.BigEndian.Uint32(b[:])
}

var errText = errors.New("not a DUID: bytes in hexadecimal, separated by ':' or not")

// Parse reads a DUID as people write it: "00:01:00:01:…" or without colons.
func Parse(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || !Valid(b) {
		return nil, errText
	}
	return b, nil
}

// String is the DUID in hexadecimal, with colons.
func String(b []byte) string {
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
	}
	return string(out)
}
