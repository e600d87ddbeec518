// Package ipv4ll chooses a link-local IPv4 address, 169.254.0.0/16, that nobody
// else on the link has, and keeps it (RFC 3927). It is pure: what was heard by
// ARP and the time come in; what to say by ARP and the address go out.
package ipv4ll

import (
	"net/netip"
	"time"

	"firstlight/internal/timespan"
)

// Never is the deadline of a client that waits for nothing.
const Never = timespan.Forever

// The times and numbers of section 9.
const (
	probeWait        = time.Second // the longest before the first probe
	probes           = 3
	probeMin         = time.Second
	probeMax         = 2 * time.Second
	announceWait     = 2 * time.Second
	announces        = 2
	announceInterval = 2 * time.Second
	maxConflicts     = 10
	rateLimit        = 60 * time.Second
	defendInterval   = 10 * time.Second
)

// State is what a client does.
type State uint8

// The states.
const (
	Down State = iota
	Probing
	Announcing // the address is ours and is used
	Bound
)

// Config is what a client is to know.
type Config struct {
	// Seed makes the first address that is tried, such as a number of the
	// hardware address, so that it is the same in every boot.
	Seed uint64
	// Previous is tried first, if it is valid.
	Previous netip.Addr
	// Rand gives random bits, for times.
	Rand func() uint32
}

// Output is what comes of an input.
type Output struct {
	// Probe is an address to ask for with the sender's address 0.0.0.0,
	// Announce one to ask for with itself as the sender's. At most one is
	// valid; both are ARP requests to everybody.
	Probe, Announce netip.Addr
	// Acquired and Lost are an address that begins and ends to be ours.
	Acquired, Lost netip.Addr
}

// ARP is what an ARP packet says, a request or a reply.
type ARP struct {
	SenderAddr, TargetAddr netip.Addr
	// Probe says that it is a request with the sender's address 0.0.0.0.
	Probe bool
	// Ours says that the sender's hardware address is our own: a packet that
	// comes back.
	Ours bool
}

// Client is one interface's side. Every method takes the time since any fixed
// moment, which never goes back. See New.
type Client struct {
	cfg       Config
	state     State
	addr      netip.Addr
	seed      uint64
	sent      int
	next      time.Duration
	conflicts int
	defended  time.Duration // when; Never if not since the address is ours
}

// New is a client without a link.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg, seed: cfg.Seed, next: Never, defended: Never}
	if c.addr = cfg.Previous; !usable(c.addr) {
		c.choose()
	}
	return c
}

// usable says whether the address is one of 169.254.1.0 to 169.254.254.255.
func usable(a netip.Addr) bool {
	return a.Is4() && a.IsLinkLocalUnicast() && a.As4()[2] != 0 && a.As4()[2] != 255
}

// choose takes the next address of the sequence that the seed begins: a linear
// congruential one (Knuth's MMIX), of which the high bits are good enough.
func (c *Client) choose() {
	c.seed = c.seed*6364136223846793005 + 1442695040888963407
	n := c.seed >> 33 % (254 * 256)
	c.addr = netip.AddrFrom4([4]byte{169, 254, byte(1 + n>>8), byte(n)})
}

// State is the client's state.
func (c *Client) State() State { return c.state }

// Next is when Deadline is to be called; Never if nothing is waited for.
func (c *Client) Next() time.Duration { return c.next }

// Addr is the address with its network, not valid as long as it is not ours.
func (c *Client) Addr() netip.Prefix {
	if c.state != Announcing && c.state != Bound {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(c.addr, 16)
}

// Carrier says whether the link is up. An address is given up with the link,
// and is the first one that is tried on the next.
func (c *Client) Carrier(now time.Duration, up bool) Output {
	switch {
	case up == (c.state != Down):
		return Output{}
	case !up:
		out := c.lose()
		c.state, c.next = Down, Never
		return out
	}
	c.conflicts = 0
	c.probe(now)
	return Output{}
}

// lose says that an address was ours, if one was.
func (c *Client) lose() Output {
	if p := c.Addr(); p.IsValid() {
		return Output{Lost: c.addr}
	}
	return Output{}
}

// probe begins to ask for the address, after a moment; after too many conflicts
// that is a minute.
func (c *Client) probe(now time.Duration) {
	c.state, c.sent, c.defended = Probing, 0, Never
	c.next = now + c.between(0, probeWait)
	if c.conflicts >= maxConflicts {
		c.next = now + rateLimit
	}
}

// between is a time from one to the other, by chance.
func (c *Client) between(from, to time.Duration) time.Duration {
	return from + time.Duration(uint64(c.cfg.Rand())*uint64(to-from)>>32) + 1
}

// Deadline says that the time of Next has come.
func (c *Client) Deadline(now time.Duration) Output {
	if now < c.next {
		return Output{}
	}
	switch c.state {
	case Probing:
		if c.sent < probes {
			if c.sent++; c.sent == probes {
				c.next = now + announceWait
			} else {
				c.next = now + c.between(probeMin, probeMax)
			}
			return Output{Probe: c.addr}
		}
		c.state, c.sent, c.conflicts = Announcing, 1, 0
		c.next = now + announceInterval
		return Output{Announce: c.addr, Acquired: c.addr}
	case Announcing:
		if c.sent++; c.sent >= announces {
			c.state, c.next = Bound, Never
		} else {
			c.next = now + announceInterval
		}
		return Output{Announce: c.addr}
	}
	c.next = Never
	return Output{}
}

// Heard takes an ARP packet of the link. Somebody with our address is told once
// that it is ours; if he says so again within 10 s, it is his.
func (c *Client) Heard(now time.Duration, a ARP) Output {
	if a.Ours || c.state == Down {
		return Output{}
	}
	if c.state == Probing {
		// Somebody has it, or asks for it at the same time.
		if a.SenderAddr == c.addr || a.Probe && a.TargetAddr == c.addr {
			c.conflicts++
			c.choose()
			c.probe(now)
		}
		return Output{}
	}
	if a.SenderAddr != c.addr {
		return Output{}
	}
	if c.defended == Never || now-c.defended >= defendInterval {
		c.defended = now
		return Output{Announce: c.addr}
	}
	out := c.lose()
	c.conflicts++
	c.choose()
	c.probe(now)
	return out
}

// Explain is the state for a person.
func (c *Client) Explain() string {
	switch {
	case c.state == Down:
		return "no carrier"
	case c.state == Probing && c.conflicts > 0:
		return "asking whether anybody has " + c.addr.String() + ", after others had the addresses before it"
	case c.state == Probing:
		return "asking whether anybody has " + c.addr.String()
	}
	return c.addr.String() + " of the link"
}
