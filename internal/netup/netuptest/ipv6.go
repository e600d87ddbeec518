package netuptest

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"firstlight/internal/dhcp6"
	"firstlight/internal/netup"
	"firstlight/internal/ra"
	"firstlight/internal/rtnl"
)

// Router speaks of itself and of the link.
type Router struct {
	Addr     netip.Addr     // link-local
	Prefixes []netip.Prefix // of which addresses are made
	Valid    uint32         // of the prefixes, seconds; 0 is an hour
	// Managed and Other: DHCPv6 has addresses, or what goes with them.
	Managed, Other bool
	DNS            []netip.Addr
	MTU            uint32
	From           time.Duration // when it begins to answer
	Lose           int           // how many of the first solicitations are lost
	// Hostile changes each advertisement.
	Hostile func(n int, b []byte) []byte

	seen int
}

// Server6 is a DHCPv6 server.
type Server6 struct {
	Pool    []netip.Addr // given out in order, the next one after a DECLINE
	DNS     []netip.Addr
	BootURL string
	Life    uint32        // of an address, seconds; 0 is an hour
	From    time.Duration // when it begins to answer
	Slow    time.Duration // how long it takes for an answer
	Lose    int           // how many of the first messages are lost
	Rapid   bool          // answers in two packets where it may
	Hostile func(n int, b []byte) []byte

	given         map[string]int
	next, seen, n int
}

// detect is how long the kernel takes to find that nobody else has an address.
const detect = 200 * time.Millisecond

// Sysctl implements netup.Kernel.
func (n *Net) Sysctl(name, value string) error {
	if n.NoIPv6 && strings.HasPrefix(name, "net/ipv6/") {
		return errors.New("no such file or directory")
	}
	n.Sysctls[name] = value
	return nil
}

// WriteFile implements netup.Kernel.
func (n *Net) WriteFile(name, text string, _ uint32) error {
	n.Files[name] = text
	if n.Write != nil {
		return n.Write(name, text)
	}
	return nil
}

// DelRoute implements netup.Kernel.
func (n *Net) DelRoute(r rtnl.Route) error {
	n.Routes = slices.DeleteFunc(n.Routes, func(x rtnl.Route) bool { return x == r })
	return nil
}

// serves says whether a name server is there.
func (n *Net) serves(a netip.Addr) bool {
	return n.Server != nil && a == n.Server.Addr || n.Router != nil && slices.Contains(n.Router.DNS, a.WithZone("")) || n.Server6 != nil && slices.Contains(n.Server6.DNS, a)
}

// LocalOf is the link-local address that the kernel gives to a card.
func LocalOf(mac []byte) netip.Addr {
	id, _ := ra.EUI64(mac)(netip.Prefix{}, 0)
	b := [16]byte{0xfe, 0x80}
	copy(b[8:], id[:])
	return netip.AddrFrom16(b)
}

// linkLocal is the kernel's own address of a card that has a carrier. A card
// whose number the core did not touch has none, so that networks without IPv6
// are as they were.
func (n *Net) linkLocal(c *Card) {
	if n.NoIPv6 || c.local || !c.up || !c.wire || c.gone || n.Sysctls["net/ipv6/conf/"+c.Name+"/accept_ra"] == "" {
		return
	}
	c.local = true
	n.later(c, netip.PrefixFrom(LocalOf(c.MAC), 64), 253)
}

// later tells the core of an address when the kernel knows whose it is.
func (n *Net) later(c *Card, a netip.Prefix, scope uint8) {
	n.Schedule(n.Now()+detect, func() {
		if !c.up || scope == 0 && !slices.Contains(n.Addresses[c.Name], a) {
			return
		}
		taken := slices.Contains(n.Taken, a.Addr()) && !c.Apart
		n.Core.Event(n.Now(), rtnl.Event{Address: &rtnl.Address{Link: c.index, Prefix: a, Scope: scope, Tentative: taken, Failed: taken, Permanent: true}})
		n.settle()
	})
}

func (n *Net) add6(c *Card, a netip.Prefix) error {
	if n.NoIPv6 {
		return errors.New("operation not supported")
	}
	if !slices.Contains(n.Addresses[c.Name], a) {
		n.Addresses[c.Name] = append(n.Addresses[c.Name], a)
		n.later(c, a, 0)
	}
	return nil
}

// solicited is a solicitation to the router.
func (n *Net) solicited(c *Card, b []byte) {
	r := n.Router
	if r == nil || n.Now() < r.From || len(b) < 8 || b[0] != 133 {
		return
	}
	if r.seen++; r.seen <= r.Lose {
		return
	}
	n.Advertise(c)
}

// Advertise sends an advertisement of the router to a card.
func (n *Net) Advertise(c *Card) {
	r := n.Router
	b := r.bytes()
	if r.Hostile != nil {
		b = r.Hostile(r.seen, b)
	}
	n.travel(wire, func() {
		n.deliver(c, netup.Frame{Kind: netup.Advertisement, Data: b, From: r.Addr, Hops: 255})
	})
}

