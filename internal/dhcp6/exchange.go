package dhcp6

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// wanted are the options that every lease may have.
var wanted = [...]Code{OptDNS, OptDomains, OptSNTP, OptNTP, OptBootURL, OptBootParam}

// message is the message of the state, section 18.2.
func (c *Client) message(now time.Duration) *Message {
	m := &Message{XID: c.xid, Type: Solicit}
	m.Options = append(m.Options, Option{OptClientID, c.cfg.DUID})
	switch c.state {
	case Soliciting:
		m.Options = append(m.Options, c.ia(nil))
		if c.cfg.RapidCommit {
			m.Options = append(m.Options, Option{OptRapidCommit, nil})
		}
	case Requesting:
		m.Type = Request
		m.Options = append(m.Options, Option{OptServerID, c.offer.Server}, c.ia(c.offer.all()))
	case Confirming:
		m.Type = Confirm
		m.Options = append(m.Options, c.ia(c.lease.all()))
	case Declining:
		m.Type = Decline
		m.Options = append(m.Options, Option{OptServerID, c.offer.Server}, c.ia(c.declined))
	case Renewing:
		m.Type = Renew
		m.Options = append(m.Options, Option{OptServerID, c.lease.Server}, c.ia(c.lease.all()))
	case Rebinding:
		m.Type = Rebind
		m.Options = append(m.Options, c.ia(c.lease.all()))
	case Informing:
		m.Type = InformationRequest
	}
	elapsed := min((now-c.start)/(10*time.Millisecond), 0xffff)
	m.Options = append(m.Options, Option{OptElapsed, binary.BigEndian.AppendUint16(nil, uint16(elapsed))})
	if c.state != Confirming && c.state != Declining {
		c.describe(m)
	}
	return m
}

func (l *Lease) all() []netip.Addr {
	list := make([]netip.Addr, len(l.Addrs))
	for i, a := range l.Addrs {
		list[i] = a.Addr
	}
	return list
}

// ia is an IA_NA with addresses; the times are the server's to choose.
func (c *Client) ia(list []netip.Addr) Option {
	b := binary.BigEndian.AppendUint32(nil, c.cfg.IAID)
	b = append(b, make([]byte, 8)...)
	for _, a := range list {
		v := a.As16()
		b = Options{{OptIAAddr, append(v[:], make([]byte, 8)...)}}.append(b)
	}
	return Option{OptIANA, b}
}

// describe adds who we are and what we want to know.
func (c *Client) describe(m *Message) {
	if c.cfg.FQDN != "" && c.state != Informing {
		b := []byte{1} // the server may enter it in DNS
		for label := range strings.SplitSeq(strings.TrimSuffix(c.cfg.FQDN, "."), ".") {
			b = append(append(b, byte(min(len(label), 63))), label[:min(len(label), 63)]...)
		}
		if strings.Contains(c.cfg.FQDN, ".") {
			b = append(b, 0)
		}
		m.Options = append(m.Options, Option{OptFQDN, b})
	}
	class := func(code Code, head []byte, s string) {
		if s != "" {
			b := binary.BigEndian.AppendUint16(head, uint16(len(s)))
			m.Options = append(m.Options, Option{code, append(b, s...)})
		}
	}
	class(OptUserClass, nil, c.cfg.UserClass)
	class(OptVendorClass, binary.BigEndian.AppendUint32(nil, c.cfg.Enterprise), c.cfg.VendorClass)
	var b []byte
	for _, code := range wanted {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
	}
	if c.state == Informing {
		b = binary.BigEndian.AppendUint16(b, uint16(OptRefresh))
	}
	for _, code := range c.cfg.Ask {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
	}
	m.Options = append(m.Options, Option{OptRequest, b})
}

// Packet takes what came to ClientPort, and whom it came from, which only
// messages for a person use.
func (c *Client) Packet(now time.Duration, b []byte, from netip.Addr) Output {
	m, err := Parse(b)
	if err != nil || m.XID != c.xid || m.Type != Advertise && m.Type != Reply ||
		!bytes.Equal(m.Options.Get(OptClientID), c.cfg.DUID) || m.Options.Get(OptServerID) == nil {
		return Output{}
	}
	if m.Type == Advertise {
		return c.advertised(now, m, from)
	}
	switch c.state {
	case Soliciting:
		if c.cfg.RapidCommit && m.Options.Has(OptRapidCommit) {
			return c.leased(now, m, from)
		}
	case Requesting:
		if bytes.Equal(m.Options.Get(OptServerID), c.offer.Server) {
			return c.leased(now, m, from)
		}
	case Renewing:
		if bytes.Equal(m.Options.Get(OptServerID), c.lease.Server) {
			return c.leased(now, m, from)
		}
	case Rebinding, Informing:
		return c.leased(now, m, from)
	case Confirming:
		return c.confirmed(now, m, from)
	case Declining:
		if bytes.Equal(m.Options.Get(OptServerID), c.offer.Server) {
			c.stop(Waiting)
			c.pause = later(now, waitRefused)
		}
	}
	return Output{}
}

