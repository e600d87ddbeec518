package netup

import (
	"errors"
	"net/netip"
	"time"

	"firstlight/internal/dns"
)

// Times between the questions for a name.
const (
	firstAsk = time.Second
	lastAsk  = 8 * time.Second
)

// lookup is the question for the address of a root's server.
type lookup struct {
	name     string
	question []byte
	typ      dns.Type // of the last question
	other    bool     // the server says that there is none of typ, and the other sort is asked for
	tries    int
	next     time.Duration // of the next question, Never once there is an answer
	addr     netip.Addr
	why      string // what was last wrong
}

// address is that of a host; not valid while it is not known, and then why.
func (c *Core) address(name string) (netip.Addr, string) {
	if a, err := netip.ParseAddr(name); err == nil {
		return a, ""
	}
	var l *lookup
	for _, x := range c.lookups {
		if x.name == name {
			l = x
		}
	}
	if l == nil {
		l = &lookup{name: name, next: Never}
		c.lookups = append(c.lookups, l)
	}
	if l.addr.IsValid() {
		return l.addr, ""
	}
	if l.next == Never {
		c.ask(l)
	}
	return netip.Addr{}, l.why
}

// ask sends the question, to each name server in turn.
func (c *Core) ask(l *lookup) {
	servers := c.servers()
	if len(servers) == 0 {
		l.why = "no name server is known that could say which address " + l.name + " has"
		return
	}
	switch v4, v6 := c.families(); {
	case l.other:
		l.typ = dns.A + dns.AAAA - l.typ
	case v6 && !v4:
		l.typ = dns.AAAA
	default:
		l.typ = dns.A
	}
	q, err := dns.Query(uint16(c.rand()), l.name, l.typ)
	if err != nil {
		l.why = l.name + ": " + err.Error()
		return
	}
	server := servers[l.tries%len(servers)]
	if l.why == "" {
		l.why = "the name server " + server.String() + " is asked for the address of " + l.name
	}
	l.question = q
	l.next = c.now + min(firstAsk<<min(l.tries, 8), lastAsk)
	l.tries++
	if err := c.k.Ask(at(server, 53), q); err != nil {
		l.why = err.Error()
	}
}

// Answer takes in what a name server has sent.
func (c *Core) Answer(now time.Duration, from netip.Addr, b []byte) {
	c.now = now
	for _, l := range c.lookups {
		if l.question != nil && l.next != Never {
			l.answer(c, from, b)
		}
	}
	c.root()
}

// answer takes in what may be the answer.
func (l *lookup) answer(c *Core, from netip.Addr, b []byte) {
	list, err := dns.Parse(b, l.question)
	switch {
	case errors.Is(err, dns.ErrOther):
	case errors.Is(err, dns.ErrNone) && !l.other && c.both():
		l.other = true
		c.ask(l)
	case err != nil:
		l.other = false
		l.why = "the name server " + from.String() + " does not know the address of " + l.name + ": " + err.Error()
	default:
		l.addr, l.next = list[0], Never
		c.note(l.name + " is " + l.addr.String())
	}
}

// families are those of the addresses that can be used.
func (c *Core) families() (v4, v6 bool) {
	for _, l := range c.usable {
		for _, a := range l.taken {
			v4 = v4 || a.Addr().Is4()
			v6 = v6 || a.Addr().Is6() && !a.Addr().IsLinkLocalUnicast()
		}
	}
	return v4, v6
}

func (c *Core) both() bool {
	v4, v6 := c.families()
	return v4 && v6
}

// askAgain repeats the questions that are due.
func (c *Core) askAgain() {
	again := false
	for _, l := range c.lookups {
		if l.next > c.now {
			continue
		}
		if l.tries >= 2 && l.why != "" {
			l.why = "no name server says which address " + l.name + " has"
		}
		c.ask(l)
		again = true
	}
	if again {
		c.root()
	}
}

// servers are the name servers: those of the command line, then those of the
// links.
func (c *Core) servers() []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		for _, s := range list {
			if s == a {
				return
			}
		}
		list = append(list, a)
	}
	for _, a := range c.plan.Nameservers {
		add(a)
	}
	for _, l := range c.usable {
		for _, a := range l.setup.DNS {
			add(a)
		}
		if l.lease != nil && c.plan.PeerDNS {
			for _, a := range l.lease.DNS {
				add(a)
			}
		}
		if l.six != nil && c.plan.PeerDNS {
			for _, a := range l.six.servers() {
				add(a)
			}
		}
	}
	return list
}
