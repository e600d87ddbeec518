package dhcp4

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// network is a client, servers and what lies between, under a virtual clock.
type network struct {
	t       testing.TB
	rng     *rand.Rand
	now     time.Duration
	c       *Client
	loss    float64
	delay   time.Duration // the longest, each way
	flights []flight
	servers []*fakeServer
	packets int
	// held is what the client was told that it has.
	held *Lease
	lost int
}

// flight is a packet on its way.
type flight struct {
	at       time.Duration
	toServer bool
	data     []byte
	from     netip.Addr
}

// fakeServer gives addresses of its own network, one after the other, and keeps
// those that it gave.
type fakeServer struct {
	id       netip.Addr
	first    netip.Addr
	lifetime uint32
	given    netip.Addr // to our client
	until    time.Duration
	offered  netip.Addr
	next     int
	forgets  bool // refuses what it does not know, rather than be silent
	rapid    bool
	acks     int
}

func (s *fakeServer) fresh() netip.Addr {
	a := s.first
	for range s.next % 100 {
		a = a.Next()
	}
	s.next++
	return a
}

// handle is the server's side of RFC 2131, section 4.3.
func (s *fakeServer) handle(now time.Duration, m *Message) *Message {
	give := func(t Type, a netip.Addr) *Message {
		return &Message{Op: OpReply, HType: m.HType, HWAddr: m.HWAddr, XID: m.XID, YIAddr: a, Options: Options{
			{OptType, []byte{byte(t)}}, {OptServer, s.id.AsSlice()}, {OptLeaseTime, be32(s.lifetime)},
			{OptNetmask, []byte{255, 255, 255, 0}}, {OptClientID, m.Options.Get(OptClientID)}}}
	}
	ack := func(a netip.Addr) *Message {
		s.given, s.until = a, now+time.Duration(s.lifetime)*time.Second
		s.acks++
		return give(Ack, a)
	}
	nak := func() *Message {
		r := give(Nak, netip.Addr{})
		r.set(Option{Code: OptLeaseTime})
		r.set(Option{Code: OptNetmask})
		return r
	}
	switch m.Options.Type() {
	case Discover:
		if s.given.IsValid() && now < s.until {
			s.offered = s.given
		} else if !s.offered.IsValid() {
			s.offered = s.fresh()
		}
		if s.rapid && m.Options.Has(OptRapidCommit) {
			r := ack(s.offered)
			r.Options = append(r.Options, Option{OptRapidCommit, nil})
			return r
		}
		return give(Offer, s.offered)
	case Request:
		want, asked := m.Options.Addr(OptRequested)
		id, named := m.Options.Addr(OptServer)
		switch {
		case named && id != s.id:
			return nil
		case named && asked: // for an offer
			if want != s.offered && want != s.given {
				return nak()
			}
			return ack(want)
		case asked: // of old
			if want == s.given && now < s.until {
				return ack(want)
			}
		case m.CIAddr == s.given && now < s.until:
			return ack(m.CIAddr)
		}
		if s.forgets {
			return nak()
		}
	case Decline:
		s.given, s.offered = netip.Addr{}, netip.Addr{}
	}
	return nil
}

func (n *network) out(o Output) {
	switch o.Change {
	case Acquired, Renewed:
		n.held = o.Lease
		checkLease(n.t, o.Lease)
	case Lost:
		if n.held == nil || o.Lease.Addr != n.held.Addr || o.Why == "" {
			n.t.Fatalf("lost %+v, held %+v", o.Lease, n.held)
		}
		n.held = nil
		n.lost++
	}
	if n.held != n.c.Lease() {
		n.t.Fatalf("the client holds %+v, and said %+v", n.c.Lease(), n.held)
	}
	if n.c.Explain() == "" || n.c.Next() <= n.now && n.c.Next() != Never {
		n.t.Fatalf("at %v: next %v, %q", n.now, n.c.Next(), n.c.Explain())
	}
	if o.Send != nil {
		n.packets++
		for _, s := range n.servers {
			if o.Send.To.IsMulticast() || o.Send.To == broadcast() || o.Send.To == s.id {
				n.fly(o.Send.Data, true, o.Send.From)
				break
			}
		}
	}
}