func (c *Client) unusable(what string, from netip.Addr, err error) {
	c.trouble = what + " of " + from.String() + " cannot be used: " + err.Error()
}

// advertised takes the best offer: the first with the highest preference among
// those that come within a moment.
func (c *Client) advertised(now time.Duration, m *Message, from netip.Addr) Output {
	if c.state != Soliciting {
		return Output{}
	}
	l, err := m.Lease(c.cfg.IAID, false)
	if err != nil {
		c.unusable("the offer", from, err)
		return Output{}
	}
	l.Server = bytes.Clone(l.Server)
	if c.offer == nil || l.preference > c.offer.preference {
		c.offer = l
	}
	if c.offer.preference == bestOffer || c.tries > 1 {
		return Output{Send: c.begin(now, Requesting)}
	}
	c.collect = min(c.collect, later(now, collectFor))
	return Output{}
}

// leased takes a lease, or acts on what the server says is wrong.
func (c *Client) leased(now time.Duration, m *Message, from netip.Addr) Output {
	l, err := m.Lease(c.cfg.IAID, c.cfg.Stateless)
	if err != nil {
		return c.refusedBy(now, from, err)
	}
	l.Server = bytes.Clone(l.Server)
	change := Acquired
	if c.lease != nil && sameAddrs(c.lease, l) {
		change = Renewed
	}
	c.lease, c.got = l, now
	c.bind(now)
	return Output{Change: change, Lease: l}
}

// sameAddrs says whether two leases have the same addresses, in any order.
func sameAddrs(a, b *Lease) bool {
	if len(a.Addrs) != len(b.Addrs) {
		return false
	}
	for _, x := range a.Addrs {
		if !b.has(x.Addr) {
			return false
		}
	}
	return true
}

// refusedBy acts on a reply without a lease: a binding that a server does not
// know is asked for anew, addresses that are not of this link are given up,
// and everything else waits for the next try (section 18.2.10.1).
func (c *Client) refusedBy(now time.Duration, from netip.Addr, err error) Output {
	c.unusable("the answer", from, err)
	if c.cfg.Stateless {
		return Output{}
	}
	trouble := c.trouble
	var s *StatusError
	errors.As(err, &s)
	var out Output
	switch {
	case c.state == Requesting:
		// Another attempt, later and later, as the server may do this for ever.
		c.refused++
		if c.refused == 1 {
			out.Send = c.begin(now, Soliciting)
		} else {
			c.stop(Waiting)
			c.pause = later(now, min(time.Second<<min(c.refused-2, 5), solicitTimes.longest))
		}
	case s == nil, c.lease == nil:
	case s.Status == NoBinding && c.refused == 0:
		c.refused++
		c.offer = c.lease
		out.Send = c.begin(now, Requesting)
	case s.Status == NotOnLink:
		out = c.lose(trouble)
		out.Send = c.begin(now, Soliciting)
	}
	c.trouble = trouble
	return out
}

// confirmed is the answer to Confirm: whether the addresses fit the link.
func (c *Client) confirmed(now time.Duration, m *Message, from netip.Addr) Output {
	err := status(m.Options)
	var s *StatusError
	if errors.As(err, &s) && s.Status == NotOnLink {
		c.unusable("the answer", from, err)
		trouble := c.trouble
		out := c.lose(trouble)
		out.Send = c.begin(now, Soliciting)
		c.trouble = trouble
		return out
	}
	if err == nil {
		c.bind(now)
	}
	return Output{}
}

// Explain is the state for a person.
func (c *Client) Explain() string {
	var s string
	switch c.state {
	case Down:
		return "no carrier or no link-local address"
	case Waiting:
		s = "waiting before it asks again"
	case Soliciting, Informing:
		s = "no answer after " + requests(c.tries)
	case Requesting:
		s = "offered " + c.offer.Addrs[0].Addr.String() + ", no confirmation after " + requests(c.tries)
	case Declining:
		s = "refusing an address"
	case Informed:
		s = "name servers and the like are known"
	case Confirming:
		s = c.lease.Addrs[0].Addr.String() + ", not confirmed after " + requests(c.tries)
	default:
		s = c.lease.Addrs[0].Addr.String()
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
