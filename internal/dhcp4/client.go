package dhcp4

import (
	"math"
	"net/netip"
	"time"

	"firstlight/internal/timespan"
)

// State is where a client is in figure 5 of RFC 2131.
type State uint8

// The states. Down and Waiting are not the RFC's: there is no carrier, and a
// pause after an address was refused or taken.
const (
	Down State = iota
	Waiting
	Selecting
	Requesting
	Rebooting
	Bound
	Renewing
	Rebinding
)

// String is the RFC's name.
func (s State) String() string {
	return [...]string{"DOWN", "INIT", "SELECTING", "REQUESTING", "REBOOTING", "BOUND", "RENEWING", "REBINDING"}[s]
}

// The times of a client. The RFC has 4 s for the first wait, of the days of
// 10 Mbit/s, and up to 64 s: a boot that lost its first packet should not take
// 4 s for that, nor one whose server comes late a minute. A later answer to an
// earlier packet is as good, all have the same number.
const (
	firstWait   = time.Second
	longestWait = 32 * time.Second
	// conflictWait is the RFC's pause after a DECLINE, so that a server which
	// gives the same address again does not fill the network.
	conflictWait = 10 * time.Second
	// leastRenewal is the shortest wait while a lease is renewed.
	leastRenewal = 60 * time.Second

	requestTries = 4 // REQUESTs for an offer before looking for another one
	rebootTries  = 2 // REQUESTs for the address of old
)

// Never is the deadline of a client that waits for nothing.
const Never = timespan.Forever

// Config is what a client is to know and say.
type Config struct {
	HWType byte   // ARP's: 1 Ethernet, 32 InfiniBand
	HWAddr []byte // its hardware address, 6 or 20 bytes
	// ClientID is option 61 in full. nil stands for the hardware type and
	// address, as most servers expect; see internal/duid for RFC 4361's.
	ClientID    []byte
	HostName    string // option 12, "" for none
	VendorClass string // option 60, "" for none
	UserClass   string // option 77, "" for none
	// Ask are options to ask for beside those that Lease reads.
	Ask []Code
	// RapidCommit asks for two packets instead of four, RFC 4039.
	RapidCommit bool
	// Broadcast asks for answers by broadcast from the first packet on.
	Broadcast bool
	// Previous is an address to ask for again, of a lease of an earlier boot.
	Previous netip.Addr
	// Rand gives random bits. They spread the retries of many machines, and
	// the transaction numbers.
	Rand func() uint32
}

// Packet is one to send.
type Packet struct {
	Data []byte // payload of UDP
	// From is the source address, 0.0.0.0 for a client without one; To is
	// where it goes, 255.255.255.255 to everybody on the link. The ports are
	// ClientPort and ServerPort.
	From, To netip.Addr
}

// Change is what became of the lease.
type Change uint8

// The changes.
const (
	NoChange Change = iota
	Acquired        // a new lease, to be configured in place of an old one
	Renewed         // the same address with other times, perhaps other options
	Lost            // the lease must not be used any more: it ended or was taken back
)

// Output is what comes of an input.
type Output struct {
	Send   *Packet // nil: nothing
	Change Change
	Lease  *Lease // with Acquired and Renewed the lease, with Lost the old one
	Why    string // with Lost, for a person
}

// Client is the client's side on one interface. Every method takes the time
// since any fixed moment, which never goes back. The zero value is not ready;
// see New.
type Client struct {
	cfg   Config
	state State
	xid   uint32
	start time.Duration // of this attempt: what "secs" counts from
	sent  time.Duration // when the first packet of this state was sent
	last  time.Duration // and the last one
	tries int           // packets of this state
	total int           // packets of this attempt
	bcast bool          // answers are asked for by broadcast from now on
	wait  time.Duration // before randomisation
	next  time.Duration

	offer *Lease
	lease *Lease
	got   time.Duration // when the lease began
	want  netip.Addr    // to ask for

	refused int    // NAKs and conflicts in a row
	trouble string // what was last wrong with an answer
}

// New is a client without a carrier.
func New(cfg Config) *Client {
	return &Client{cfg: cfg, next: Never, want: cfg.Previous}
}

// State is the client's state.
func (c *Client) State() State { return c.state }

// Next is when Deadline is to be called; Never if nothing is waited for.
func (c *Client) Next() time.Duration { return c.next }

// Lease is the lease that holds, nil if none does.
func (c *Client) Lease() *Lease { return c.lease }

// Expires is when the lease ends; Never without a lease and for one that does
// not end.
func (c *Client) Expires() time.Duration {
	if c.lease == nil {
		return Never
	}
	return c.after(c.lease.Lifetime)
}

// after is a moment counted from the beginning of the lease.
func (c *Client) after(d time.Duration) time.Duration { return later(c.got, d) }

func later(t, d time.Duration) time.Duration {
	if d > Never-t {
		return Never
	}
	return t + d
}

// Carrier says whether the link is up. The first packet goes out at once. A
// lease survives a link that goes down, and is asked for again when it is back:
// it may be another network.
func (c *Client) Carrier(now time.Duration, up bool) Output {
	switch {
	case up == (c.state != Down):
		return Output{}
	case !up:
		c.state, c.offer, c.next = Down, nil, c.Expires()
		return Output{}
	}
	c.trouble, c.refused, c.bcast = "", 0, false
	var out Output
	if c.lease != nil && now >= c.Expires() {
		out = c.lose("the lease ended while there was no carrier")
	}
	first := Selecting
	if c.want.IsValid() {
		first = Rebooting
	}
	out.Send = c.begin(now, first).Send
	return out
}

