// Package netconf reads what the kernel command line says of the network, in
// the dialects of the kernel (nfsroot.rst), dracut, systemd's and
// NetworkManager's generators, initramfs-tools with klibc's ipconfig, and
// make-initrd, into one typed configuration: the links to make, how each
// interface gets its addresses, routes, name servers, time limits and the root
// on the network.
//
// It is pure: parameters come in, a Config and a list of Problems come out.
// It is meant for the program that configures the network; /init, which only
// has to know that there is something to configure, does not need it.
package netconf

import (
	"net/netip"
	"time"
)

// Param is one parameter of the command line, without quotes.
type Param struct {
	Name, Value string
	HasValue    bool // an "=" follows the name
}

// Config is everything that the command line says of the network.
type Config struct {
	// Need says that the boot cannot go on without a network: rd.neednet, or
	// a root that is on it.
	Need bool
	// Off is ip=off, ip=none: nothing is configured, whatever else is said.
	Off bool
	// Interfaces are how interfaces get addresses. Of two for the same name
	// there is one that has what both say.
	Interfaces []Interface
	// Links are the links to make, in the order of the command line. A link
	// may be made of another that comes later.
	Links []Link
	// Renames are ifname=: the interface with this address is to have the name.
	Renames []Rename
	// Boot is the interface whose routes, names and root count: bootdev=,
	// BOOTIF=, ksdevice=. Zero: the first that has them.
	Boot Match
	// Routes are rd.route=.
	Routes []Route
	// DNS are nameserver=, before those of a lease.
	DNS []netip.Addr
	// PeerDNS is false with rd.peerdns=0: name servers of leases are not used.
	PeerDNS bool
	// Domains are domain= of the installers: to search.
	Domains []string
	// HostName is hostname= or that of an ip=, "" for none.
	HostName string
	// IBFT says that interfaces are to be configured as the firmware's iSCSI
	// table has them: ip=ibft, rd.iscsi.ibft. AllIBFT: all of them, not only
	// that which was booted from (rd.iscsi.mp).
	IBFT, AllIBFT bool
	// NBFT is false with rd.nvmf.nonbft.
	NBFT     bool
	DHCP     DHCP
	Timeouts Timeouts
	// Roots are the root on the network, and other disks of it (several
	// netroot=iscsi:…). Empty: none.
	Roots []Root
	// ISCSI is what is said of iSCSI besides.
	ISCSI ISCSI
}

// Method says how an interface gets its addresses; a set.
type Method uint16

// The methods. An interface without any is only set up.
const (
	// Static: the addresses of Interface.Addrs.
	Static Method = 1 << iota
	// DHCP4 asks for a lease.
	DHCP4
	// DHCP6 asks for an address by DHCPv6, whatever a router says.
	DHCP6
	// SLAAC takes addresses and routes from router advertisements, and what
	// they say is to be had by DHCPv6.
	SLAAC
	// Fallback6: DHCP6 only if SLAAC has given no address.
	Fallback6
	// Either: with DHCP4 and SLAAC or DHCP6, what comes first is enough.
	Either
	// Link6 wants a link-local IPv6 address and no other.
	Link6
	// Link4 chooses a link-local IPv4 address, RFC 3927.
	Link4
	// IBFT takes what the firmware's iSCSI table says.
	IBFT
)

// Interface is how one interface, or any, gets its addresses.
type Interface struct {
	// Match is which one; the zero Match is any that can be used.
	Match  Match
	Method Method
	// First says that of several interfaces the one counts that is first to
	// have a lease, and the others are left alone then (ip=single-dhcp).
	First bool
	Addrs []netip.Prefix // for Static
	// Peer is the address at the other end of a link between two; it is not
	// valid for other links.
	Peer     netip.Prefix
	Gateways []netip.Addr // one of each family at most
	HostName string
	MTU      int // 0: nothing was said
	// MAC is an address that stands behind the interface's name. make-initrd
	// renames the interface that has it, dracut gives it to the interface of
	// that name: do the first where there is one, else the second.
	MAC MAC
	DNS []netip.Addr
	NTP []netip.Addr
	// VLAN is the number of the VLAN of the matched interface that all this is
	// about, 0 for the interface itself. Only the firmware's tables say so; on
	// the command line a VLAN is a link with a name.
	VLAN uint16
	// Server is the server of the kernel's ip=, which an NFS root without a
	// server is on.
	Server netip.Addr
	// Bare: it is of use without an address, as an adapter of Fibre Channel.
	Bare bool
	// By are the parameters that it comes from, for explanations; nil for one
	// that is there since the root needs a network and nothing was said.
	By []string
}

