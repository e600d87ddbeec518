package ibft

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	mathbits "math/bits"
	"net/netip"
	"strconv"
	"strings"

	"firstlight/internal/acpitable"
	"firstlight/internal/fmt"
)

// Dir is the directory in which the kernel's iscsi_ibft shows a table that it
// found, in the form of sysfs-ibft (Documentation/ABI/testing/sysfs-ibft).
type Dir interface {
	// List is what is in a directory below it, "" for itself; Read a file's text
	// without the newline.
	List(path string) ([]string, error)
	Read(path string) (string, error)
}

// FromDir reads the table as the kernel shows it: a firmware may have left it in
// memory and not with ACPI's tables. It is nil if there is none.
func FromDir(d Dir) *Table {
	names, err := d.List("")
	if err != nil || len(names) == 0 {
		return nil
	}
	t := &Table{}
	for _, name := range names {
		e := entry{d: d, dir: name}
		switch {
		case name == "initiator":
			t.Initiator = e.text("initiator-name")
		case strings.HasPrefix(name, "ethernet"):
			t.shownNIC(&e)
		case strings.HasPrefix(name, "target"):
			t.shownTarget(&e)
		}
		if e.err != nil {
			t.note("%s: %v", name, e.err)
		}
	}
	return t
}

// entry is one directory, and what was wrong with the first of its files that
// was wrong.
type entry struct {
	d   Dir
	dir string
	err error
}

func (e *entry) text(name string) string {
	s, err := e.d.Read(e.dir + "/" + name)
	if err != nil {
		return "" // what the table does not have is no file
	}
	if s, err = acpitable.Text([]byte(strings.TrimSuffix(s, "\n")), maxText); err != nil {
		e.wrong(name, err)
	}
	return s
}

func (e *entry) wrong(name string, err error) {
	if e.err == nil {
		e.err = fmt.Errorf("%s: %w", name, err)
	}
}

var errNumber = errors.New("not a number")

// number reads a decimal number of so many bits.
func (e *entry) number(name string, bits int) uint64 {
	s := e.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		e.wrong(name, errNumber)
	}
	return n
}

func (e *entry) addr(name string) netip.Addr {
	a, err := netip.ParseAddr(e.text(name))
	if err != nil {
		return netip.Addr{}
	}
	b := a.As16()
	return acpitable.Addr(b[:])
}

// bits is the length of the network, which older kernels write as a netmask.
func (e *entry) bits() int {
	if n := int(e.number("prefix-len", 8)); n > 0 {
		return n
	}
	m, err := netip.ParseAddr(e.text("subnet-mask"))
	if err != nil || !m.Is4() {
		return 0
	}
	b := m.As4()
	v := binary.BigEndian.Uint32(b[:])
	ones := mathbits.LeadingZeros32(^v)
	if v<<ones != 0 {
		return 0
	}
	return ones
}

func (t *Table) shownNIC(e *entry) {
	flags := e.number("flags", 8)
	if flags&flagValid == 0 || len(t.NICs) == maxEach {
		return
	}
	n := NIC{
		Index: byte(e.number("index", 8)), Boot: flags&flagBoot != 0, DefaultRoute: flags&flagRoute != 0, VLAN: uint16(e.number("vlan", 16)) & 0xfff,
		DHCP: e.number("origin", 8) == originDHCP, DHCPServer: e.addr("dhcp"), Gateway: e.addr("gateway"), HostName: e.text("hostname"),
	}
	mac, err := hex.DecodeString(strings.ReplaceAll(e.text("mac"), ":", ""))
	if err != nil || len(mac) != len(n.MAC) || [6]byte(mac) == n.MAC {
		e.wrong("mac", errors.New("no hardware address"))
		return
	}
	n.MAC = [6]byte(mac)
	if a := e.addr("ip-addr"); a.IsValid() {
		bits := e.bits()
		if n.Addr = netip.PrefixFrom(a, bits); !n.Addr.IsValid() || bits == 0 {
			e.wrong("ip-addr", fmt.Errorf("%s has no network", a))
			return
		}
	}
	for _, name := range [...]string{"primary-dns", "secondary-dns"} {
		if a := e.addr(name); a.IsValid() {
			n.DNS = append(n.DNS, a)
		}
	}
	if e.err == nil {
		t.NICs = append(t.NICs, n)
	}
}

func (t *Table) shownTarget(e *entry) {
	flags := e.number("flags", 8)
	if flags&flagValid == 0 || len(t.Targets) == maxEach {
		return
	}
	x := Target{
		Index: byte(e.number("index", 8)), Boot: flags&flagBoot != 0, NIC: byte(e.number("nic-assoc", 8)), Name: e.text("target-name"),
		Addr: netip.AddrPortFrom(e.addr("ip-addr"), uint16(e.number("port", 16))),
		User: e.text("chap-name"), Secret: e.text("chap-secret"), InUser: e.text("rev-chap-name"), InSecret: e.text("rev-chap-name-secret"),
	}
	x.LUN = e.lun()
	switch {
	case e.err != nil:
	case !x.Addr.IsValid() || x.Addr.Port() == 0:
		e.wrong("ip-addr", errors.New("no address or no port"))
	case x.Name == "":
		e.wrong("target-name", errors.New("no name"))
	default:
		t.Targets = append(t.Targets, x)
	}
}

// lun reads the eight bytes of a LUN, which the kernel writes in hexadecimal one
// after the other, without zeros in front of each: with fewer than 16 digits it
// is known only where all bytes are below 16.
func (e *entry) lun() (lun uint64) {
	s := e.text("lun")
	switch len(s) {
	case 0:
		return 0
	case 16:
		n, err := strconv.ParseUint(s, 16, 64)
		if err != nil {
			e.wrong("lun", errNumber)
		}
		return n
	case 8:
		for _, c := range []byte(s) {
			n, err := strconv.ParseUint(string(c), 16, 8)
			if err != nil {
				e.wrong("lun", errNumber)
			}
			lun = lun<<8 | n
		}
		return lun
	}
	e.wrong("lun", errors.New("which bytes it has cannot be told"))
	return 0
}
