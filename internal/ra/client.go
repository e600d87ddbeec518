package ra

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"firstlight/internal/timespan"
)

// Never is the deadline of a client that waits for nothing.
const Never = timespan.Forever

// The times of a client. RFC 4861 asks every 4 s, three times; a boot that lost
// the first packet should not take 4 s for that, and RFC 7559 goes on asking.
const (
	firstWait   = time.Second
	longestWait = 32 * time.Second
	// leastValid is what an advertisement can shorten an address to, RFC 4862,
	// section 5.5.3: nobody can take addresses away at once.
	leastValid = 2 * time.Hour
)

// Limits of what is kept of all routers of a link.
const (
	maxRouters = 16
	maxAddrs   = 16
	maxKept    = 32 // routes, prefixes
	maxDAD     = 3  // addresses tried for one prefix
)

// Config is what a client is to know.
type Config struct {
	// MAC is the interface's hardware address, which solicitations carry.
	MAC []byte
	// ID is the lower half of an address of the prefix, the n-th that is tried:
	// 0, and 1 and 2 if the ones before are other machines'. See EUI64.
	ID func(prefix netip.Prefix, n int) (id [8]byte, ok bool)
	// Rand gives random bits.
	Rand func() uint32
}

// EUI64 is the identifier of a hardware address (RFC 4291, appendix A), of 6
// bytes or the last 8 of InfiniBand's 20. There is only one.
func EUI64(mac []byte) func(netip.Prefix, int) ([8]byte, bool) {
	var id [8]byte
	switch len(mac) {
	case 6:
		id = [8]byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
	case 20:
		copy(id[:], mac[12:])
		id[0] |= 2
	}
	return func(_ netip.Prefix, n int) ([8]byte, bool) { return id, n == 0 && id != [8]byte{} }
}

// Addr is an address that the interface is to have.
type Addr struct {
	// Addr has the length of the network if that is on the link, otherwise 128.
	// The network is in Settings.Routes too: the kernel need not add it.
	Addr netip.Prefix
	// PreferredUntil and ValidUntil are moments; Never for what has no end.
	PreferredUntil, ValidUntil time.Duration
}

// RouteVia is a route that the interface is to have; without a router, the
// network is on the link.
type RouteVia struct {
	Dst        netip.Prefix
	Via        netip.Addr
	Preference Preference
	Until      time.Duration
}

// Settings is what the interface is to be like.
type Settings struct {
	Addrs  []Addr
	Routes []RouteVia
	DNS    []netip.Addr
	Search []string
	MTU    int // 0: nothing is said
	// HopLimit is 0 if nothing is said.
	HopLimit byte
	// Managed and Other say that there is more by DHCPv6: addresses, or what
	// goes with them.
	Managed, Other bool
}

// Output is what comes of an input.
type Output struct {
	// Send is a message to AllRouters with a hop limit of 255, from the
	// link-local address; nil: nothing.
	Send []byte
	// Changed says that Settings has something new, if only a later end.
	Changed bool
}

// kept is something that ends.
type kept[T any] struct {
	v     T
	from  netip.Addr
	until time.Duration
}

type network struct {
	Prefix
	preferred time.Duration // until
	tried     int           // addresses that were another machine's
}

// Client is one interface's side. Every method takes the time since any fixed
// moment, which never goes back. See New.
type Client struct {
	cfg      Config
	up       bool
	heard    bool
	asked    int
	retry    time.Duration
	wait     time.Duration
	routers  []kept[Advertisement]
	networks []kept[network]
	routes   []kept[Route]
	dns      []kept[netip.Addr]
	search   []kept[string]
	trouble  string
}

// New is a client without a link.
func New(cfg Config) *Client { return &Client{cfg: cfg, retry: Never} }

// Link says whether there is a carrier and a link-local address that the kernel
// has found to be ours alone. The first solicitation goes out at once. What was
// heard before stays until it ends, or the same router says something else.
func (c *Client) Link(now time.Duration, up bool) Output {
	if up == c.up {
		return Output{}
	}
	c.up, c.retry, c.heard = up, Never, false
	if !up {
		return Output{}
	}
	c.asked, c.wait, c.trouble = 0, firstWait, ""
	return Output{Send: c.solicit(now)}
}

