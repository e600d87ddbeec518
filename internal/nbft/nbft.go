// Package nbft reads the NVMe Boot Firmware Table, by which a firmware says how
// it reached the NVMe namespaces that it may have booted from (NVM Express Boot
// Specification 1.0, section 1.5; the ACPI table "NBFT"). It is pure: the
// table's bytes come in.
//
// Numbers are little-endian. Addresses are of 16 bytes, IPv4 ones mapped.
package nbft

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"firstlight/internal/acpitable"
	"firstlight/internal/fmt"
)

// Limits of a table, in bytes and in descriptors of each sort.
const (
	maxTable = 1 << 20
	maxEach  = 32
	maxText  = 1024
	maxNQN   = 223
)

// The ids of descriptors, and how long they are at least.
const (
	idControl, idHost, idHFI, idSSNS, idDiscovery, idTransport, idExtended = 1, 2, 3, 4, 6, 7, 9

	lenHeader, lenControl, lenHost, lenHFI, lenSSNS, lenDiscovery, lenTransport, lenExtended = 64, 64, 32, 32, 128, 32, 128, 18
)

const (
	flagValid    = 1 << 0
	transportTCP = 3
	originDHCP   = 3
	originRouter = 4
)

// Table is what the firmware says.
type Table struct {
	Host        Host
	HFIs        []HFI
	Namespaces  []Namespace
	Discoveries []Discovery
	// Notes are what could not be used, each for a person.
	Notes acpitable.Notes
}

// Host is how the firmware named the machine.
type Host struct {
	ID  [16]byte // UUID; all zero if there is none
	NQN string   // "" if there is none
	// ConfiguredID and ConfiguredNQN say that a person set them.
	ConfiguredID, ConfiguredNQN bool
	// Primary says that this table goes before others of the machine.
	Primary bool
}

// HFI is an interface that the firmware used.
type HFI struct {
	Index byte
	MAC   [6]byte
	VLAN  uint16 // 0: none
	// DHCP and Router say where the address came from: a DHCP server, which is
	// DHCPServer if that is valid, or a router's advertisement.
	DHCP, Router bool
	DHCPServer   netip.Addr
	Addr         netip.Prefix // not valid if there is none
	Gateway      netip.Addr   // not valid if there is none
	Metric       uint16       // of the routes, 0: nothing is said
	DNS          []netip.Addr
	HostName     string
	DefaultRoute bool
	PCI          uint32 // segment in bits 31 to 16, bus, device, function
}

// Namespace is a namespace of a subsystem, and a way to it.
type Namespace struct {
	Index uint16
	// Bootable is false for one that is not to be booted from.
	Bootable bool
	// Unavailable says that the firmware could not reach it.
	Unavailable bool
	// Discovered says that it comes from the discovery controller, not from a
	// person.
	Discovered bool
	Addr       netip.AddrPort
	NQN        string // the subsystem's
	PortID     uint16
	NSID       uint32 // 0: any
	// IDType is 1 for an EUI-64, 2 for an NGUID, 3 for a UUID in ID; 0 for none.
	IDType byte
	ID     [16]byte
	// HFIs are the indices of the interfaces by which it is reached, the
	// preferred one first.
	HFIs []byte
	// Discovery is the index of its discovery controller, 0 for none.
	Discovery byte
	// HeaderDigest and DataDigest are wanted for the connection.
	HeaderDigest, DataDigest bool
	// Secure says that the table asks for security, which it does not describe
	// in revision 1.0.
	Secure   bool
	RootPath string // of the lease that named it, "" for none
}

// Discovery is a discovery controller.
type Discovery struct {
	Index byte
	HFI   byte   // index of the interface, 0 for any
	URI   string // "nvme+tcp://192.0.2.1:8009/"
	NQN   string // "" for the well-known one
}

var (
	errHeap    = errors.New("NBFT: the heap goes beyond the table")
	errControl = errors.New("NBFT: no control descriptor")
)

// reader is a table that is read.
type reader struct {
	t          *Table
	b          []byte
	heap, stop int // where the heap begins and ends
}

