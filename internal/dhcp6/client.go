package dhcp6

import (
	"net/netip"
	"time"

	"firstlight/internal/timespan"
)

// State is where a client is.
type State uint8

// The states. Waiting is a pause after an address was taken by another
// machine, or a server refused too often.
const (
	Down State = iota
	Waiting
	Soliciting
	Requesting
	Confirming
	Declining
	Bound
	Renewing
	Rebinding
	Informing
	Informed
)

// String is the name of the state in capitals.
func (s State) String() string {
	return [...]string{"DOWN", "WAITING", "SOLICIT", "REQUEST", "CONFIRM", "DECLINE", "BOUND", "RENEW", "REBIND",
		"INFORMATION-REQUEST", "INFORMED"}[s]
}

// Never is the deadline of a client that waits for nothing.
const Never = timespan.Forever

// exchange is how a message is repeated, section 15: the first wait, the
// longest, the number of packets and the time for all of them; 0 is without
// end.
type exchange struct {
	first, longest time.Duration
	count          int
	total          time.Duration
}

// The RFC has an hour as the longest wait of the first and the last. Where a
// boot waits for it that is too long.
var (
	solicitTimes = exchange{first: time.Second, longest: 32 * time.Second}
	requestTimes = exchange{first: time.Second, longest: 30 * time.Second, count: 10}
	confirmTimes = exchange{first: time.Second, longest: 4 * time.Second, total: 10 * time.Second}
	declineTimes = exchange{first: time.Second, longest: 8 * time.Second, count: 4}
	renewTimes   = exchange{first: 10 * time.Second, longest: 600 * time.Second}
	informTimes  = exchange{first: time.Second, longest: 32 * time.Second}
)

const (
	// collectFor is how long other offers are waited for after the first one that
	// does not say it is the best. The RFC has a second; several servers of one
	// link answer within less.
	collectFor  = 100 * time.Millisecond
	bestOffer   = 255 // the preference that needs no waiting
	waitRefused = 10 * time.Second
)

// Config is what a client is to know and say.
type Config struct {
	DUID []byte // the machine's; see package duid
	IAID uint32 // the interface's, the same in every boot
	// Stateless asks only for what goes with addresses: name servers, what to
	// boot.
	Stateless   bool
	RapidCommit bool   // two packets instead of four
	FQDN        string // the machine's name, "" to say nothing
	VendorClass string // "" to say nothing
	Enterprise  uint32 // of VendorClass
	UserClass   string // "" to say nothing
	// Ask are options to ask for beside those that Lease reads.
	Ask []Code
	// Rand gives random bits.
	Rand func() uint32
}

// Change is what became of the lease.
type Change uint8

// The changes.
const (
	NoChange Change = iota
	Acquired        // a new lease, to be configured in place of an old one
	Renewed         // the same addresses with other times, perhaps other options
	Lost            // the addresses must not be used any more
)

// Output is what comes of an input.
type Output struct {
	// Send is the payload of a UDP packet from ClientPort of the link-local
	// address to ServerPort of AllServers; nil: nothing.
	Send   []byte
	Change Change
	Lease  *Lease // with Acquired and Renewed the lease, with Lost the old one
	Why    string // with Lost, for a person
}

// Client is the client's side on one interface. Every method takes the time
// since any fixed moment, which never goes back. See New.
type Client struct {
	cfg     Config
	state   State
	xid     uint32
	start   time.Duration // of this exchange
	tries   int
	rt      time.Duration
	retry   time.Duration // when the packet is sent again
	collect time.Duration // until when offers are compared, Never if none is there
	pause   time.Duration // the end of Waiting

	offer    *Lease
	lease    *Lease
	got      time.Duration
	declined []netip.Addr
	refused  int
	trouble  string
}

// New is a client without a link.
func New(cfg Config) *Client {
	return &Client{cfg: cfg, retry: Never, collect: Never, pause: Never}
}

// State is the client's state.
func (c *Client) State() State { return c.state }

// Lease is the lease that holds, nil if none does.
func (c *Client) Lease() *Lease { return c.lease }

// Expires is when the last address of the lease ends; Never without addresses.
func (c *Client) Expires() time.Duration {
	if c.lease == nil || len(c.lease.Addrs) == 0 {
		return Never
	}
	return later(c.got, c.lease.Lifetime())
}

func later(t, d time.Duration) time.Duration {
	if d > Never-t {
		return Never
	}
	return t + d
}

// Next is when Deadline is to be called; Never if nothing is waited for.
func (c *Client) Next() time.Duration {
	next := min(c.retry, c.collect, c.pause, c.Expires())
	if c.lease == nil {
		return next
	}
	switch c.state {
	case Bound:
		next = min(next, later(c.got, c.lease.Renew), later(c.got, c.lease.Rebind))
	case Renewing:
		next = min(next, later(c.got, c.lease.Rebind))
	case Informed:
		next = min(next, later(c.got, c.lease.Renew))
	}
	return next
}

// Link says whether there is a carrier and a link-local address that the kernel
// has found to be ours alone. The first packet goes out at once. A lease
// survives a link that goes down; when it is back the servers are asked whether
// it holds there.
func (c *Client) Link(now time.Duration, up bool) Output {
	switch {
	case up == (c.state != Down):
		return Output{}
	case !up:
		c.stop(Down)
		return Output{}
	}
	c.trouble, c.refused = "", 0
	if c.lease != nil && now >= c.Expires() {
		out := c.lose("the addresses ended while there was no link")
		out.Send = c.begin(now, Soliciting)
		return out
	}
	switch {
	case c.cfg.Stateless:
		return Output{Send: c.begin(now, Informing)}
	case c.lease != nil:
		return Output{Send: c.begin(now, Confirming)}
	}
	return Output{Send: c.begin(now, Soliciting)}
}

