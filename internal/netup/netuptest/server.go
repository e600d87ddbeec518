package netuptest

import (
	"net/netip"
	"slices"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netup"
)

// SendUDP implements netup.Kernel.
func (n *Net) SendUDP(link string, _, _ netip.AddrPort, payload []byte) error {
	for _, c := range n.Cards {
		if c.Name == link && n.reaches(c) {
			n.message(c, payload)
		}
	}
	return nil
}

// arp answers for the machines that have addresses.
func (n *Net) arp(c *Card, b []byte) {
	if len(b) < 28 {
		return
	}
	sender, _ := netip.AddrFromSlice(b[14:18])
	target, _ := netip.AddrFromSlice(b[24:28])
	if sender.IsUnspecified() {
		n.Probes++
	}
	if !slices.Contains(n.Taken, target) || !sender.IsUnspecified() {
		return
	}
	answer := slices.Clone(b[:28])
	answer[7] = 2
	copy(answer[8:], []byte{2, 0, 0, 0, 0, 0xee})
	copy(answer[14:], b[24:28])
	copy(answer[18:], b[8:18])
	n.travel(wire, func() { n.deliver(c, netup.Frame{Kind: netup.ARP, Data: answer}) })
}

func (n *Net) deliver(c *Card, f netup.Frame) {
	if c.open[f.Kind] && c.wire {
		n.Core.Frame(n.Now(), c.index, f)
		n.settle()
	}
}

// message is one to the DHCP server.
func (n *Net) message(c *Card, payload []byte) {
	n.Sent++
	s := n.Server
	if s == nil || n.Now() < s.From {
		return
	}
	if s.seen++; s.seen <= s.Lose {
		return
	}
	m, err := dhcp4.Parse(payload)
	if err != nil {
		return
	}
	answer := s.answer(m)
	if answer == nil {
		return
	}
	s.answers++
	if s.Hostile != nil {
		answer = s.Hostile(s.answers, answer)
	}
	frame := dhcp4.AppendFrame(nil, netip.AddrPortFrom(s.Addr, dhcp4.ServerPort), netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcp4.ClientPort), answer)
	n.travel(wire+s.Slow, func() { n.deliver(c, netup.Frame{Kind: netup.IPv4, Data: frame}) })
}

// answer is what the server says, nil for nothing.
func (s *Server) answer(m *dhcp4.Message) []byte {
	if len(s.Pool) == 0 {
		return nil
	}
	who := string(m.HWAddr)
	if _, ok := s.given[who]; !ok {
		if s.given == nil {
			s.given = map[string]int{}
		}
		s.given[who] = s.next
		s.next++
	}
	given := s.Pool[s.given[who]%len(s.Pool)]
	typ := dhcp4.Offer
	switch m.Options.Type() {
	case dhcp4.Discover:
	case dhcp4.Request:
		typ = dhcp4.Ack
		asked, ok := m.Options.Addr(dhcp4.OptRequested)
		if !ok {
			asked = m.CIAddr
		}
		if s.naks < s.Naks || asked != given.Addr() {
			s.naks++
			typ = dhcp4.Nak
		}
	case dhcp4.Decline:
		delete(s.given, who)
		return nil
	default:
		return nil
	}
	a := &dhcp4.Message{Op: dhcp4.OpReply, HType: m.HType, HWAddr: m.HWAddr, XID: m.XID, Broadcast: m.Broadcast}
	add := func(code dhcp4.Code, data []byte) {
		a.Options = append(a.Options, dhcp4.Option{Code: code, Data: data})
	}
	add(dhcp4.OptType, []byte{byte(typ)})
	add(dhcp4.OptServer, s.Addr.AsSlice())
	if typ == dhcp4.Nak {
		return a.Append(nil)
	}
	life := s.Life
	if life == 0 {
		life = 3600
	}
	a.YIAddr = given.Addr()
	add(dhcp4.OptLeaseTime, []byte{byte(life >> 24), byte(life >> 16), byte(life >> 8), byte(life)})
	mask := ^uint32(0) << (32 - given.Bits())
	add(dhcp4.OptNetmask, []byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})
	add(dhcp4.OptRouter, s.Addr.AsSlice())
	add(dhcp4.OptDNS, s.Addr.AsSlice())
	if s.Root != "" {
		add(dhcp4.OptRootPath, []byte(s.Root))
	}
	return a.Append(nil)
}