// Parse reads a table. An error means that nothing of it can be used; a
// descriptor that cannot be used is left out, with a note.
func Parse(b []byte) (*Table, error) {
	b, err := acpitable.Body(b, "NBFT", lenHeader+lenControl, maxTable, 1)
	if err != nil {
		return nil, err
	}
	at, size := int64(binary.LittleEndian.Uint32(b[36:])), int64(binary.LittleEndian.Uint32(b[40:]))
	if n := int64(len(b)); at > n || size > n-at {
		return nil, errHeap
	}
	r := &reader{t: &Table{}, b: b, heap: int(at), stop: int(at + size)}
	control := b[lenHeader:]
	if control[0] != idControl || control[1] != 1 || binary.LittleEndian.Uint16(control[4:]) < lenControl {
		return nil, errControl
	}
	if control[6]&flagValid == 0 {
		return r.t, nil // a firmware that has booted from something else
	}
	r.host(control[8:])
	r.list(control[16:], "interface", idHFI, lenHFI, r.hfi)
	r.list(control[40:], "discovery controller", idDiscovery, lenDiscovery, r.discovery)
	r.list(control[24:], "namespace", idSSNS, lenSSNS, r.namespace)
	return r.t, nil
}

func (r *reader) note(format string, args ...any) { r.t.Notes.Add(maxEach, format, args...) }

// list reads the descriptors that an offset, a length, a version and a number
// describe.
func (r *reader) list(ref []byte, what string, id byte, least int, read func([]byte) error) {
	at, size, count := int64(binary.LittleEndian.Uint32(ref)), int64(binary.LittleEndian.Uint16(ref[4:])), int64(ref[7])
	if count == 0 {
		return
	}
	if ref[6] != 1 || size < int64(least) || at < lenHeader+lenControl || at+size*count > int64(len(r.b)) {
		r.note("the list of each %s cannot be read", what)
		return
	}
	if count > maxEach {
		r.note("more than %d descriptors of a %s", maxEach, what)
		count = maxEach
	}
	for i := range count {
		d := r.b[at+i*size:][:size]
		if d[0] != id {
			r.note("%s %d: not a descriptor of one", what, i+1)
		} else if err := read(d); err != nil {
			r.note("%s %d: %v", what, i+1, err)
		}
	}
}

var (
	errObject = errors.New("it refers to what is not in the heap")
	errNQN    = errors.New("its name is not an NQN")
	errTCP    = errors.New("it is not of NVMe over TCP")
)

// object is what a reference of six bytes means; nil for nothing.
func (r *reader) object(ref []byte) ([]byte, error) {
	at, n := int64(binary.LittleEndian.Uint32(ref)), int64(binary.LittleEndian.Uint16(ref[4:]))
	if n == 0 {
		return nil, nil
	}
	if at < int64(r.heap) || at+n > int64(r.stop) {
		return nil, errObject
	}
	return r.b[at : at+n], nil
}

// text is an object that is a text, with or without a NUL at its end.
func (r *reader) text(ref []byte) (string, error) {
	v, err := r.object(ref)
	if err != nil {
		return "", err
	}
	return acpitable.Text(v, maxText)
}

// nqn is a text that is a qualified name.
func (r *reader) nqn(ref []byte) (string, error) {
	s, err := r.text(ref)
	if err != nil || s == "" {
		return "", err
	}
	if len(s) > maxNQN || len(s) < 5 || s[:4] != "nqn." {
		return "", errNQN
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == ',' || s[i] == '"' || s[i] >= 0x7f {
			return "", errNQN // ',' and '"' separate what the kernel is told
		}
	}
	return s, nil
}

func (r *reader) host(ref []byte) {
	d, err := r.object(ref)
	if err == nil && len(d) < lenHost || err == nil && d[0] != idHost {
		err = errors.New("there is none")
	}
	if err != nil {
		r.note("the host: %v", err)
		return
	}
	if d[1]&flagValid == 0 {
		return
	}
	h := Host{ID: [16]byte(d[2:]), ConfiguredID: d[1]&2 != 0, ConfiguredNQN: d[1]&4 != 0, Primary: d[1]&0x18 == 0x10}
	if h.NQN, err = r.nqn(d[18:]); err != nil {
		r.note("the host: %v", err)
	}
	r.t.Host = h
}

