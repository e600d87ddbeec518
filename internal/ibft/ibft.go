// Package ibft reads the iSCSI Boot Firmware Table, by which a firmware says how
// it reached the iSCSI disk that it booted from (IBM, "iSCSI Boot Firmware
// Table", 1.03; the ACPI table "iBFT"). It is pure: the table's bytes come in.
//
// Numbers are little-endian. Addresses are of 16 bytes, IPv4 ones mapped.
package ibft

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"firstlight/internal/acpitable"
	"firstlight/internal/fmt"
)

// Limits of a table, in bytes and in structures of each sort.
const (
	maxTable = 64 << 10
	maxEach  = 16
	maxText  = 512
)

// The sorts of structures, their version and what they are long.
const (
	idControl, idInitiator, idNIC, idTarget     = 1, 2, 3, 4
	lenControl, lenInitiator, lenNIC, lenTarget = 18, 74, 102, 54

	headerLen  = 48 // with the 12 bytes that ACPI does not have
	firstEntry = 8  // of the control structure: the initiator's offset
)

// The flags of structures.
const (
	flagValid = 1 << 0
	flagBoot  = 1 << 1
	flagRoute = 1 << 2 // of an interface: addresses beyond the link are reached by it
)

// originDHCP is the origin of an address that a DHCP server gave.
const originDHCP = 3

// Table is what the firmware says.
type Table struct {
	Initiator string // the initiator's name; "" if there is none
	NICs      []NIC
	Targets   []Target
	// Notes are what could not be used, each for a person.
	Notes acpitable.Notes
}

// NIC is an interface that the firmware used.
type NIC struct {
	Index byte
	Boot  bool // the firmware booted by it
	// DefaultRoute says that what is beyond the link is reached by it.
	DefaultRoute bool
	MAC          [6]byte
	VLAN         uint16 // 0: none
	// DHCP says that the address came from a server, which is DHCPServer if
	// that is valid.
	DHCP       bool
	DHCPServer netip.Addr
	Addr       netip.Prefix // not valid if there is none
	Gateway    netip.Addr   // not valid if there is none
	DNS        []netip.Addr
	HostName   string
	PCI        uint16 // bus in bits 15 to 8, device in 7 to 3, function in 2 to 0
}

// Target is a disk of an iSCSI server.
type Target struct {
	Index byte
	Boot  bool // the firmware booted from it
	Addr  netip.AddrPort
	// LUN has its first byte in the highest bits, as SCSI has it.
	LUN  uint64
	NIC  byte // index of the interface by which it is reached
	Name string
	// User and Secret are ours for CHAP, InUser and InSecret the target's for
	// us. Secrets are never to be shown.
	User, Secret, InUser, InSecret string
}

var errControl = errors.New("iBFT: no control structure")

// Parse reads a table. An error means that nothing of it can be used; a
// structure that cannot be used is left out, with a note.
func Parse(b []byte) (*Table, error) {
	b, err := acpitable.Body(b, "iBFT", headerLen+lenControl, maxTable, 1)
	if err != nil {
		return nil, err
	}
	control := structure(b, headerLen, idControl, lenControl)
	if control == nil {
		return nil, errControl
	}
	t := &Table{}
	for at := firstEntry; at+2 <= len(control); at += 2 {
		t.entry(b, int(binary.LittleEndian.Uint16(control[at:])))
	}
	return t, nil
}

// structure is the one at an offset, nil if it is not of the sort.
func structure(b []byte, at int, id byte, least int) []byte {
	if at < headerLen || at+6 > len(b) || b[at] != id || b[at+1] != 1 {
		return nil
	}
	n := int(binary.LittleEndian.Uint16(b[at+2:]))
	if n < least || at+n > len(b) {
		return nil
	}
	return b[at : at+n]
}

func (t *Table) note(format string, args ...any) { t.Notes.Add(maxEach, format, args...) }