// stop goes to a state that sends nothing.
func (c *Client) stop(s State) {
	c.state, c.offer = s, nil
	c.retry, c.collect, c.pause = Never, Never, Never
}

// begin goes to a state with an exchange and makes its first packet.
func (c *Client) begin(now time.Duration, s State) []byte {
	if s != Requesting && s != Declining {
		c.offer = nil
	}
	c.state, c.start, c.tries, c.rt = s, now, 0, 0
	c.collect, c.pause = Never, Never
	c.xid = c.cfg.Rand() & 0xffffff
	return c.send(now)
}

// send makes the packet of the state and sets when it is sent again.
func (c *Client) send(now time.Duration) []byte {
	c.tries++
	x := c.times()
	if c.rt == 0 {
		c.rt = c.spread(x.first, x.first)
	} else {
		c.rt = c.spread(2*c.rt, c.rt)
	}
	if c.rt > x.longest {
		c.rt = c.spread(x.longest, x.longest)
	}
	c.retry = later(now, c.rt)
	if x.total > 0 {
		c.retry = min(c.retry, later(c.start, x.total))
	}
	return c.message(now).Append(nil)
}

func (c *Client) times() exchange {
	switch c.state {
	case Requesting:
		return requestTimes
	case Confirming:
		return confirmTimes
	case Declining:
		return declineTimes
	case Renewing, Rebinding:
		return renewTimes
	case Informing:
		return informTimes
	}
	return solicitTimes
}

// spread varies a time by up to a tenth of another, as the RFC has it; the
// first wait of a Solicit only becomes longer.
func (c *Client) spread(d, of time.Duration) time.Duration {
	by := of / 10
	r := time.Duration(uint64(c.cfg.Rand()) * uint64(2*by) >> 32)
	if c.state == Soliciting && c.rt == 0 {
		return d + r/2
	}
	return d - by + r
}

// Deadline says that the time of Next has come.
func (c *Client) Deadline(now time.Duration) Output {
	if now < c.Next() {
		return Output{}
	}
	if c.lease != nil && now >= c.Expires() {
		out := c.lose("the addresses ended and no server renewed them")
		if c.state != Down {
			out.Send = c.begin(now, Soliciting)
		}
		return out
	}
	switch c.state {
	case Waiting:
		return Output{Send: c.begin(now, Soliciting)}
	case Soliciting:
		if now >= c.collect {
			return Output{Send: c.begin(now, Requesting)}
		}
	case Bound:
		if now >= later(c.got, c.lease.Rebind) {
			return Output{Send: c.begin(now, Rebinding)}
		}
		return Output{Send: c.begin(now, Renewing)}
	case Renewing:
		if now >= later(c.got, c.lease.Rebind) {
			return Output{Send: c.begin(now, Rebinding)}
		}
	case Informed:
		return Output{Send: c.begin(now, Informing)}
	}
	x := c.times()
	if x.count == 0 || c.tries < x.count {
		if x.total == 0 || now < later(c.start, x.total) {
			return Output{Send: c.send(now)}
		}
	}
	switch c.state {
	case Confirming:
		// Nobody says that the addresses do not hold, so they do.
		c.bind(now)
		return Output{}
	case Declining:
		c.stop(Waiting)
		c.pause = later(now, waitRefused)
		return Output{}
	}
	c.trouble = "a server offered " + c.offer.Addrs[0].Addr.String() + " and did not confirm it"
	return Output{Send: c.begin(now, Soliciting)}
}

// bind goes to the state of a lease that holds. A renewal that is overdue, as
// after a link that was down for long, begins after a moment.
func (c *Client) bind(now time.Duration) {
	c.stop(Bound)
	c.trouble, c.refused = "", 0
	switch {
	case c.cfg.Stateless:
		c.state = Informed
		return
	case now >= later(c.got, c.lease.Rebind):
		c.state = Rebinding
	case now >= later(c.got, c.lease.Renew):
		c.state = Renewing
	default:
		return
	}
	c.start, c.tries, c.rt = now, 0, 0
	c.xid = c.cfg.Rand() & 0xffffff
	c.retry = later(now, c.spread(time.Second, time.Second))
}

func (c *Client) lose(why string) Output {
	old := c.lease
	c.lease = nil
	if c.state == Down {
		c.retry = Never
	}
	return Output{Change: Lost, Lease: old, Why: why}
}

// Conflict says that the kernel has found another machine with an address of the
// lease. The server is told, the lease is gone, and after a pause it begins
// anew.
func (c *Client) Conflict(now time.Duration, a netip.Addr) Output {
	if c.lease == nil || c.state == Down || !c.lease.has(a) {
		return Output{}
	}
	out := c.lose(a.String() + " is another machine's")
	c.trouble = out.Why
	c.declined = []netip.Addr{a}
	c.offer = out.Lease // whose server is told
	out.Send = c.begin(now, Declining)
	return out
}

func (l *Lease) has(a netip.Addr) bool {
	for _, b := range l.Addrs {
		if a == b.Addr {
			return true
		}
	}
	return false
}
