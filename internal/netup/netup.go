// Package netup decides how the machine's links are brought up: which are used,
// what addresses they get and from whom, and what of it is told to the boot. It
// is the core of the helper program for the network, and runs in the simulator
// too.
//
// It reads no clock and opens no socket: what the kernel and the network say
// comes in with its time, and what is to be done goes to a Kernel. It never
// waits; Next is when it wants to be called again.
package netup

import (
	"net/netip"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
	"firstlight/internal/timespan"
)

// Kind is what a frame carries.
type Kind uint8

// The kinds of frames.
const (
	IPv4 Kind = iota // packets of IPv4 with UDP for the port of DHCP's client
	ARP
	Advertisement // ICMPv6: from routers, or to all of them
	DHCP6         // payloads of UDP for the port of DHCPv6's client, or to all servers
	kinds         // how many there are
)

// Frame is a packet on a link without its Ethernet header.
type Frame struct {
	Kind Kind
	Peer []byte // hardware address of who sent it, or is to get it
	Data []byte
	// Unsummed: UDP's checksum is to be filled in yet, by hardware that a
	// virtual machine's packet never passes.
	Unsummed bool
	// From is whom a packet of IPv6 came from, Hops its hop limit.
	From netip.Addr
	Hops int
}

// Kernel is what the core may ask for. Errors are about one link each and make
// it fail, not the others.
type Kernel interface {
	Maker
	Authenticator
	// Identify says what a link is to be called, and what else the machine's files
	// say of it.
	Identify(rtnl.Link) Identity
	SetAlias(link int, text string) error
	SetName(link int, name string) error
	SetHardware(link int, address []byte) error
	SetMTU(link int, mtu uint32) error
	SetUp(link int, up bool) error
	AddAddress(link int, a netip.Prefix, peer, broadcast netip.Addr, valid uint32) error
	DelAddress(link int, a netip.Prefix) error
	AddRoute(rtnl.Route) error
	DelRoute(rtnl.Route) error
	// Sysctl sets a number of the kernel: "net/ipv6/conf/eth0/accept_ra".
	Sysctl(name, value string) error
	// Open begins to take frames of a kind from a link, Close ends it.
	Open(link int, kind Kind) error
	Close(link int, kind Kind)
	// Send sends a frame; its link is open for the kind.
	Send(link int, f Frame) error
	// SendUDP sends a datagram from an address that the machine has.
	SendUDP(link string, from, to netip.AddrPort, payload []byte) error
	// Ask sends a question to a name server; the answer comes back by Answer.
	Ask(server netip.AddrPort, question []byte) error
	// WriteFile leaves a file for the real system, in /run.
	WriteFile(name, text string, mode uint32) error
	// Resolver replaces the list of name servers, Hostname the machine's name.
	Resolver(text string) error
	Hostname(name string) error
	// Say reports to the boot.
	Say(netreport.Report)
}

// Never is the time of Next when nothing is waited for.
const Never = timespan.Forever

// Core brings the links up. It is for one goroutine.
type Core struct {
	k         Kernel
	plan      *Plan
	rand      func() uint32
	now       time.Duration
	links     map[int]*link
	order     []*link // as they came
	usable    []*link // links that can be used, as they became so
	named     bool    // the machine has its name
	lookups   []*lookup
	saidRoots []string // the last report of each root
	made      []*composed
	begun     bool
	missingAt time.Duration // when links that are not there are reported
	several   bool          // there may be servers that only the root's own program knows of
}

// New prepares the core. rand gives random bits.
func New(k Kernel, plan *Plan, rand func() uint32) *Core {
	c := &Core{k: k, plan: plan, rand: rand, links: map[int]*link{}, missingAt: Never}
	for _, m := range plan.Made {
		c.made = append(c.made, &composed{Made: m})
	}
	return c
}

// Event takes in what the kernel says of links and addresses.
func (c *Core) Event(now time.Duration, ev rtnl.Event) {
	c.now = now
	c.begin()
	switch {
	case ev.Link != nil && ev.Gone:
		c.gone(ev.Link.Index)
		c.names()
		c.compose()
	case ev.Link != nil:
		c.link(ev.Link)
		c.names()
		c.compose()
	case ev.Address != nil:
		if l := c.links[ev.Address.Link]; l != nil {
			l.address(ev.Address, ev.Gone)
		}
	}
}

