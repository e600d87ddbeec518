package netup

import (
	"net/netip"
	"time"

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
	// Carrier and Lease are how long a link may be without the one or the
	// other before that is reported as a failure; 0 is for ever. It is used
	// nevertheless if it comes.
	Carrier, Lease time.Duration
}

// Setup is what is asked for of one link.
type Setup struct {
	DHCP bool
	// Auto6: an address by IPv6's own configuration has to come.
	Auto6 bool
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
	// Any: it is asked for of any link, and not of this one by its name.
	Any bool
	// ByHardware: it is asked for of the link with an address.
	ByHardware bool
	// Cannot is what is asked for and not supported yet, "" for nothing.
	Cannot string
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
