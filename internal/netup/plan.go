package netup

import (
	"net/netip"

	"firstlight/internal/netconf"
)

// Plan is what is asked for of all links.
type Plan struct {
	// Config is the command line that the plan is of, nil for none.
	Config *netconf.Config
	// For is what is asked for of a link, nil for nothing.
	For func(name string, hardware []byte) *Setup
	// Rename is the name that the command line gives to a link by its hardware
	// address, "" for none.
	Rename func(hardware []byte) string
	// Made are the links to make.
	Made []Made
	// Nameservers come before those of leases, which count with PeerDNS.
	Nameservers []netip.Addr
	PeerDNS     bool
	Search      []string // domains to search, before those of leases
	// Times are how long a link may be without something before that is reported
	// as longer than allowed; it is used nevertheless if it comes. Retry is how
	// often DHCP has its time.
	Times netconf.Timeouts
	Retry int
}

// Setup is what is asked for of one link.
type Setup struct {
	DHCP bool
	// Auto6: addresses and routes are those that routers say, and what they leave
	// to DHCPv6 is asked for there. DHCP6: an address of DHCPv6, whatever routers
	// say, and routes of theirs. Fallback6: also where Auto6 gives none.
	Auto6, DHCP6, Fallback6 bool
	// Link4 and Link6 are link-local addresses; that of IPv4 stands in where DHCP
	// has no answer.
	Link4, Link6 bool
	// Either: of all these the first that comes is enough.
	Either bool
	// First: the first link that can be used is the only one.
	First bool
	// Addresses are static ones with their networks, Peer the other end of a
	// point-to-point link.
	Addresses []netip.Prefix
	Peer      netip.Addr
	Routes    []Route
	DNS       []netip.Addr
	MTU       uint32 // bytes; 0 as it is, or as the lease says
	Hardware  []byte // nil as it is
	HostName  string
	Server    netip.Addr // that an NFS root without one is on
	// Bare: it can be used as soon as it has a carrier, without an address.
	Bare bool
	// Any: it is asked for of any link, and not of this one by its name.
	Any bool
	// ByHardware: it is asked for of the link with an address.
	ByHardware bool
	// Cannot is what is asked for and not supported yet, "" for nothing.
	Cannot string
	// Why is why it cannot be had, "" where it is not supported yet.
	Why string
	// What DHCP is told.
	ClientID    []byte
	VendorClass string
	Previous    netip.Addr
}

// Route is a way from a link. An invalid gateway is the link itself.
type Route struct {
	To      netip.Prefix
	Gateway netip.Addr
	OnLink  bool
}