// Lost says that events were lost: all is what there is now.
func (c *Core) Lost(now time.Duration, all []rtnl.Event) {
	there := map[int]bool{}
	for _, ev := range all {
		if ev.Link != nil {
			there[ev.Link.Index] = true
		}
	}
	for _, l := range append([]*link(nil), c.order...) {
		if !there[l.Index] {
			c.now = now
			c.gone(l.Index)
		}
	}
	for _, ev := range all {
		c.Event(now, ev)
	}
}

// Frame takes in a frame of a link.
func (c *Core) Frame(now time.Duration, index int, f Frame) {
	c.now = now
	l := c.links[index]
	if l == nil {
		return
	}
	switch f.Kind {
	case IPv4:
		l.datagram(f)
	case ARP:
		if a, ok := parseARP(f.Data); ok {
			l.arp(a)
		}
	default:
		if l.six != nil {
			l.six.frame(f)
		}
	}
}

// Next is when Deadline is to be called, Never if nothing is waited for.
func (c *Core) Next() time.Duration {
	at := c.missingAt
	for _, l := range c.lookups {
		at = min(at, l.next)
	}
	for _, l := range c.order {
		at = min(at, l.next())
	}
	return at
}

// Deadline says that the time of Next has come.
func (c *Core) Deadline(now time.Duration) {
	c.now = now
	for _, l := range c.order {
		l.deadline()
	}
	if c.missingAt <= now {
		c.missing()
	}
	c.askAgain()
}

// link takes in a link, new or changed.
func (c *Core) link(is *rtnl.Link) {
	if is.Loopback {
		if !is.Up && c.links[is.Index] == nil {
			c.k.SetUp(is.Index, true) // NFS without a lock daemon does not need it; others may
		}
		return
	}
	l := c.links[is.Index]
	if l == nil {
		l = &link{c: c, Link: *is}
		c.links[is.Index] = l
		c.order = append(c.order, l)
		l.begin()
		return
	}
	l.changed(is)
}

// Index is the number of a link, 0 if there is none of the name.
func (c *Core) Index(name string) uint32 {
	for _, l := range c.order {
		if l.Name == name {
			return uint32(l.Index)
		}
	}
	return 0
}

// gone forgets a link.
func (c *Core) gone(index int) {
	l := c.links[index]
	if l == nil {
		return
	}
	delete(c.links, index)
	for i, x := range c.order {
		if x == l {
			c.order = append(c.order[:i:i], c.order[i+1:]...)
		}
	}
	c.unusable(l)
	for kind := range kinds {
		c.k.Close(index, kind)
	}
	c.k.Say(netreport.Report{State: netreport.StateGone, Link: l.Name})
}

// unusable notes that a link cannot be used any more.
func (c *Core) unusable(l *link) {
	for i, x := range c.usable {
		if x == l {
			c.usable = append(c.usable[:i:i], c.usable[i+1:]...)
			return
		}
	}
}

// resolver writes the name servers of all links, those of the command line
// first.
func (c *Core) resolver() {
	servers, search := c.servers(), c.plan.Search
	for _, l := range c.usable {
		if search == nil && l.lease != nil && c.plan.PeerDNS {
			search = l.lease.Search
		}
		if search == nil && l.six != nil && c.plan.PeerDNS {
			search = l.six.search()
		}
	}
	if len(servers) == 0 {
		return
	}
	text := ""
	if len(search) > 0 {
		text = "search"
		for _, s := range search {
			text += " " + s
		}
		text += "\n"
	}
	for i, a := range servers {
		if i == maxServers {
			break
		}
		text += "nameserver " + a.String() + "\n"
	}
	if err := c.k.Resolver(text); err != nil {
		c.note("the list of name servers: " + err.Error())
	}
}

// maxServers is how many name servers a C library looks at (resolv.conf(5)).
const maxServers = 3

// hostname gives the machine its name, once.
func (c *Core) hostname(name string) {
	if name == "" || c.named {
		return
	}
	c.named = true
	if err := c.k.Hostname(name); err != nil {
		c.note("the host name " + name + ": " + err.Error())
	}
}

func (c *Core) note(text string) {
	c.k.Say(netreport.Report{State: netreport.StateNote}.With("text", text))
}

// zero is the address of a machine that has none.
var zero = netip.IPv4Unspecified()

// everybody is the hardware address of all on an Ethernet.
func everybody() []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ports of DHCP as addresses.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// client is a DHCP client of a link.
func (c *Core) client(l *link) *dhcp4.Client {
	return dhcp4.New(dhcp4.Config{HWType: byte(l.Type), HWAddr: l.Address, ClientID: l.setup.ClientID, HostName: l.setup.HostName,
		VendorClass: l.setup.VendorClass, Previous: l.setup.Previous, Rand: c.rand})
}
