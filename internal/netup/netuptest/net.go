// Package netuptest is a network in memory for package netup: links, a wire, and
// servers on it, under a clock of the caller's. The simulator boots machines
// with it. The same calls in the same order give the same network.
package netuptest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/dns"
	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
	"firstlight/internal/netup"
	"firstlight/internal/rtnl"
)

// Card is a link of the machine.
type Card struct {
	Name string
	MAC  []byte
	// Appears is when the kernel has it, Carrier when there is somebody at the
	// other end, after it is set up; below 0 is never.
	Appears, Carrier time.Duration
	// Apart: nobody is on its wire.
	Apart bool

	// Leaves and Back are when the card is taken out, and put in again, 0 for
	// never.
	Leaves, Back time.Duration

	index    int
	up, wire bool
	open     map[netup.Kind]bool
	local    bool     // has its link-local address
	virtual  *virtual // of a link that software has made
	master   *Card    // the bond or bridge that it is in
	gone     bool
	known    bool // the core was told of it
	// original is the address that a card has without a bond.
	original []byte
}

// Server is a DHCP server.
type Server struct {
	Addr netip.Addr
	Pool []netip.Prefix // given out in order to the cards that ask, the next one after a DECLINE
	Root string         // path of the root
	From time.Duration  // when it begins to answer
	Slow time.Duration  // how long it takes for an answer
	Lose int            // how many of the first messages of clients are lost
	Naks int            // how many requests are refused
	// Hostile changes each answer before it is sent.
	Hostile func(n int, answer []byte) []byte
	Life    uint32 // of a lease, seconds; 0 is an hour

	given                     map[string]int // by hardware address: the place in Pool
	next, seen, naks, answers int
}

// Net is the whole of it. It implements netup.Kernel.
type Net struct {
	Cards  []*Card
	Server *Server
	// Taken are addresses that other machines have.
	Taken []netip.Addr
	// Schedule calls a function at a time; Now is the time.
	Schedule func(at time.Duration, f func())
	Now      func() time.Duration
	// Report gets what the core reports.
	Report func(netreport.Report)
	// After is called when the core has taken in something.
	After func()

	Core      *netup.Core
	Addresses map[string][]netip.Prefix // by link
	Routes    []rtnl.Route
	Resolv    string
	Host      string
	Probes    int // ARP probes that were sent
	Sent      int // messages to DHCP servers
	// Hosts are the names that the server knows, Asked how often it was asked,
	// and LoseAsked how many of the questions are lost.
	Hosts            map[string]netip.Addr
	Asked, LoseAsked int

	// Router and Server6 are there where the network has IPv6. NoIPv6 is a kernel
	// without.
	Router  *Router
	Server6 *Server6
	NoIPv6  bool
	// Noise is how a frame travels: when it arrives, beyond the usual time, once for
	// each value; none is a frame that is lost. nil is a good wire.
	Noise func() []time.Duration
	// Firmware is what the firmware left.
	Firmware netup.Firmware
	// Made are the links that were asked for.
	Made []rtnl.NewLink
	// Sysctls are what the core set; Files what it left for the real system, by path
	// or by the name of a file for networkd, which Write gets too.
	Sysctls map[string]string
	Files   map[string]string
	Write   func(name, text string) error
	// LetIn is what lets the links in, "" for nothing.
	LetIn string
	// Reserved is a name that no link can get.
	Reserved string
	// Identities are what the machine's files say of links, by their addresses.
	Identities map[string]netup.Identity
	// Addressed are the links whose hardware address was set.
	Addressed []string

	last int           // the highest index of a link
	due  time.Duration // of the deadline that is scheduled
}

var _ netup.Kernel = (*Net)(nil)

