package netup

import (
	"net/netip"

	"firstlight/internal/dhcp6"
	"firstlight/internal/duid"
)

// ask begins to ask DHCPv6 servers: for an address, or stateless for what goes
// with one.
func (x *ipv6) ask(stateless bool) {
	l := x.l
	switch {
	case x.client != nil && (stateless || !x.stateless()):
		return
	case !x.local.IsValid() || !l.openFor(DHCP6):
		return
	}
	x.lease = nil
	x.client = dhcp6.New(dhcp6.Config{DUID: duid.LL(l.Type, l.Address), IAID: duid.IAID(l.Address), Stateless: stateless, RapidCommit: true,
		FQDN: l.setup.HostName, Rand: l.c.rand})
	x.obey(x.client.Link(l.c.now, l.Carrier))
}

func (x *ipv6) stateless() bool {
	return x.client.State() == dhcp6.Informing || x.client.State() == dhcp6.Informed
}

// obey does what the DHCPv6 client wants.
func (x *ipv6) obey(out dhcp6.Output) {
	l := x.l
	switch out.Change {
	case dhcp6.Acquired, dhcp6.Renewed:
		x.lease = out.Lease
		for _, text := range out.Lease.Notes {
			l.c.note(l.Name + ": of DHCPv6's answer is not used: " + text)
		}
	case dhcp6.Lost:
		x.lease = nil
		l.c.note(l.Name + ": the addresses of DHCPv6 are lost: " + out.Why)
	}
	if out.Send != nil {
		if err := l.c.k.Send(l.Index, Frame{Kind: DHCP6, Data: out.Send}); err != nil {
			l.c.note(l.Name + ": " + err.Error()) // it is sent again
		}
	}
	if out.Change != dhcp6.NoChange {
		x.update()
		x.settle()
	}
}

// leased says whether DHCPv6 gave the address.
func (x *ipv6) leased(a netip.Addr) bool {
	for _, b := range x.lease.Addrs {
		if b.Addr == a {
			return true
		}
	}
	return false
}