func (c *Client) solicit(now time.Duration) []byte {
	c.asked++
	by := c.wait / 10
	c.retry = now + c.wait - by + time.Duration(uint64(c.cfg.Rand())*uint64(2*by)>>32)
	c.wait = min(2*c.wait, longestWait)
	return Solicitation(c.cfg.MAC)
}

// Next is when Deadline is to be called; Never if nothing is waited for.
func (c *Client) Next() time.Duration {
	next := c.retry
	next = min(next, end(c.routers), end(c.networks), end(c.routes), end(c.dns), end(c.search))
	return next
}

func end[T any](list []kept[T]) time.Duration {
	next := Never
	for i := range list {
		next = min(next, list[i].until)
	}
	return next
}

// Deadline says that the time of Next has come: what ended is dropped, and
// routers are asked again as long as none has answered.
func (c *Client) Deadline(now time.Duration) Output {
	var out Output
	drop(&c.routers, now, &out)
	drop(&c.networks, now, &out)
	drop(&c.routes, now, &out)
	drop(&c.dns, now, &out)
	drop(&c.search, now, &out)
	if now >= c.retry {
		out.Send = c.solicit(now)
	}
	return out
}

func drop[T any](list *[]kept[T], now time.Duration, out *Output) {
	n := len(*list)
	*list = slices.DeleteFunc(*list, func(k kept[T]) bool { return k.until <= now })
	out.Changed = out.Changed || len(*list) != n
}

// Packet takes an ICMPv6 message, whom it is from, and its hop limit. Only what
// comes from the link itself counts.
func (c *Client) Packet(now time.Duration, b []byte, from netip.Addr, hopLimit int) Output {
	if !c.up || hopLimit != defaultTTL || !from.IsLinkLocalUnicast() {
		return Output{}
	}
	from = from.WithZone("")
	a, err := Parse(b)
	if err != nil {
		if !c.heard {
			c.trouble = from.String() + ": " + err.Error()
		}
		return Output{}
	}
	c.heard, c.retry, c.trouble = true, Never, ""
	// The router is kept for its flags as long as anything of it holds.
	life := max(a.RouterLifetime, time.Second)
	for _, p := range a.Prefixes {
		life = max(life, p.Valid)
	}
	put(&c.routers, maxRouters, *a, from, later(now, life), func(old *kept[Advertisement]) bool { return old.from == from })
	for _, p := range a.Prefixes {
		c.network(now, p, from)
	}
	// A route to everywhere is one as others are, and says so more precisely.
	everywhere := Route{netip.PrefixFrom(netip.IPv6Unspecified(), 0), a.Preference, a.RouterLifetime}
	for _, r := range append([]Route{everywhere}, a.Routes...) {
		put(&c.routes, maxKept, r, from, later(now, r.Lifetime), func(old *kept[Route]) bool { return old.from == from && old.v.Dst == r.Dst })
	}
	for _, s := range a.DNS {
		put(&c.dns, maxEach, s, from, later(now, a.DNSLifetime), func(old *kept[netip.Addr]) bool { return old.v == s })
	}
	for _, s := range a.Search {
		put(&c.search, maxEach, s, from, later(now, a.SearchLifetime), func(old *kept[string]) bool { return old.v == s })
	}
	out := Output{Changed: true}
	drop(&c.routes, now, &out) // what ends now is taken back
	drop(&c.dns, now, &out)
	drop(&c.search, now, &out)
	drop(&c.networks, now, &out)
	return out
}

func later(t, d time.Duration) time.Duration {
	if d > Never-t {
		return Never
	}
	return t + d
}

// put keeps a value in place of the one that is the same; if there is no room,
// it is not kept.
func put[T any](list *[]kept[T], limit int, v T, from netip.Addr, until time.Duration, same func(*kept[T]) bool) {
	for i := range *list {
		if same(&(*list)[i]) {
			(*list)[i] = kept[T]{v, from, until}
			return
		}
	}
	if len(*list) < limit {
		*list = append(*list, kept[T]{v, from, until})
	}
}

