package dhcp4

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// maxSize is the largest message that we say we take: a full Ethernet frame's
// (RFC 2132, section 9.10, counts the headers).
const maxSize = 1500

// hwInfiniBand is ARP's hardware type; RFC 4390 says what differs.
const hwInfiniBand = 32

// wanted are the options that every lease may have, in the order of RFC 3442:
// the classless routes before the routers.
var wanted = [...]Code{OptNetmask, OptRoutes, OptRoutesMS, OptRouter, OptDNS, OptHostName, OptDomain, OptSearch,
	OptMTU, OptBroadcast, OptNTP, OptRootPath, OptTFTPServer, OptBootFile,
	OptLeaseTime, OptServer, OptRenewal, OptRebinding}

// broadcastAfter is the packet of a state from which on answers are asked for by
// broadcast: some networks do not let through what is for an address that
// nobody has yet.
const broadcastAfter = 3

// message is what all messages of the client have.
func (c *Client) message(now time.Duration, t Type) *Message {
	m := &Message{
		Op: OpRequest, HType: c.cfg.HWType, HWAddr: c.cfg.HWAddr, XID: c.xid,
		Secs:      uint16(min((now-c.start)/time.Second, 0xffff)),
		Broadcast: c.cfg.Broadcast || c.bcast,
	}
	if c.cfg.HWType == hwInfiniBand {
		m.HWAddr, m.Broadcast = nil, true
	}
	m.Options = append(m.Options, Option{OptType, []byte{byte(t)}}, Option{OptClientID, c.clientID()})
	return m
}

// clientID is option 61.
func (c *Client) clientID() []byte {
	if c.cfg.ClientID != nil {
		return c.cfg.ClientID
	}
	return append([]byte{c.cfg.HWType}, c.cfg.HWAddr...)
}

// packet is the packet of the state (RFC 2131, table 5).
func (c *Client) packet(now time.Duration) *Packet {
	t := Request
	if c.state == Selecting {
		t = Discover
	}
	m := c.message(now, t)
	p := &Packet{From: netip.IPv4Unspecified(), To: broadcast()}
	ask := func(a netip.Addr) {
		if a.IsValid() {
			m.Options = append(m.Options, Option{OptRequested, a.AsSlice()})
		}
	}
	switch c.state {
	case Selecting:
		ask(c.want)
		if c.cfg.RapidCommit {
			m.Options = append(m.Options, Option{OptRapidCommit, nil})
		}
	case Requesting:
		ask(c.offer.Addr.Addr())
		m.Options = append(m.Options, Option{OptServer, c.offer.Server.AsSlice()})
	case Rebooting:
		if c.lease != nil {
			ask(c.lease.Addr.Addr())
		} else {
			ask(c.want)
		}
	case Renewing, Rebinding:
		m.Broadcast = c.cfg.HWType == hwInfiniBand
		m.CIAddr = c.lease.Addr.Addr()
		p.From = m.CIAddr
		if c.state == Renewing {
			p.To = c.lease.Server
		}
	}
	c.describe(m)
	p.Data = m.Append(nil)
	return p
}

// describe adds who we are and what we want to know.
func (c *Client) describe(m *Message) {
	add := func(code Code, s string) {
		if s != "" {
			m.Options = append(m.Options, Option{code, []byte(s)})
		}
	}
	add(OptHostName, c.cfg.HostName)
	add(OptVendorClass, c.cfg.VendorClass)
	add(OptUserClass, c.cfg.UserClass)
	m.Options = append(m.Options, Option{OptMaxSize, binary.BigEndian.AppendUint16(nil, maxSize)})
	list := make([]byte, 0, len(wanted)+len(c.cfg.Ask))
	for _, code := range wanted {
		list = append(list, byte(code))
	}
	for _, code := range c.cfg.Ask {
		list = append(list, byte(code))
	}
	m.Options = append(m.Options, Option{OptRequestList, list})
}
