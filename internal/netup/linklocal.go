package netup

import (
	"net/netip"

	"firstlight/internal/ipv4ll"
)

// withoutLease is how many requests to DHCP servers have had no answer when a
// link-local address of IPv4 is chosen, where one may stand in.
const withoutLease = 3

// link4 begins, or goes on, to choose a link-local address of IPv4, if the time
// for that has come.
func (l *link) link4() {
	s := l.setup
	if !s.Link4 || l.Type != ethernet || !l.Carrier || l.lease != nil || s.DHCP && l.requests <= withoutLease {
		return
	}
	if l.local == nil {
		if !l.openFor(ARP) {
			return
		}
		var seed uint64
		for _, b := range l.Address {
			seed = seed<<8 | uint64(b)
		}
		l.local = ipv4ll.New(ipv4ll.Config{Seed: seed, Rand: l.c.rand})
	}
	l.obey4(l.local.Carrier(l.c.now, true))
}

// stop4 gives the link-local address of IPv4 up.
func (l *link) stop4() {
	if l.local == nil {
		return
	}
	l.obey4(l.local.Carrier(l.c.now, false))
	l.local = nil
	l.closeFor(ARP)
}

// obey4 does what the choice of an address wants.
func (l *link) obey4(out ipv4ll.Output) {
	if out.Probe.IsValid() {
		l.sendARP(arp{Op: arpRequest, SenderAddr: zero, TargetAddr: out.Probe})
	}
	if out.Lost.IsValid() {
		p := netip.PrefixFrom(out.Lost, 16)
		if err := l.c.k.DelAddress(l.Index, p); err != nil {
			l.c.note(l.Name + ": " + err.Error())
		}
		l.untake(out.Lost)
		l.less()
	}
	if out.Acquired.IsValid() {
		l.configure([]netip.Prefix{netip.PrefixFrom(out.Acquired, 16)})
	}
	if out.Announce.IsValid() {
		l.sendARP(arp{Op: arpRequest, SenderAddr: out.Announce, TargetAddr: out.Announce})
	}
}

// heard4 takes in an ARP packet.
func (l *link) heard4(a arp) {
	if l.local != nil {
		l.obey4(l.local.Heard(l.c.now, ipv4ll.ARP{SenderAddr: a.SenderAddr, TargetAddr: a.TargetAddr,
			Probe: a.Op == arpRequest && a.SenderAddr == zero, Ours: string(a.Sender[:]) == string(l.Address)}))
	}
}