// Start starts the core with the parameters that it is handed.
func (n *Net) Start(text string) {
	conf, problems := netconf.Parse(netup.Params(text))
	for _, note := range netup.AddFirmware(conf, n.Firmware) {
		n.Say(netreport.Report{State: netreport.StateNote}.With("text", note))
	}
	n.Addresses, n.due = map[string][]netip.Prefix{}, netup.Never
	n.Sysctls, n.Files = map[string]string{}, map[string]string{}
	for _, p := range problems {
		n.Say(netreport.Report{State: netreport.StateProblem}.With("text", p.String()))
	}
	seed := uint32(1)
	n.Core = netup.New(n, netup.FromConfig(conf), func() uint32 { seed = seed*1664525 + 1013904223; return seed })
	for i, c := range n.Cards {
		c.index = i + 2
		if c.Appears < 0 {
			continue
		}
		c.original = c.MAC
		n.Schedule(max(c.Appears, n.Now()), func() { n.tell(c) })
		n.hotplug(c)
	}
	n.settle()
}

// tell says to the core how a card is.
func (n *Net) tell(c *Card) {
	if c.gone {
		return
	}
	l := &rtnl.Link{Index: c.index, Type: 1, Name: c.Name, Address: c.MAC, MTU: 1500, Up: c.up, Carrier: c.wire}
	if c.master != nil {
		l.Master = c.master.index
	}
	if c.virtual != nil {
		l.Kind = c.virtual.kind
	}
	c.known = true
	n.Core.Event(n.Now(), rtnl.Event{Link: l})
	n.linkLocal(c)
	n.settle()
}

// settle schedules the core's next deadline.
func (n *Net) settle() {
	if at := n.Core.Next(); at < netup.Never && at != n.due {
		n.due = at
		n.Schedule(max(at, n.Now()), func() {
			if n.due == at {
				n.due = netup.Never
			}
			if n.Core.Next() <= n.Now() {
				n.Core.Deadline(n.Now())
			}
			n.settle()
		})
	}
	if n.After != nil {
		n.After()
	}
}

// Pull takes the carrier of a card away, or gives it.
func (n *Net) Pull(c *Card, carrier bool) {
	c.wire = carrier
	if c.up {
		n.tell(c)
		n.spread(c)
	}
}

func (n *Net) card(index int) *Card {
	for _, c := range n.Cards {
		if c.index == index {
			return c
		}
	}
	return &Card{}
}

// Identify implements netup.Kernel: links keep their names, unless Identities says
// otherwise.
func (n *Net) Identify(l rtnl.Link) netup.Identity { return n.Identities[string(l.Address)] }

// SetAlias implements netup.Kernel.
func (n *Net) SetAlias(int, string) error { return nil }

