package sshconf

import (
	"net/netip"
	"time"
)

// Gate decides which connections are taken. It knows no clock: the time comes with
// each call, counted from any point on.
type Gate struct {
	s        Settings
	from     map[netip.Addr]*caller
	all      bucket
	waiting  int
	sessions int
}

// caller is who connects: an address, or a network of IPv6.
type caller struct {
	bucket
	known bool // has logged in
	last  time.Duration
}

// bucket holds connections; it fills again in a minute.
type bucket struct {
	used float64
	at   time.Duration
}

const span = time.Minute

// take takes one, if there is one left of n.
func (b *bucket) take(now time.Duration, n int) bool {
	b.used = max(0, b.used-float64(now-b.at)/float64(span)*float64(n))
	b.at = now
	if b.used+1 > float64(n) {
		return false
	}
	b.used++
	return true
}

// maxCallers bounds how many addresses are remembered.
const maxCallers = 1024

// NewGate returns a gate with the limits of settings.
func NewGate(s Settings) *Gate { return &Gate{s: s, from: map[netip.Addr]*caller{}} }

// of is what counts as one address: with IPv6 whoever has one has 2^64.
func of(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Connect says why a connection is not taken, "" if it is: then Login or Leave
// follows. Who has logged in before is not held up by others who have not.
func (g *Gate) Connect(now time.Duration, from netip.Addr) string {
	a := of(from)
	c := g.from[a]
	if c == nil {
		g.forget(now)
		if len(g.from) >= maxCallers {
			return "too many addresses connect"
		}
		c = &caller{}
		g.from[a] = c
	}
	c.last = now
	switch {
	case !c.take(now, g.s.PerAddress):
		return "too many connections from this address"
	case !c.known && !g.all.take(now, g.s.InAll):
		return "too many connections"
	case g.waiting >= g.s.Logins:
		return "too many are logging in"
	}
	g.waiting++
	return ""
}

// forget drops addresses that have been silent for so long that they count as new.
func (g *Gate) forget(now time.Duration) {
	if len(g.from) < maxCallers {
		return
	}
	for a, c := range g.from {
		if !c.known && now-c.last >= span {
			delete(g.from, a)
		}
	}
}

// Login says that a connection that was taken has logged in, and whether there is
// room for its session; if so, End follows.
func (g *Gate) Login(from netip.Addr) bool {
	g.waiting--
	if c := g.from[of(from)]; c != nil {
		c.known = true
		c.used = max(0, c.used-1)
	}
	if g.sessions >= g.s.Sessions {
		return false
	}
	g.sessions++
	return true
}

// Leave says that a connection that was taken has gone without a login.
func (g *Gate) Leave() { g.waiting-- }

// End says that a session has ended.
func (g *Gate) End() { g.sessions-- }