// network keeps a prefix by the rules of RFC 4862, section 5.5.3.
func (c *Client) network(now time.Duration, p Prefix, from netip.Addr) {
	if p.Prefix.Addr().IsLinkLocalUnicast() || p.Prefix.Addr().IsMulticast() || p.Prefix.Bits() == 0 || p.Preferred > p.Valid {
		return
	}
	n := network{Prefix: p, preferred: later(now, p.Preferred)}
	for i := range c.networks {
		old := &c.networks[i]
		if old.v.Prefix.Prefix != p.Prefix {
			continue
		}
		n.tried = old.v.tried
		until := later(now, p.Valid)
		if old.v.Auto && p.Valid <= leastValid && until < old.until {
			until = min(old.until, later(now, leastValid))
			n.Auto = true
		}
		*old = kept[network]{n, from, until}
		return
	}
	if p.Valid > 0 && len(c.networks) < maxKept {
		c.networks = append(c.networks, kept[network]{n, from, later(now, p.Valid)})
	}
}

// Conflict says that the kernel has found another machine with the address. The
// next one of the prefix is tried, if there is one.
func (c *Client) Conflict(a netip.Addr) Output {
	for i := range c.networks {
		n := &c.networks[i].v
		if have, ok := c.address(n); ok && have.Addr() == a {
			n.tried++
			c.trouble = a.String() + " is another machine's"
			return Output{Changed: true}
		}
	}
	return Output{}
}

// address is the one that is made of a prefix, if one can be.
func (c *Client) address(n *network) (netip.Prefix, bool) {
	if !n.Auto || n.Prefix.Prefix.Bits() != 64 || n.tried >= maxDAD {
		return netip.Prefix{}, false
	}
	id, ok := c.cfg.ID(n.Prefix.Prefix, n.tried)
	if !ok {
		return netip.Prefix{}, false
	}
	b := n.Prefix.Prefix.Addr().As16()
	copy(b[8:], id[:])
	bits := 128
	if n.OnLink {
		bits = 64
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), bits), true
}

// Settings is what the interface is to be like now.
func (c *Client) Settings() Settings {
	var s Settings
	for i := range c.networks {
		n := &c.networks[i]
		if a, ok := c.address(&n.v); ok && len(s.Addrs) < maxAddrs {
			s.Addrs = append(s.Addrs, Addr{a, min(n.v.preferred, n.until), n.until})
		}
		if n.v.OnLink {
			s.Routes = append(s.Routes, RouteVia{Dst: n.v.Prefix.Prefix, Until: n.until})
		}
	}
	for i := range c.routers {
		r := &c.routers[i]
		s.Managed, s.Other = s.Managed || r.v.Managed, s.Other || r.v.Other
		set(&s.MTU, r.v.MTU)
		set(&s.HopLimit, r.v.HopLimit)
	}
	for _, r := range c.routes {
		s.Routes = append(s.Routes, RouteVia{r.v.Dst, r.from, r.v.Preference, r.until})
	}
	// The more preferred first, otherwise in the order in which they were heard.
	slices.SortStableFunc(s.Routes, func(a, b RouteVia) int {
		if a.Via.IsValid() != b.Via.IsValid() {
			if b.Via.IsValid() {
				return -1
			}
			return 1
		}
		return int(b.Preference) - int(a.Preference)
	})
	for _, d := range c.dns {
		s.DNS = append(s.DNS, d.v)
	}
	for _, d := range c.search {
		s.Search = append(s.Search, d.v)
	}
	return s
}

// set keeps the first value that is not zero.
func set[T comparable](dst *T, v T) {
	var zero T
	if *dst == zero {
		*dst = v
	}
}

// Heard says whether a router has answered since the link came up.
func (c *Client) Heard() bool { return c.heard }

// Explain is the state for a person.
func (c *Client) Explain() string {
	s := ""
	switch {
	case !c.up:
		return "no carrier or no link-local address"
	case !c.heard && c.asked == 1:
		s = "no router has answered 1 solicitation"
	case !c.heard:
		s = "no router has answered " + strconv.Itoa(c.asked) + " solicitations"
	default:
		s = c.found()
	}
	if c.trouble != "" {
		s += "; " + c.trouble
	}
	return s
}

// found is what routers have said.
func (c *Client) found() string {
	set := c.Settings()
	switch {
	case len(set.Addrs) > 0:
		return set.Addrs[0].Addr.String() + " by a router"
	case set.Managed:
		return "the router leaves addresses to DHCPv6"
	}
	return "the router gives no prefix for addresses"
}