// SetName implements netup.Kernel. The new name comes as an event, too.
func (n *Net) SetName(link int, name string) error {
	if name == n.Reserved && name != "" {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	for _, c := range n.Cards {
		if c.Name == name && c.index != link && !c.gone && c.Appears >= 0 && c.Appears <= n.Now() {
			return fmt.Errorf("%s: %w", name, fs.ErrExist)
		}
	}
	c := n.card(link)
	c.Name = name
	n.Schedule(n.Now(), func() { n.tell(c) })
	return nil
}

// SetHardware implements netup.Kernel.
func (n *Net) SetHardware(link int, a []byte) error {
	c := n.card(link)
	c.MAC = slices.Clone(a)
	n.Addressed = append(n.Addressed, c.Name)
	if c.virtual != nil {
		c.virtual.takes = false
	}
	return nil
}

// SetMTU implements netup.Kernel.
func (n *Net) SetMTU(int, uint32) error { return nil }

// SetUp implements netup.Kernel: the carrier comes as the card has it.
func (n *Net) SetUp(link int, up bool) error {
	c := n.card(link)
	c.up = up
	if !up {
		c.wire, c.local = false, false
		n.Addresses[c.Name] = slices.DeleteFunc(n.Addresses[c.Name], func(a netip.Prefix) bool { return a.Addr().Is6() })
	}
	if up && c.virtual != nil {
		n.spread(c)
		return nil
	}
	if !up || c.Carrier < 0 {
		return nil
	}
	n.Schedule(n.Now()+c.Carrier, func() {
		if c.up && !c.wire {
			n.Pull(c, true)
		}
	})
	return nil
}

// AddAddress implements netup.Kernel.
func (n *Net) AddAddress(link int, a netip.Prefix, _, _ netip.Addr, _ uint32) error {
	c := n.card(link)
	if a.Addr().Is6() {
		return n.add6(c, a)
	}
	if slices.Contains(n.Taken, a.Addr()) && !c.Apart {
		return fmt.Errorf("%s is another machine's", a.Addr())
	}
	if !slices.Contains(n.Addresses[c.Name], a) {
		n.Addresses[c.Name] = append(n.Addresses[c.Name], a)
	}
	return nil
}

// DelAddress implements netup.Kernel.
func (n *Net) DelAddress(link int, a netip.Prefix) error {
	name := n.card(link).Name
	n.Addresses[name] = slices.DeleteFunc(n.Addresses[name], func(x netip.Prefix) bool { return x == a })
	return nil
}

// AddRoute implements netup.Kernel.
func (n *Net) AddRoute(r rtnl.Route) error {
	if !r.To.IsValid() || r.Gateway.IsValid() && r.Gateway.IsUnspecified() {
		return errors.New("invalid argument")
	}
	n.Routes = append(n.Routes, r)
	return nil
}

// Open implements netup.Kernel.
func (n *Net) Open(link int, kind netup.Kind) error {
	c := n.card(link)
	if c.open == nil {
		c.open = map[netup.Kind]bool{}
	}
	c.open[kind] = true
	return nil
}

// Close implements netup.Kernel.
func (n *Net) Close(link int, kind netup.Kind) { delete(n.card(link).open, kind) }

// Ask implements netup.Kernel: Hosts are what the name server knows.
func (n *Net) Ask(server netip.AddrPort, question []byte) error {
	n.Asked++
	if !n.serves(server.Addr()) || n.Asked <= n.LoseAsked {
		return nil
	}
	answer := slices.Clone(question)
	answer[2], answer[3] = 0x81, 0x83 // no such name
	for name, a := range n.Hosts {
		typ := dns.A
		if a.Is6() {
			typ = dns.AAAA
		}
		if q, err := dns.Query(0, name, typ); err == nil && string(q[12:]) == string(question[12:]) {
			answer[3], answer[7] = 0x80, 1
			answer = append(answer, 0xc0, 12, 0, byte(typ), 0, 1, 0, 0, 0, 60, 0, byte(len(a.AsSlice())))
			answer = append(answer, a.AsSlice()...)
		}
	}
	n.travel(wire, func() {
		n.Core.Answer(n.Now(), server.Addr(), answer)
		n.settle()
	})
	return nil
}

// Resolver implements netup.Kernel.
func (n *Net) Resolver(text string) error { n.Resolv = text; return nil }

// Hostname implements netup.Kernel.
func (n *Net) Hostname(name string) error { n.Host = name; return nil }

// Say implements netup.Kernel.
func (n *Net) Say(r netreport.Report) {
	if n.Report != nil {
		n.Report(r)
	}
}

// wire is how long a frame takes.
const wire = time.Millisecond

// Send implements netup.Kernel.
func (n *Net) Send(link int, f netup.Frame) error {
	c := n.card(link)
	if !c.open[f.Kind] {
		return errors.New("the link is not open for this")
	}
	if !n.reaches(c) {
		return nil
	}
	if n.Noise != nil {
		n.travel(0, func() { n.sent(c, f) })
		return nil
	}
	n.sent(c, f)
	return nil
}

// travel carries a frame.
func (n *Net) travel(after time.Duration, f func()) {
	if n.Noise == nil {
		n.Schedule(n.Now()+after, f)
		return
	}
	for _, d := range n.Noise() {
		n.Schedule(n.Now()+after+d, f)
	}
}

// sent is a frame that has come to the other end.
func (n *Net) sent(c *Card, f netup.Frame) {
	switch f.Kind {
	case netup.ARP:
		n.arp(c, f.Data)
	case netup.Advertisement:
		n.solicited(c, f.Data)
	case netup.DHCP6:
		n.message6(c, f.Data)
	}
	if f.Kind != netup.IPv4 {
		return
	}
	_, to, payload, err := dhcp4.ParseFrame(f.Data, false)
	if err == nil && to.Port() == dhcp4.ServerPort {
		n.message(c, payload)
	}
}