// fly sends a packet, or loses it, or sends it twice.
func (n *network) fly(data []byte, toServer bool, from netip.Addr) {
	for range 1 + n.rng.IntN(8)/7 {
		if n.rng.Float64() >= n.loss {
			n.flights = append(n.flights, flight{n.now + time.Duration(n.rng.Int64N(int64(n.delay))), toServer, data, from})
		}
	}
	slices.SortStableFunc(n.flights, func(a, b flight) int { return cmp.Compare(a.at, b.at) })
}

// step does what comes next and says when that is; no later than until.
func (n *network) step(until time.Duration) bool {
	next := n.c.Next()
	if len(n.flights) > 0 && n.flights[0].at < next {
		f := n.flights[0]
		if f.at > until {
			n.now = until
			return false
		}
		n.flights = n.flights[1:]
		n.now = max(n.now, f.at)
		if !f.toServer {
			n.out(n.c.Packet(n.now, f.data, f.from))
			return true
		}
		for _, s := range n.servers {
			m, err := Parse(f.data)
			if err != nil {
				n.t.Fatal(err)
			}
			if r := s.handle(n.now, m); r != nil {
				n.fly(r.Append(nil), false, s.id)
			}
		}
		return true
	}
	if next > until {
		n.now = until
		return false
	}
	n.now = max(n.now, next)
	n.out(n.c.Deadline(n.now))
	return true
}

// Whatever is lost, doubled, late or out of order, with servers that forget,
// links that go down and addresses that others have: as long as a server
// answers at all, in the end there is a lease, it is the server's, and it has
// not taken a flood of packets.
func TestALeaseComesInTheEndWhateverIsLost(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 300
	}
	var worst, total time.Duration
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		cfg := testConfig()
		cfg.Rand = rand32(uint64(seed))
		cfg.RapidCommit = rng.IntN(2) == 0
		if rng.IntN(3) == 0 {
			cfg.Previous = addr("10.0.0.77")
		}
		n := &network{t: t, rng: rng, c: New(cfg), loss: rng.Float64() * 0.5,
			delay: time.Millisecond << rng.IntN(13), now: time.Duration(rng.Int64N(1e12))}
		for i := range 1 + rng.IntN(3) {
			n.servers = append(n.servers, &fakeServer{
				id: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), first: netip.AddrFrom4([4]byte{10, 0, byte(i), 5}),
				lifetime: 60 << rng.IntN(8), forgets: rng.IntN(2) == 0, rapid: rng.IntN(2) == 0})
		}
		start := n.now
		n.out(n.c.Carrier(n.now, true))
		for n.held == nil {
			if n.now-start > 20*time.Minute {
				t.Fatalf("seed %d: no lease after %v: %s", seed, n.now-start, n.c.Explain())
			}
			n.step(n.now + time.Hour)
		}
		worst, total = max(worst, n.now-start), total+n.now-start
		// A life with faults …
		for range 20 {
			switch rng.IntN(6) {
			case 0:
				n.out(n.c.Conflict(n.now))
			case 1:
				n.out(n.c.Carrier(n.now, false))
			case 2:
				s := n.servers[rng.IntN(len(n.servers))]
				s.given, s.offered = netip.Addr{}, netip.Addr{}
			}
			until := n.now + time.Duration(rng.Int64N(int64(20*time.Minute)))
			before, from := n.packets, n.now
			for n.step(until) {
			}
			if limit := 100 + int((n.now-from)/time.Second); n.packets-before > limit {
				t.Fatalf("seed %d: %d packets in %v", seed, n.packets-before, n.now-from)
			}
			n.out(n.c.Carrier(n.now, true))
		}
		// … and quiet after it, for longer than a lease that its server forgot.
		n.loss = 0
		until := n.now + 3*time.Hour
		for n.step(until) {
		}
		if n.held == nil {
			t.Fatalf("seed %d: no lease in the end: %s", seed, n.c.Explain())
		}
		if !slices.ContainsFunc(n.servers, func(s *fakeServer) bool {
			return s.given == n.held.Addr.Addr() && n.c.Expires() <= s.until && s.until > n.now
		}) {
			t.Fatalf("seed %d: nobody gave %+v", seed, n.held)
		}
	}
	t.Logf("%d seeds: %v on average, %v at worst", seeds, (total / time.Duration(seeds)).Round(time.Millisecond), worst.Round(time.Millisecond))
}