func (r *reader) hfi(d []byte) error {
	if d[2]&flagValid == 0 {
		return nil
	}
	if d[3] != transportTCP {
		return errTCP
	}
	x, err := r.object(d[16:])
	if err != nil {
		return err
	}
	if len(x) < lenTransport || x[0] != idTransport || x[1] != 1 || x[2] != transportTCP {
		return errors.New("no description of its transport")
	}
	if x[6]&flagValid == 0 {
		return nil
	}
	h := HFI{
		Index: d[1], DefaultRoute: x[6]&2 != 0,
		PCI: binary.LittleEndian.Uint32(x[7:]), MAC: [6]byte(x[11:]), VLAN: binary.LittleEndian.Uint16(x[17:]) & 0xfff,
		DHCP: x[19] == originDHCP, Router: x[19] == originRouter,
		Gateway: acpitable.Addr(x[37:]), Metric: binary.LittleEndian.Uint16(x[54:]),
	}
	if h.MAC == [6]byte{} {
		return errors.New("no hardware address")
	}
	if a := acpitable.Addr(x[20:]); a.IsValid() {
		if h.Addr = netip.PrefixFrom(a, int(x[36])); !h.Addr.IsValid() || x[36] == 0 {
			return fmt.Errorf("%s has no network of %d bits", a, x[36])
		}
	}
	for _, at := range [...]int{56, 72} {
		if a := acpitable.Addr(x[at:]); a.IsValid() {
			h.DNS = append(h.DNS, a)
		}
	}
	if x[6]&4 != 0 {
		h.DHCPServer = acpitable.Addr(x[88:])
	}
	if h.HostName, err = r.text(x[104:]); err != nil {
		return err
	}
	r.t.HFIs = append(r.t.HFIs, h)
	return nil
}

func (r *reader) discovery(d []byte) (err error) {
	if d[1]&flagValid == 0 {
		return nil
	}
	x := Discovery{Index: d[2], HFI: d[3]}
	if x.URI, err = r.text(d[6:]); err != nil {
		return err
	}
	if x.NQN, err = r.nqn(d[12:]); err != nil {
		return err
	}
	if x.URI == "" {
		return errors.New("no address")
	}
	r.t.Discoveries = append(r.t.Discoveries, x)
	return nil
}

func (r *reader) namespace(d []byte) (err error) {
	flags := binary.LittleEndian.Uint16(d[3:])
	if flags&flagValid == 0 {
		return nil
	}
	if d[5] != transportTCP {
		return errTCP
	}
	n := Namespace{
		Index: binary.LittleEndian.Uint16(d[1:]), Bootable: flags&2 == 0, Secure: flags&4 != 0,
		Discovered: flags&0x40 != 0, Unavailable: flags&0x180 == 0x100, Discovery: d[8],
		PortID: binary.LittleEndian.Uint16(d[22:]), NSID: binary.LittleEndian.Uint32(d[24:]),
		IDType: d[28], ID: [16]byte(d[29:]),
	}
	if t := binary.LittleEndian.Uint16(d[6:]); t&flagValid != 0 {
		n.HeaderDigest, n.DataDigest = t&2 != 0, t&4 != 0
	}
	a, err := r.object(d[10:])
	if err != nil {
		return err
	}
	port, err := r.text(d[16:])
	if err != nil {
		return err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if len(a) < 16 || err != nil || p == 0 || !acpitable.Addr(a).IsValid() {
		return errors.New("no address or no port")
	}
	n.Addr = netip.AddrPortFrom(acpitable.Addr(a), uint16(p))
	if n.NQN, err = r.nqn(d[54:]); err != nil {
		return err
	}
	if n.NQN == "" {
		return errors.New("no name of its subsystem")
	}
	more, err := r.object(d[48:])
	if err != nil {
		return err
	}
	n.HFIs = r.hfis(append([]byte{d[46]}, more...))
	if flags&0x10 != 0 {
		n.RootPath = r.extended(d[60:], n.Index)
	}
	r.t.Namespaces = append(r.t.Namespaces, n)
	return nil
}

// hfis keeps the indices of interfaces that are there, each once.
func (r *reader) hfis(list []byte) []byte {
	var out []byte
	seen := [256]bool{}
	for _, i := range list {
		for _, h := range r.t.HFIs {
			if h.Index == i && !seen[i] {
				out = append(out, i)
				seen[i] = true
			}
		}
	}
	return out
}

// extended is the path of the root that stands in a descriptor of its own; ""
// if there is none.
func (r *reader) extended(ref []byte, index uint16) string {
	x, err := r.object(ref)
	if err != nil || len(x) < lenExtended || x[0] != idExtended || x[1] != 1 ||
		binary.LittleEndian.Uint16(x[2:]) != index || x[4]&flagValid == 0 {
		return ""
	}
	s, err := r.text(x[12:])
	if err != nil {
		r.note("namespace %d: the path of its root: %v", index, err)
	}
	return s
}