// begin starts an attempt.
func (c *Client) begin(now time.Duration, s State) Output {
	c.start, c.offer, c.total = now, nil, 0
	c.xid = c.cfg.Rand()
	return c.enter(now, s)
}

// enter goes to a state and sends its first packet.
func (c *Client) enter(now time.Duration, s State) Output {
	c.state, c.tries, c.wait, c.sent = s, 0, firstWait, now
	return c.send(now)
}

// pause waits before the next attempt.
func (c *Client) pause(now, d time.Duration) {
	c.state, c.offer = Waiting, nil
	c.next = later(now, d)
}

// send sends the state's packet and sets the next deadline.
func (c *Client) send(now time.Duration) Output {
	c.tries++
	c.total++
	c.last = now
	c.bcast = c.bcast || c.tries >= broadcastAfter
	c.next = later(now, c.spread(c.wait))
	c.wait = min(2*c.wait, longestWait)
	switch c.state {
	case Renewing, Rebinding:
		c.next = c.renewNext(now)
	case Rebooting:
		if c.lease != nil {
			c.next = min(c.next, c.Expires())
		}
	}
	return Output{Send: c.packet(now)}
}

// spread varies a wait: by a second either way, as the RFC has it, or by a
// quarter if that is less.
func (c *Client) spread(d time.Duration) time.Duration {
	by := min(time.Second, d/4)
	return d - by + time.Duration(uint64(c.cfg.Rand())*uint64(2*by)/math.MaxUint32)
}

// renewNext is the next deadline while a lease is renewed: half of the time
// that is left in the state, and not less than a minute, or a sixteenth of a
// short lease.
func (c *Client) renewNext(now time.Duration) time.Duration {
	end := c.Expires()
	if c.state == Renewing {
		end = c.after(c.lease.Rebind)
	}
	least := max(min(leastRenewal, c.lease.Lifetime/16), time.Second)
	return min(later(now, max((end-now)/2, least)), end)
}

// Deadline says that the time of Next has come.
func (c *Client) Deadline(now time.Duration) Output {
	if now < c.next {
		return Output{}
	}
	if c.lease != nil && now >= c.Expires() {
		out := c.lose("the lease ended and no server renewed it")
		if c.state != Down {
			out.Send = c.begin(now, Selecting).Send
		}
		return out
	}
	switch c.state {
	case Waiting:
		return c.begin(now, Selecting)
	case Requesting:
		if c.tries >= requestTries {
			c.trouble = c.offer.Server.String() + " offered " + c.offer.Addr.Addr().String() + " and did not confirm it"
			return c.begin(now, Selecting)
		}
	case Rebooting:
		if c.tries < rebootTries {
			break
		}
		if c.lease == nil {
			return c.begin(now, Selecting) // and asks for the same address there
		}
		// Nobody says that the lease does not hold, so it does.
		c.bind(now)
		return Output{}
	case Bound:
		if now >= c.after(c.lease.Rebind) {
			return c.begin(now, Rebinding)
		}
		if now >= c.after(c.lease.Renew) {
			return c.begin(now, Renewing)
		}
	case Renewing:
		if now >= c.after(c.lease.Rebind) {
			return c.begin(now, Rebinding)
		}
	case Down:
		c.next = c.Expires()
		return Output{}
	}
	return c.send(now)
}

// bind goes to Bound, with the deadline that comes next.
func (c *Client) bind(now time.Duration) {
	c.state, c.total, c.refused, c.trouble, c.offer = Bound, 0, 0, "", nil
	c.next = min(c.after(c.lease.Renew), c.after(c.lease.Rebind), c.Expires())
	if c.next <= now {
		// Renewal is overdue, as after a link that was down for long.
		c.next = later(now, c.spread(firstWait))
	}
}

// lose gives the lease up. The same address may be asked for again.
func (c *Client) lose(why string) Output {
	old := c.lease
	c.lease, c.want, c.next = nil, old.Addr.Addr(), Never
	return Output{Change: Lost, Lease: old, Why: why}
}

// Conflict says that another machine has the address of the lease: an answer to
// the caller's ARP probe. The server is told, the lease is gone, and after 10 s
// it begins anew.
func (c *Client) Conflict(now time.Duration) Output {
	if c.lease == nil || c.state == Down {
		return Output{}
	}
	old := c.lease
	m := c.message(now, Decline)
	m.Secs, m.Broadcast = 0, false
	m.Options = append(m.Options,
		Option{OptRequested, old.Addr.Addr().AsSlice()},
		Option{OptServer, old.Server.AsSlice()})
	c.lease, c.want = nil, netip.Addr{}
	c.refused++
	c.trouble = old.Addr.Addr().String() + ", which " + old.Server.String() + " gave, is another machine's"
	c.pause(now, conflictWait)
	return Output{
		Send:   &Packet{m.Append(nil), netip.IPv4Unspecified(), broadcast()},
		Change: Lost, Lease: old, Why: c.trouble,
	}
}

func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }
