package netup

import (
	"net/netip"
	"strconv"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/ipv4ll"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
)

// Types of hardware (linux/if_arp.h).
const (
	ethernet   = 1
	infiniBand = 32
)

// Times of address conflict detection. RFC 5227 has three probes over seconds;
// a boot asks twice and gives an answer the time in which a live machine of the
// same link gives it.
const (
	probes        = 2
	probeInterval = 100 * time.Millisecond
	announceAgain = 2 * time.Second
	// conflictPause is how long after a conflict a static address is asked for
	// again.
	conflictPause = 10 * time.Second
)

// link is one network interface.
type link struct {
	c *Core
	rtnl.Link
	naming
	membership
	authentication
	setup *Setup
	state string
	said  string // the last report, as a line

	up     bool          // it was set up
	upAt   time.Duration // when
	client *dhcp4.Client
	lease  *dhcp4.Lease
	taken  []netip.Prefix // addresses that it has
	set    []rtnl.Route   // routes that were set

	probing  []netip.Prefix // addresses that are being asked for
	sent     int            // probes so far
	probeAt  time.Duration  // of the next step; Never while nothing is asked
	again    time.Duration  // when the announcement is repeated
	overdue  time.Duration  // when what is missing is reported
	late     string         // the time limit that has passed, "" for none
	limit    string         // the one that overdue is of
	six      *ipv6          // nil where nothing of IPv6 is asked for
	local    *ipv4ll.Client // nil where no link-local address of IPv4 is chosen
	open     [kinds]bool    // takes frames, by kind
	requests int
	carrier  time.Duration     // since when there is one
	found    bool              // it was set up already when it was found
	carries  bool              // the root is reached over it
	handed   map[string]string // the files that were left for the real system
}

// begin looks at a link for the first time.
func (l *link) begin() {
	l.probeAt, l.again, l.overdue = Never, Never, Never
	l.found, l.original = l.Up, l.Address
	l.name()
	if l.unnamed() {
		return
	}
	l.choose()
}

// choose finds what is asked for of the link and sets it up.
func (l *link) choose() {
	c := l.c
	c.firmwareVLANs(l)
	l.setup = c.setupFor(l)
	if l.setup == nil {
		if part, _ := c.partOf(l.Name); part != nil {
			return // which see
		}
		l.report(netreport.Report{State: netreport.StateUnused}.With("mac", hardware(l.Address)))
		return
	}
	s := l.setup
	if s.Cannot != "" {
		text := s.Cannot + " is asked for, which is not supported yet"
		if s.Why != "" {
			text = s.Cannot + " is asked for, and " + s.Why
		}
		l.fail(text)
		return
	}
	if s.DHCP && l.Type != ethernet && l.Type != infiniBand {
		l.fail("DHCP cannot be used on hardware of this type (" + strconv.Itoa(int(l.Type)) + ")")
		return
	}
	if s.Hardware != nil {
		if err := c.k.SetHardware(l.Index, s.Hardware); err != nil {
			l.fail("its hardware address: " + err.Error())
			return
		}
		l.Address = s.Hardware
	}
	if s.MTU > 0 && s.MTU != l.MTU {
		if err := c.k.SetMTU(l.Index, s.MTU); err != nil {
			c.note(l.Name + ": MTU " + strconv.Itoa(int(s.MTU)) + ": " + err.Error())
		}
	}
	l.prepare6()
	if l.six != nil && l.six.none != "" && !s.Either {
		l.fail(l.six.none)
		return
	}
	l.keep()
	if !l.authenticate() {
		return
	}
	if err := c.k.SetUp(l.Index, true); err != nil {
		l.fail("it cannot be set up: " + err.Error())
		return
	}
	l.up, l.upAt = true, c.now
	l.within("carrier", c.plan.Times.Carrier)
	if l.Carrier {
		l.start()
		return
	}
	l.tell()
}

// changed takes in what the kernel says of a link that is known.
func (l *link) changed(is *rtnl.Link) {
	is.Name = l.nameNow(is.Name)
	renamed, carrier := l.Name != is.Name, l.Carrier
	hardware := l.Address
	l.Link = *is
	if l.setup != nil && l.setup.Hardware != nil {
		l.Address = hardware
	}
	if renamed && l.setup == nil && !l.unnamed() {
		l.choose()
		return
	}
	if is.Carrier && !carrier {
		l.c.another(l.Name, 0)
	}
	if !l.up || carrier == is.Carrier {
		return
	}
	if is.Carrier {
		l.start()
		return
	}
	l.stopProbing()
	if l.client != nil {
		l.obey(l.client.Carrier(l.c.now, false))
	}
	l.stop4()
	l.carrier6()
	l.overdue = Never
	l.within("carrier", l.c.plan.Times.Carrier)
	l.tell()
}

// start begins to configure a link that has a carrier.
func (l *link) start() {
	c := l.c
	l.overdue, l.late, l.carrier = Never, "", c.now
	l.limits()
	if l.setup.DHCP {
		if l.client == nil {
			l.client = c.client(l)
		}
		l.listen()
		l.obey(l.client.Carrier(c.now, true))
		if l.lease != nil && len(l.taken) == 0 && len(l.probing) == 0 { // the carrier went while it was probed
			l.probe([]netip.Prefix{l.lease.Addr})
		}
	}
	if list := l.missing(); len(list) > 0 {
		l.probe(list)
	}
	if l.setup.Bare {
		l.configure(nil)
	}
	l.link4()
	l.carrier6()
	l.tell()
}

// listen opens the link for answers of DHCP servers.
func (l *link) listen() { l.openFor(IPv4) }

func (l *link) openFor(kind Kind) bool {
	if l.open[kind] {
		return true
	}
	if err := l.c.k.Open(l.Index, kind); err != nil {
		l.fail(err.Error())
		return false
	}
	l.open[kind] = true
	return true
}

func (l *link) closeFor(kind Kind) {
	if kind == ARP && l.local != nil {
		return // whose address it is has to be heard as long as it is ours
	}
	if l.open[kind] {
		l.open[kind] = false
		l.c.k.Close(l.Index, kind)
	}
}

// datagram takes in a packet for DHCP's client.
func (l *link) datagram(f Frame) {
	if l.client == nil {
		return
	}
	from, to, payload, err := dhcp4.ParseFrame(f.Data, f.Unsummed)
	if err != nil || to.Port() != dhcp4.ClientPort {
		return
	}
	l.obey(l.client.Packet(l.c.now, payload, from.Addr()))
	l.tell()
}

// obey does what the DHCP client wants.
func (l *link) obey(out dhcp4.Output) {
	switch out.Change {
	case dhcp4.Acquired:
		l.lease = l.guarded(out.Lease)
		l.overdue = Never
		l.stop4()
		l.probe([]netip.Prefix{l.lease.Addr})
	case dhcp4.Renewed:
		l.lease = l.guarded(out.Lease)
		if l.state == netreport.StateReady || len(l.taken) > 0 {
			l.configure([]netip.Prefix{l.lease.Addr})
		}
	case dhcp4.Lost:
		l.lease = nil
		l.stopProbing()
		l.release()
		l.c.note(l.Name + ": the lease is lost: " + out.Why)
	}
	if out.Send != nil {
		l.send(out.Send)
	}
	if l.client.State() == dhcp4.Bound {
		l.closeFor(IPv4)
	}
}

// send sends a message of the DHCP client.
func (l *link) send(p *dhcp4.Packet) {
	c := l.c
	if !l.openFor(IPv4) {
		return
	}
	l.requests++
	from, to := at(p.From, dhcp4.ClientPort), at(p.To, dhcp4.ServerPort)
	var err error
	if p.From != zero && p.To != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		err = c.k.SendUDP(l.Name, from, to, p.Data)
	} else {
		err = c.k.Send(l.Index, Frame{Kind: IPv4, Peer: l.broadcast(), Data: dhcp4.AppendFrame(nil, from, to, p.Data)})
	}
	if err != nil {
		c.note(l.Name + ": " + err.Error()) // it is sent again
	}
}

// broadcast is the hardware address of all.
func (l *link) broadcast() []byte {
	if l.Type == infiniBand {
		return l.Link.Broadcast
	}
	return everybody()
}

// next is when the link wants its deadline.
func (l *link) next() time.Duration {
	at := min(l.probeAt, l.again, l.overdue)
	if l.client != nil {
		at = min(at, l.client.Next())
	}
	if l.local != nil {
		at = min(at, l.local.Next())
	}
	if l.six != nil {
		at = min(at, l.six.next())
	}
	return at
}

// deadline does what is due.
func (l *link) deadline() {
	now := l.c.now
	if l.unnamed() {
		if l.overdue <= now {
			l.giveBack()
			l.c.compose()
		}
		return
	}
	if l.client != nil && l.client.Next() <= now {
		l.obey(l.client.Deadline(now))
		l.link4()
	}
	if l.local != nil && l.local.Next() <= now {
		l.obey4(l.local.Deadline(now))
	}
	if l.six != nil {
		l.six.deadline()
	}
	if l.probeAt <= now {
		l.probeStep()
	}
	if l.again <= now {
		l.again = Never
		l.announce()
		l.closeFor(ARP)
	}
	if l.overdue <= now {
		l.overdue, l.late = Never, l.limit
	}
	l.tell()
}

// address takes in an address of the link.
func (l *link) address(a *rtnl.Address, gone bool) {
	if l.six != nil && a.Prefix.Addr().Is6() {
		l.six.address(a, gone)
	}
}
