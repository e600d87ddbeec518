package dhcp4

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"
)

// Packet takes what came to ClientPort: the payload of UDP, and whom the packet
// is said to be from, which only messages for a person use. What is not for us
// is ignored; what is for us and cannot be used is remembered for Explain.
func (c *Client) Packet(now time.Duration, b []byte, from netip.Addr) Output {
	if c.state == Down || c.state == Waiting || c.state == Bound {
		return Output{}
	}
	m, err := Parse(b)
	if err != nil {
		// It may be anybody's: nothing tells whom it is for.
		return Output{}
	}
	if !c.isOurs(m) {
		return Output{}
	}
	switch m.Options.Type() {
	case Offer:
		return c.offered(now, m, from)
	case Ack:
		return c.acknowledged(now, m, from)
	case Nak:
		return c.refusedBy(now, m)
	}
	return Output{}
}

// isOurs says whether it answers what we sent.
func (c *Client) isOurs(m *Message) bool {
	if m.Op != OpReply || m.XID != c.xid || m.HType != c.cfg.HWType {
		return false
	}
	if c.cfg.HWType != hwInfiniBand && !bytes.Equal(m.HWAddr, c.cfg.HWAddr) {
		return false
	}
	// RFC 6842: a server that sends the identifier back sends ours.
	id := m.Options.Get(OptClientID)
	return id == nil || bytes.Equal(id, c.clientID())
}

// isProxy says whether it is an offer of what to boot alone, which PXE has
// beside a server for addresses.
func isProxy(m *Message) bool { return !m.YIAddr.IsValid() }

// unusable remembers what is wrong with an answer.
func (c *Client) unusable(what string, from netip.Addr, err error) Output {
	c.trouble = what + " of " + from.String() + " cannot be used: " + err.Error()
	return Output{}
}

// offered takes the first offer that can be used.
func (c *Client) offered(now time.Duration, m *Message, from netip.Addr) Output {
	if c.state != Selecting || isProxy(m) {
		return Output{}
	}
	l, err := m.Lease()
	if err != nil {
		return c.unusable("the offer", from, err)
	}
	c.offer = l
	return c.enter(now, Requesting)
}

// acknowledged takes the lease, or says what is wrong with it. One with another
// address than was asked for is not taken, whoever sent it.
func (c *Client) acknowledged(now time.Duration, m *Message, from netip.Addr) Output {
	if c.state == Selecting && !(c.cfg.RapidCommit && m.Options.Has(OptRapidCommit)) {
		return Output{}
	}
	l, err := m.Lease()
	if err != nil {
		return c.unusable("the acknowledgement", from, err)
	}
	if c.state == Requesting && l.Server != c.offer.Server {
		return Output{}
	}
	if c.state == Renewing && l.Server != c.lease.Server {
		return Output{}
	}
	if a := c.asked(); a.IsValid() && l.Addr.Addr() != a {
		c.trouble = from.String() + " acknowledged " + l.Addr.Addr().String() + " where " + a.String() + " was asked for"
		return Output{}
	}
	change := Acquired
	if c.lease != nil && c.lease.Addr == l.Addr {
		change = Renewed
	}
	// The lease counts from the first request: it may be that one which the
	// server has answered. A lease that would be half over by that is of a
	// server that has answered the last.
	if c.got = c.sent; later(c.got, l.Renew) <= now {
		c.got = c.last
	}
	c.lease, c.want = l, l.Addr.Addr()
	c.bind(now)
	return Output{Change: change, Lease: l}
}

// asked is the address that an acknowledgement has to have.
func (c *Client) asked() netip.Addr {
	switch {
	case c.state == Requesting:
		return c.offer.Addr.Addr()
	case c.lease != nil:
		return c.lease.Addr.Addr()
	case c.state == Rebooting:
		return c.want
	}
	return netip.Addr{}
}

// refusedBy takes a NAK of the server that was asked, and of any server where
// all were.
func (c *Client) refusedBy(now time.Duration, m *Message) Output {
	server, ok := m.Options.Addr(OptServer)
	if !ok {
		return Output{}
	}
	what := c.asked()
	switch c.state {
	case Requesting:
		if server != c.offer.Server {
			return Output{}
		}
	case Renewing:
		if server != c.lease.Server {
			return Output{}
		}
	case Selecting:
		return Output{}
	}
	why := server.String() + " refused " + what.String()
	if s, ok := text(m.Options.Get(OptMessage)); ok {
		why += " (" + strconv.Quote(s) + ")"
	}
	old := c.lease
	c.lease, c.want = nil, netip.Addr{}
	c.refused++
	var out Output
	if c.refused == 1 {
		out = c.begin(now, Selecting)
	} else {
		// A server that refuses what it offers must not be asked without end.
		d := min(firstWait<<min(c.refused-2, 6), longestWait)
		c.pause(now, c.spread(d))
	}
	c.trouble = why
	if old != nil {
		out.Change, out.Lease, out.Why = Lost, old, why
	}
	return out
}

// Explain is the state for a person: "no answer after 4 requests".
func (c *Client) Explain() string {
	var s string
	switch c.state {
	case Down:
		return "no carrier"
	case Waiting:
		s = "waiting before it asks again"
	case Selecting:
		s = "no answer after " + requests(c.total)
	case Requesting:
		s = "offered " + c.offer.Addr.String() + " by " + c.offer.Server.String() +
			", no confirmation after " + requests(c.tries)
	case Rebooting:
		s = "asked for " + c.asked().String() + " again, no answer after " + requests(c.tries)
	default:
		s = c.lease.Addr.String() + " from " + c.lease.Server.String()
		if c.state != Bound {
			s += ", not renewed after " + requests(c.tries)
		}
	}
	if c.trouble != "" {
		s += "; " + c.trouble
	}
	return s
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return strconv.Itoa(n) + " requests"
}