// entry reads the structure at an offset, 0 for none.
func (t *Table) entry(b []byte, at int) {
	if at == 0 {
		return
	}
	if at >= len(b) {
		t.note("a structure at %d, behind the end", at)
		return
	}
	var s []byte
	switch id := b[at]; id {
	case idInitiator:
		s = structure(b, at, id, lenInitiator)
	case idNIC:
		s = structure(b, at, id, lenNIC)
	case idTarget:
		s = structure(b, at, id, lenTarget)
	default:
		return // of another sort, such as a vendor's
	}
	if s == nil {
		t.note("the structure at %d cannot be read", at)
		return
	}
	if s[5]&flagValid == 0 {
		return
	}
	var err error
	switch s[0] {
	case idInitiator:
		t.Initiator, err = text(b, s[70:])
	case idNIC:
		err = t.nic(b, s)
	case idTarget:
		err = t.target(b, s)
	}
	if err != nil {
		t.note("%s %d: %v", [...]string{"", "", "initiator", "interface", "target"}[s[0]], s[4], err)
	}
}

func (t *Table) nic(b, s []byte) (err error) {
	if len(t.NICs) == maxEach {
		return errors.New("there are too many")
	}
	n := NIC{
		Index: s[4], Boot: s[5]&flagBoot != 0, DefaultRoute: s[5]&flagRoute != 0,
		MAC: [6]byte(s[90:]), VLAN: binary.LittleEndian.Uint16(s[88:]) & 0xfff,
		DHCP: s[23] == originDHCP, Gateway: acpitable.Addr(s[24:]), DHCPServer: acpitable.Addr(s[72:]),
		PCI: binary.LittleEndian.Uint16(s[96:]),
	}
	if n.MAC == [6]byte{} {
		return errors.New("no hardware address")
	}
	if a := acpitable.Addr(s[6:]); a.IsValid() {
		if n.Addr = netip.PrefixFrom(a, int(s[22])); !n.Addr.IsValid() || s[22] == 0 {
			return fmt.Errorf("%s has no network of %d bits", a, s[22])
		}
	}
	for _, at := range [...]int{40, 56} {
		if a := acpitable.Addr(s[at:]); a.IsValid() {
			n.DNS = append(n.DNS, a)
		}
	}
	if n.HostName, err = text(b, s[98:]); err != nil {
		return err
	}
	t.NICs = append(t.NICs, n)
	return nil
}

func (t *Table) target(b, s []byte) (err error) {
	if len(t.Targets) == maxEach {
		return errors.New("there are too many")
	}
	x := Target{
		Index: s[4], Boot: s[5]&flagBoot != 0, NIC: s[33], LUN: binary.BigEndian.Uint64(s[24:]),
		Addr: netip.AddrPortFrom(acpitable.Addr(s[6:]), binary.LittleEndian.Uint16(s[22:])),
	}
	if !x.Addr.IsValid() || x.Addr.Port() == 0 {
		return errors.New("no address or no port")
	}
	for _, f := range []struct {
		dst *string
		at  int
	}{{&x.Name, 34}, {&x.User, 38}, {&x.Secret, 42}, {&x.InUser, 46}, {&x.InSecret, 50}} {
		if *f.dst, err = text(b, s[f.at:]); err != nil {
			return err
		}
	}
	if x.Name == "" {
		return errors.New("no name")
	}
	t.Targets = append(t.Targets, x)
	return nil
}

var errText = errors.New("a text behind the end of the table, or too long")

// text reads a text that a length and an offset from the beginning of the table
// describe.
func text(b, ref []byte) (string, error) {
	n, at := int(binary.LittleEndian.Uint16(ref)), int(binary.LittleEndian.Uint16(ref[2:]))
	if n == 0 {
		return "", nil
	}
	if at < headerLen || at+n > len(b) || n > maxText {
		return "", errText
	}
	return acpitable.Text(b[at:at+n], maxText)
}