// Nobody answers: no flood, no stop, and it says so.
func TestWithoutAServerItGoesOnQuietly(t *testing.T) {
	n := &network{t: t, rng: rand.New(rand.NewPCG(1, 1)), c: New(testConfig()), delay: 1}
	n.out(n.c.Carrier(0, true))
	for n.step(time.Hour) {
	}
	if n.packets < 110 || n.packets > 125 || n.held != nil {
		t.Errorf("%d packets: %s", n.packets, n.c.Explain())
	}
}

// FuzzClient lets anybody on the network and anything that happens to the
// machine do what the bytes say.
func FuzzClient(f *testing.F) {
	ok := answer(Ack, Option{OptRapidCommit, []byte{}}).Append(nil)
	f.Add([]byte{0, 3, 1, 3, 2, 4, 5}, ok, uint64(1))
	f.Add([]byte{0, 19, 20, 20, 3, 3, 3, 3, 4, 1, 0, 2, 3}, answer(Offer).Append(nil), uint64(2))
	f.Fuzz(func(t *testing.T, script, packet []byte, seed uint64) {
		cfg := testConfig()
		cfg.Rand, cfg.RapidCommit = rand32(seed), seed%2 == 0
		if seed%3 == 0 {
			cfg.Previous = addr("10.0.0.5")
		}
		n := &network{t: t, c: New(cfg), rng: rand.New(rand.NewPCG(seed, 0)), delay: 1}
		if len(script) > 200 {
			script = script[:200]
		}
		var last *Message
		for _, op := range script {
			n.now += time.Duration(op>>3) << 30
			var out Output
			switch op & 7 {
			case 0:
				out = n.c.Carrier(n.now, true)
			case 1:
				out = n.c.Carrier(n.now, false)
			case 2:
				out = n.c.Conflict(n.now)
			case 3:
				if n.c.Next() != Never {
					n.now = max(n.now, n.c.Next())
				}
				out = n.c.Deadline(n.now)
			case 4:
				out = n.c.Packet(n.now, packet, server)
			default: // the packet as an answer to what was sent last
				if m, err := Parse(packet); err == nil && last != nil {
					m.Op, m.XID, m.HType, m.HWAddr = OpReply, last.XID, 1, testMAC
					m.set(Option{Code: OptClientID})
					m.set(Option{Code: OptOverload})
					if t := [...]Type{Offer, Ack, Nak}[op&7-5]; op&8 != 0 {
						m.set(Option{OptType, []byte{byte(t)}})
					}
					out = n.c.Packet(n.now, m.Append(nil), server)
				}
			}
			// A deadline that has passed is due at once: the caller says so next.
			for i := 0; n.c.Next() <= n.now; i++ {
				if i > 3 {
					t.Fatalf("deadline %v at %v: %s", n.c.Next(), n.now, n.c.Explain())
				}
				if out.Change != NoChange {
					n.apply(out)
				}
				out = n.c.Deadline(n.now)
			}
			n.out(out)
			if out.Send != nil {
				m, err := Parse(out.Send.Data)
				if err != nil || m.Op != OpRequest || len(out.Send.Data) > 1472 {
					t.Fatalf("%+v, %v", m, err)
				}
				if !bytes.Equal(m.HWAddr, testMAC) {
					t.Fatal("not our address")
				}
				last = m
			}
		}
	})
}

// apply is out without its checks of what comes next.
func (n *network) apply(o Output) {
	switch o.Change {
	case Acquired, Renewed:
		n.held = o.Lease
	case Lost:
		n.held = nil
	}
}