// Match names an interface. At most one of the fields is set; none stands for
// any interface.
type Match struct {
	Name string
	MAC  MAC
}

// IsAny says whether any interface matches.
func (m Match) IsAny() bool { return m == Match{} }

// String is the name or the address, "any interface".
func (m Match) String() string {
	switch {
	case m.Name != "":
		return m.Name
	case m.MAC != "":
		return string(m.MAC)
	}
	return "any interface"
}

// MAC is a hardware address of 6 or 20 bytes in lower case with colons:
// "52:54:00:12:34:56". "" is none.
type MAC string

// Rename is ifname=.
type Rename struct {
	Name string
	MAC  MAC
}

// Route is rd.route=.
type Route struct {
	Dst netip.Prefix
	Via netip.Addr // not valid for what is on the link itself
	// Interface is the one that it goes through, "" if the router says which.
	Interface string
}

// LinkKind is the sort of a link that is made of others.
type LinkKind uint8

// The kinds.
const (
	VLAN LinkKind = iota
	Bond
	Team
	Bridge
)

// String is the parameter's name.
func (k LinkKind) String() string { return [...]string{"vlan", "bond", "team", "bridge"}[k] }

// Link is a link to make.
type Link struct {
	Kind LinkKind
	Name string
	// Members are the interfaces that it is made of; of a VLAN, the one that
	// it is on.
	Members []string
	ID      uint16 // of a VLAN, 1 to 4094
	// Options are those of a bond as in its directory of sysfs, "mode" first
	// if it is there. Of several values each is an entry of its own.
	Options []Option
	Runner  string // of a team
	MTU     int    // 0: nothing was said
}

// Option is one of a bond.
type Option struct{ Name, Value string }

// DHCP is what is to be said to DHCP servers.
type DHCP struct {
	// Retry is how often an interface is tried before it is given up, 1 at
	// least.
	Retry       int
	VendorClass string // rd.net.dhcp.vendor-class=
	ClientID    string // rd.net.dhcp.client-id=
}

// Timeouts are how long each step of one interface may take. 0: nothing was
// said.
type Timeouts struct {
	DHCP     time.Duration // for a lease
	Link     time.Duration // for the interface to be there
	Up       time.Duration // for it to be set up
	Carrier  time.Duration
	Route    time.Duration
	IPv6DAD  time.Duration // for the kernel to have looked for duplicates
	IPv6Auto time.Duration // for an address by SLAAC
}

// Problem is something the person who wrote the command line ought to know.
type Problem struct {
	Param string // as it was written, without secrets
	What  string // what is wrong
	Write string // what to write instead, "" if that is not known
	// Used says that the parameter has an effect nevertheless.
	Used bool
}

// String is one line for a person.
func (p Problem) String() string {
	s := p.Param + ": " + p.What
	if p.Write != "" {
		s += "; write " + p.Write
	}
	return s
}

// For is how an interface is configured, nil if nothing is said of it: what is
// said of its name or of the address that it came with, else what is said of
// any interface, if it is no part of another one.
func (c *Config) For(name string, mac MAC) *Interface {
	var anyOne *Interface
	for i := range c.Interfaces {
		switch in := &c.Interfaces[i]; {
		case in.VLAN != 0: // which is another interface
		case in.Match.Name != "" && in.Match.Name == name, in.Match.MAC != "" && in.Match.MAC == mac:
			return in
		case in.Match.IsAny():
			anyOne = in
		}
	}
	if c.MemberOf(name) != nil {
		return nil
	}
	return anyOne
}

// MemberOf is the link that the interface is a part of, nil if it is none.
func (c *Config) MemberOf(name string) *Link {
	for i := range c.Links {
		for _, m := range c.Links[i].Members {
			if m == name {
				return &c.Links[i]
			}
		}
	}
	return nil
}

// NameFor is the name that ifname= gives to the interface with the address.
func (c *Config) NameFor(mac MAC) (name string, ok bool) {
	for _, r := range c.Renames {
		if r.MAC == mac {
			return r.Name, true
		}
	}
	return "", false
}