func (r *Router) bytes() []byte {
	b := []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	if r.Managed {
		b[5] |= 0x80
	}
	if r.Other {
		b[5] |= 0x40
	}
	valid := r.Valid
	if valid == 0 {
		valid = 3600
	}
	for _, p := range r.Prefixes {
		b = append(b, 3, 4, byte(p.Bits()), 0xc0)
		b = binary.BigEndian.AppendUint32(b, valid)
		b = binary.BigEndian.AppendUint32(b, valid)
		b = append(b, 0, 0, 0, 0)
		b = append(b, p.Addr().AsSlice()...)
	}
	if r.MTU > 0 {
		b = binary.BigEndian.AppendUint32(append(b, 5, 1, 0, 0), r.MTU)
	}
	if len(r.DNS) > 0 {
		b = append(b, 25, byte(1+2*len(r.DNS)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, valid)
		for _, a := range r.DNS {
			b = append(b, a.AsSlice()...)
		}
	}
	return b
}

// message6 is one to the DHCPv6 server.
func (n *Net) message6(c *Card, payload []byte) {
	n.Sent++
	s := n.Server6
	if s == nil || n.Now() < s.From {
		return
	}
	if s.seen++; s.seen <= s.Lose {
		return
	}
	m, err := dhcp6.Parse(payload)
	if err != nil {
		return
	}
	answer := s.answer(m)
	if answer == nil {
		return
	}
	s.n++
	if s.Hostile != nil {
		answer = s.Hostile(s.n, answer)
	}
	from := netip.MustParseAddr("fe80::5")
	n.travel(wire+s.Slow, func() { n.deliver(c, netup.Frame{Kind: netup.DHCP6, Data: answer, From: from}) })
}

// answer is what the server says, nil for nothing.
func (s *Server6) answer(m *dhcp6.Message) []byte {
	who := string(m.Options.Get(dhcp6.OptClientID))
	if s.given == nil {
		s.given = map[string]int{}
	}
	if _, ok := s.given[who]; !ok {
		s.given[who] = s.next
		s.next++
	}
	a := &dhcp6.Message{Type: dhcp6.Reply, XID: m.XID, Options: dhcp6.Options{
		{Code: dhcp6.OptClientID, Data: []byte(who)}, {Code: dhcp6.OptServerID, Data: []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 5}}}}
	add := func(code dhcp6.Code, data []byte) {
		a.Options = append(a.Options, dhcp6.Option{Code: code, Data: data})
	}
	ia := m.Options.Get(dhcp6.OptIANA)
	switch m.Type {
	case dhcp6.Solicit:
		if a.Type = dhcp6.Advertise; s.Rapid && m.Options.Has(dhcp6.OptRapidCommit) {
			a.Type = dhcp6.Reply
			add(dhcp6.OptRapidCommit, nil)
		}
	case dhcp6.Decline:
		delete(s.given, who)
		ia = nil
	case dhcp6.Confirm:
		ia = nil
	case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.InformationRequest:
	default:
		return nil
	}
	if len(ia) >= 12 {
		if len(s.Pool) == 0 {
			return nil
		}
		life := s.Life
		if life == 0 {
			life = 3600
		}
		b := slices.Clone(ia[:4])
		b = binary.BigEndian.AppendUint32(b, life/2)
		b = binary.BigEndian.AppendUint32(b, life/4*3)
		addr := s.Pool[s.given[who]%len(s.Pool)].As16()
		b = append(b, 0, byte(dhcp6.OptIAAddr), 0, 24)
		b = append(b, addr[:]...)
		b = binary.BigEndian.AppendUint32(b, life)
		b = binary.BigEndian.AppendUint32(b, life)
		add(dhcp6.OptIANA, b)
	}
	if len(s.DNS) > 0 {
		var b []byte
		for _, d := range s.DNS {
			b = append(b, d.AsSlice()...)
		}
		add(dhcp6.OptDNS, b)
	}
	if s.BootURL != "" {
		add(dhcp6.OptBootURL, []byte(s.BootURL))
	}
	return a.Append(nil)
}

// Up are the names of the cards that are set up.
func (n *Net) Up() []string {
	var list []string
	for _, c := range n.Cards {
		if c.up {
			list = append(list, c.Name)
		}
	}
	return list
}

// Leads says whether a card has an address from which a server is reached.
func (n *Net) Leads(server netip.Addr) bool {
	for _, c := range n.Cards {
		switch {
		case !n.reaches(c):
		case server.Is6() && server.IsLinkLocalUnicast():
			if c.local && server.Zone() == c.Name {
				return true
			}
		case slices.ContainsFunc(n.Addresses[c.Name], func(a netip.Prefix) bool { return a.Addr().Is4() == server.Is4() }):
			return true
		}
	}
	return false
}
