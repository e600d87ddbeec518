package dhcp6

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func testConfig() Config {
	return Config{DUID: testDUID, IAID: testIAID, FQDN: "node.example.org", Rand: rand.New(rand.NewPCG(1, 1)).Uint32}
}

// sent is the packet that an output has, read back.
func sent(t testing.TB, out Output, want Type) *Message {
	t.Helper()
	if out.Send == nil {
		t.Fatalf("nothing is sent: %+v", out)
	}
	m, err := Parse(out.Send)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != want || !bytes.Equal(m.Options.Get(OptClientID), testDUID) {
		t.Fatalf("%+v, want type %d", m, want)
	}
	return m
}

func reply(to *Message, t Type, options ...Option) []byte {
	m := answer(t, options...)
	m.XID = to.XID
	return m.Append(nil)
}

// acquire brings a client to a lease.
func acquire(t testing.TB, c *Client, now time.Duration) {
	t.Helper()
	m := sent(t, c.Link(now, true), Solicit)
	m = sent(t, c.Packet(now, reply(m, Advertise, Option{OptPreference, []byte{255}}), fromServer), Request)
	if out := c.Packet(now, reply(m, Reply), fromServer); out.Change != Acquired || c.State() != Bound {
		t.Fatalf("%+v: %s", out, c.Explain())
	}
}

func TestALeaseTakesFourPackets(t *testing.T) {
	c := New(testConfig())
	if c.Next() != Never || c.Explain() != "no carrier or no link-local address" {
		t.Errorf("%v %q", c.Next(), c.Explain())
	}
	m := sent(t, c.Link(time.Second, true), Solicit)
	if m.Options.Has(OptRapidCommit) || m.Options.Has(OptServerID) || !bytes.Equal(m.Options.Get(OptElapsed), []byte{0, 0}) ||
		!bytes.Equal(m.Options.Get(OptFQDN), []byte("\x01\x04node\x07example\x03org\x00")) {
		t.Errorf("%+v", m)
	}
	if c.Explain() != "no answer after 1 request" {
		t.Error(c.Explain())
	}
	m = sent(t, c.Packet(time.Second, reply(m, Advertise, Option{OptPreference, []byte{255}}), fromServer), Request)
	if !bytes.Equal(m.Options.Get(OptServerID), serverDUID) || !bytes.Contains(m.Options.Get(OptIANA), addr("2001:db8::5").AsSlice()) {
		t.Errorf("%+v", m)
	}
	out := c.Packet(2*time.Second, reply(m, Reply), fromServer)
	if out.Change != Acquired || c.Lease() != out.Lease || c.Next() != 2*time.Second+900*time.Second || c.Expires() != 3602*time.Second {
		t.Errorf("%+v %v", out, c.Next())
	}
	if c.Explain() != "2001:db8::5" {
		t.Error(c.Explain())
	}
}

func TestTheBestOfSeveralOffersIsTaken(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Link(0, true), Solicit)
	if out := c.Packet(0, reply(m, Advertise), fromServer); out.Send != nil || c.Next() != collectFor {
		t.Errorf("%+v %v", out, c.Next())
	}
	better := answer(Advertise, Option{OptPreference, []byte{9}})
	better.XID = m.XID
	better.Options[1].Data = []byte{0, 4, 9}
	c.Packet(0, better.Append(nil), fromServer)
	c.Packet(0, reply(m, Advertise, Option{OptPreference, []byte{3}}), fromServer)
	if r := sent(t, c.Deadline(c.Next()), Request); !bytes.Equal(r.Options.Get(OptServerID), []byte{0, 4, 9}) {
		t.Errorf("%+v", r)
	}
	// Later than the first packet nothing is compared.
	c = New(testConfig())
	c.Link(0, true)
	m = sent(t, c.Deadline(c.Next()), Solicit)
	sent(t, c.Packet(c.start+2*time.Second, reply(m, Advertise), fromServer), Request)
}

func TestRapidCommitTakesTwoPackets(t *testing.T) {
	cfg := testConfig()
	c := New(cfg)
	m := sent(t, c.Link(0, true), Solicit)
	if out := c.Packet(0, reply(m, Reply, Option{OptRapidCommit, nil}), fromServer); out.Change != NoChange {
		t.Error("what was not asked for is taken")
	}
	cfg.RapidCommit = true
	c = New(cfg)
	m = sent(t, c.Link(0, true), Solicit)
	if out := c.Packet(0, reply(m, Reply), fromServer); out.Change != NoChange {
		t.Error("without the option it is taken")
	}
	if out := c.Packet(0, reply(m, Reply, Option{OptRapidCommit, nil}), fromServer); out.Change != Acquired {
		t.Errorf("%+v", out)
	}
}

func TestOnlyWhatGoesWithAddresses(t *testing.T) {
	cfg := testConfig()
	cfg.Stateless = true
	c := New(cfg)
	m := sent(t, c.Link(0, true), InformationRequest)
	if m.Options.Has(OptIANA) || !slices.Contains(m.Options.Get(OptRequest), byte(OptRefresh)) {
		t.Errorf("%+v", m)
	}
	if out := c.Packet(0, reply(m, Reply, statusOption(NoBinding, "")), fromServer); out.Change != NoChange || out.Send != nil {
		t.Errorf("%+v", out)
	}
	dns := addr("2001:db8::53").As16()
	out := c.Packet(0, reply(m, Reply, Option{OptDNS, dns[:]}, Option{OptRefresh, be32(700)}), fromServer)
	if out.Change != Acquired || len(out.Lease.DNS) != 1 || c.State() != Informed || c.Next() != 700*time.Second || c.Expires() != Never {
		t.Errorf("%+v %v", out, c.Next())
	}
	m = sent(t, c.Deadline(c.Next()), InformationRequest)
	if out := c.Packet(700*time.Second, reply(m, Reply), fromServer); out.Change != Renewed {
		t.Errorf("%+v", out)
	}
	c.Link(0, false)
	sent(t, c.Link(1000*time.Second, true), InformationRequest)
}

func TestSilenceIsAskedAgainLessAndLessOften(t *testing.T) {
	c := New(testConfig())
	xid := sent(t, c.Link(0, true), Solicit).XID
	last, want := time.Duration(0), 1.0
	for i := range 10 {
		wait := (c.Next() - last).Seconds()
		if wait < want*0.7 || wait > want*1.5 || i == 0 && wait < 1 || wait > 35.3 {
			t.Errorf("wait %d: %f", i, wait)
		}
		want = min(2*wait, 32)
		last = c.Next()
		if m := sent(t, c.Deadline(last), Solicit); m.XID != xid || bytes.Equal(m.Options.Get(OptElapsed), []byte{0, 0}) {
			t.Errorf("%+v", m)
		}
	}
	if c.Explain() != "no answer after 11 requests" {
		t.Error(c.Explain())
	}
}

func TestAnswersThatAreNotForUsAreIgnored(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Link(0, true), Solicit)
	for what, change := range map[string]func(*Message){
		"another number": func(m *Message) { m.XID ^= 1 }, "another client": func(m *Message) { m.Options[0].Data = []byte{1, 2, 3} },
		"no client": func(m *Message) { m.Options = m.Options[1:] }, "no server": func(m *Message) { m.Options[1].Code = 99 },
		"a request": func(m *Message) { m.Type = Request }, "a reply": func(m *Message) { m.Type = Reply },
	} {
		a := answer(Advertise, Option{OptPreference, []byte{255}})
		a.XID = m.XID
		a.Options = slices.Clone(a.Options)
		change(a)
		if out := c.Packet(0, a.Append(nil), fromServer); out.Send != nil {
			t.Errorf("%s: %+v", what, out)
		}
	}
	c.Packet(0, reply(m, Advertise, ia(testIAID, 0, 0, statusOption(NoAddrsAvail, "all gone"))), fromServer)
	if s := c.Explain(); s != `no answer after 1 request; the offer of fe80::1 cannot be used: NoAddrsAvail ("all gone")` {
		t.Error(s)
	}
}

func TestAnOfferThatIsNotConfirmedOrRefused(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Link(0, true), Solicit)
	c.Packet(0, reply(m, Advertise, Option{OptPreference, []byte{255}}), fromServer)
	for range requestTimes.count - 1 {
		sent(t, c.Deadline(c.Next()), Request)
	}
	m = sent(t, c.Deadline(c.Next()), Solicit)
	if !strings.Contains(c.Explain(), "offered 2001:db8::5 and did not confirm it") {
		t.Error(c.Explain())
	}
	now := c.start
	var waits []time.Duration
	for range 9 {
		r := sent(t, c.Packet(now, reply(m, Advertise, Option{OptPreference, []byte{255}}), fromServer), Request)
		out := c.Packet(now, reply(r, Reply, ia(testIAID, 0, 0, statusOption(NoAddrsAvail, ""))), fromServer)
		if out.Send == nil {
			waits = append(waits, c.Next()-now)
			now = c.Next()
			out = c.Deadline(now)
		}
		m = sent(t, out, Solicit)
	}
	if len(waits) != 8 || waits[0] != time.Second || waits[7] != 32*time.Second {
		t.Errorf("%v", waits)
	}
}

func TestRenewalAndRebindingAndTheEnd(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	m := sent(t, c.Deadline(c.Next()), Renew)
	if !m.Options.Has(OptServerID) {
		t.Errorf("%+v", m)
	}
	other := answer(Reply)
	other.XID, other.Options[1].Data = m.XID, []byte{0, 4, 9}
	if out := c.Packet(900*time.Second, other.Append(nil), fromServer); out.Change != NoChange {
		t.Error("another server renews")
	}
	if out := c.Packet(900*time.Second, reply(m, Reply), fromServer); out.Change != Renewed || c.Next() != 1800*time.Second {
		t.Errorf("%+v", out)
	}
	var out Output
	for c.State() != Rebinding {
		out = c.Deadline(c.Next())
	}
	m = sent(t, out, Rebind)
	if m.Options.Has(OptServerID) || c.start != 2340*time.Second {
		t.Errorf("%+v %v", m, c.start)
	}
	for n := 0; c.Lease() != nil; n++ {
		if n > 20 {
			t.Fatal("asked too often")
		}
		out = c.Deadline(c.Next())
	}
	if out.Change != Lost || !strings.Contains(out.Why, "no server renewed them") {
		t.Errorf("%+v", out)
	}
	sent(t, out, Solicit)
}

func TestABindingThatTheServerForgotIsAskedForAnew(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	m := sent(t, c.Deadline(c.Next()), Renew)
	m = sent(t, c.Packet(900*time.Second, reply(m, Reply, ia(testIAID, 0, 0, statusOption(NoBinding, ""))), fromServer), Request)
	if c.Lease() == nil {
		t.Error("the addresses are given up")
	}
	if out := c.Packet(901*time.Second, reply(m, Reply), fromServer); out.Change != Renewed {
		t.Errorf("%+v", out)
	}
	m = sent(t, c.Deadline(c.Next()), Renew)
	out := c.Packet(c.start, reply(m, Reply, statusOption(NotOnLink, "")), fromServer)
	if out.Change != Lost || c.Lease() != nil {
		t.Errorf("%+v", out)
	}
	sent(t, out, Solicit)
}

func TestAnAddressOfAnotherMachineIsDeclined(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	if out := c.Conflict(time.Second, addr("2001:db8::9")); out.Send != nil {
		t.Error("what is not there is declined")
	}
	out := c.Conflict(time.Second, addr("2001:db8::5"))
	m := sent(t, out, Decline)
	if out.Change != Lost || !bytes.Equal(m.Options.Get(OptServerID), serverDUID) || !bytes.Contains(m.Options.Get(OptIANA), addr("2001:db8::5").AsSlice()) {
		t.Errorf("%+v %+v", out, m)
	}
	if m2 := sent(t, c.Deadline(c.Next()), Decline); m2.XID != m.XID {
		t.Error("another number")
	}
	c.Packet(5*time.Second, reply(m, Reply), fromServer)
	if c.State() != Waiting || c.Next() != 15*time.Second || !strings.Contains(c.Explain(), "2001:db8::5 is another machine's") {
		t.Errorf("%v %v %s", c.State(), c.Next(), c.Explain())
	}
	sent(t, c.Deadline(c.Next()), Solicit)
	// Without an answer it is the same after some packets.
	c = New(testConfig())
	acquire(t, c, 0)
	c.Conflict(0, addr("2001:db8::5"))
	for n := 1; c.State() == Declining; n++ {
		if n > declineTimes.count {
			t.Fatal("declined too often")
		}
		c.Deadline(c.Next())
	}
}

func TestALinkThatComesBack(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	c.Link(time.Minute, false)
	if c.Lease() == nil || c.Next() != time.Hour {
		t.Errorf("%v", c.Next())
	}
	m := sent(t, c.Link(2*time.Minute, true), Confirm)
	if out := c.Packet(2*time.Minute, reply(m, Reply, statusOption(Success, "")), fromServer); out.Change != NoChange || c.State() != Bound || c.Next() != 900*time.Second {
		t.Errorf("%+v %v", out, c.Next())
	}
	// Nobody answers: it holds, and is renewed when it was due.
	c.Link(3*time.Minute, false)
	c.Link(20*time.Minute, true)
	for n := 0; c.State() == Confirming; n++ {
		if n > 20 {
			t.Fatal("confirmed too often")
		}
		c.Deadline(c.Next())
	}
	if c.State() != Renewing || c.Next() > 20*time.Minute+15*time.Second {
		t.Errorf("%v %v", c.State(), c.Next())
	}
	sent(t, c.Deadline(c.Next()), Renew)
	// Another network.
	c.Link(21*time.Minute, false)
	m = sent(t, c.Link(22*time.Minute, true), Confirm)
	out := c.Packet(22*time.Minute, reply(m, Reply, statusOption(NotOnLink, "")), fromServer)
	if out.Change != Lost || !strings.Contains(out.Why, "NotOnLink") {
		t.Errorf("%+v", out)
	}
	sent(t, out, Solicit)
	// The end, with no link.
	c = New(testConfig())
	acquire(t, c, 0)
	c.Link(0, false)
	if out := c.Deadline(time.Hour); out.Change != Lost || out.Send != nil || c.Next() != Never {
		t.Errorf("%+v", out)
	}
	c = New(testConfig())
	acquire(t, c, 0)
	c.Link(0, false)
	if out := c.Link(2*time.Hour, true); out.Change != Lost || sent(t, out, Solicit) == nil {
		t.Errorf("%+v", out)
	}
}

// Loss, doubles, disorder, a server that forgets, addresses that others have: in
// the end there is a lease, and not a flood.
func TestALeaseComesInTheEndWhateverIsLost(t *testing.T) {
	seeds := 2000
	if testing.Short() {
		seeds = 200
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 3))
		cfg := testConfig()
		cfg.Rand, cfg.RapidCommit = rng.Uint32, rng.IntN(2) == 0
		c := New(cfg)
		w := &world{t: t, rng: rng, c: c, loss: rng.Float64() * 0.5, delay: time.Millisecond << rng.IntN(13),
			rapid: rng.IntN(2) == 0, life: uint32(60 << rng.IntN(8)), next: addr("2001:db8::100")}
		w.out(c.Link(0, true))
		for w.held == nil {
			if w.now > 20*time.Minute {
				t.Fatalf("seed %d: %s", seed, c.Explain())
			}
			w.step(w.now + time.Hour)
		}
		for range 15 {
			switch rng.IntN(6) {
			case 0:
				if c.Lease() != nil {
					w.out(c.Conflict(w.now, c.Lease().Addrs[0].Addr))
				}
			case 1:
				w.out(c.Link(w.now, false))
			case 2:
				w.given = netip.Addr{}
			}
			before, until := w.packets, w.now+time.Duration(rng.Int64N(int64(20*time.Minute)))
			span := until - w.now
			for w.step(until) {
			}
			if limit := 100 + int(span/time.Second); w.packets-before > limit {
				t.Fatalf("seed %d: %d packets in %v", seed, w.packets-before, span)
			}
			w.out(c.Link(w.now, true))
		}
		w.loss = 0
		for until := w.now + 5*time.Hour; w.step(until); {
		}
		if w.held == nil || w.held.Addrs[0].Addr != w.given {
			t.Fatalf("seed %d: the server gave %v: %s", seed, w.given, c.Explain())
		}
	}
}

// world is a client and a server with a bad link between them.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	now     time.Duration
	c       *Client
	loss    float64
	delay   time.Duration
	rapid   bool
	life    uint32
	flights []flight
	packets int
	held    *Lease
	given   netip.Addr // by the server
	next    netip.Addr
}

type flight struct {
	at       time.Duration
	toServer bool
	data     []byte
}

func (w *world) fly(data []byte, toServer bool) {
	for range 1 + w.rng.IntN(8)/7 {
		if w.rng.Float64() >= w.loss {
			w.flights = append(w.flights, flight{w.now + time.Duration(w.rng.Int64N(int64(w.delay))), toServer, data})
		}
	}
	slices.SortStableFunc(w.flights, func(a, b flight) int { return int(a.at - b.at) })
}

func (w *world) out(o Output) {
	switch o.Change {
	case Acquired, Renewed:
		w.held = o.Lease
		checkLease(w.t, o.Lease)
	case Lost:
		if o.Lease != w.held || o.Why == "" {
			w.t.Fatalf("lost %+v, held %+v", o.Lease, w.held)
		}
		w.held = nil
	}
	if w.held != w.c.Lease() || w.c.Explain() == "" || w.c.Next() <= w.now {
		w.t.Fatalf("at %v next %v: %s; holds %+v", w.now, w.c.Next(), w.c.Explain(), w.held)
	}
	if o.Send != nil {
		w.packets++
		w.fly(o.Send, true)
	}
}

func (w *world) step(until time.Duration) bool {
	next := w.c.Next()
	if len(w.flights) > 0 && w.flights[0].at < next {
		f := w.flights[0]
		if f.at > until {
			w.now = until
			return false
		}
		w.flights = w.flights[1:]
		w.now = max(w.now, f.at)
		if f.toServer {
			w.serve(f.data)
		} else {
			w.out(w.c.Packet(w.now, f.data, fromServer))
		}
		return true
	}
	if next > until {
		w.now = until
		return false
	}
	w.now = next
	w.out(w.c.Deadline(w.now))
	return true
}

// serve is the server's side.
func (w *world) serve(b []byte) {
	m, err := Parse(b)
	if err != nil {
		w.t.Fatal(err)
	}
	if id := m.Options.Get(OptServerID); id != nil && !bytes.Equal(id, serverDUID) {
		return
	}
	fresh := func() {
		if !w.given.IsValid() {
			w.given, w.next = w.next, w.next.Next()
		}
	}
	give := func(t Type, more ...Option) {
		w.fly(reply(m, t, append(more, ia(testIAID, 0, 0, iaAddr(w.given.String(), w.life, w.life)))...), false)
	}
	knows := w.given.IsValid() && bytes.Contains(m.Options.Get(OptIANA), w.given.AsSlice())
	switch m.Type {
	case Solicit:
		fresh()
		if w.rapid && m.Options.Has(OptRapidCommit) {
			give(Reply, Option{OptRapidCommit, nil})
			return
		}
		give(Advertise, Option{OptPreference, []byte{byte(w.rng.IntN(2) * 255)}})
	case Request:
		fresh()
		give(Reply)
	case Renew, Rebind:
		if !knows {
			w.fly(reply(m, Reply, ia(testIAID, 0, 0, statusOption(NoBinding, ""))), false)
			return
		}
		give(Reply)
	case Confirm:
		w.fly(reply(m, Reply, statusOption(Success, "")), false)
	case Decline:
		if knows {
			w.given = netip.Addr{}
		}
		w.fly(reply(m, Reply, statusOption(Success, "")), false)
	}
}

// FuzzClient lets anybody on the link and anything that happens do what the
// bytes say.
func FuzzClient(f *testing.F) {
	f.Add([]byte{0, 4, 3, 12, 3, 20, 3, 2, 3, 3}, answer(Reply, Option{OptRapidCommit, nil}).Append(nil), uint64(1))
	f.Add([]byte{0, 5, 4, 1, 0, 3, 3, 3, 3}, answer(Advertise, Option{OptPreference, []byte{255}}).Append(nil), uint64(2))
	f.Fuzz(func(t *testing.T, script, packet []byte, seed uint64) {
		cfg := testConfig()
		cfg.Rand = rand.New(rand.NewPCG(seed, 0)).Uint32
		cfg.RapidCommit, cfg.Stateless = seed%2 == 0, seed%3 == 0
		c := New(cfg)
		var held *Lease
		var xid uint32
		now := time.Duration(0)
		for _, op := range script[:min(len(script), 200)] {
			now += time.Duration(op>>3) << 30
			var out Output
			switch op & 7 {
			case 0:
				out = c.Link(now, true)
			case 1:
				out = c.Link(now, false)
			case 2:
				if l := c.Lease(); l != nil && len(l.Addrs) > 0 {
					out = c.Conflict(now, l.Addrs[0].Addr)
				}
			case 3:
				if c.Next() != Never {
					now = max(now, c.Next())
				}
				out = c.Deadline(now)
			default:
				if m, err := Parse(packet); err == nil {
					m.XID = xid
					m.Type = [...]Type{m.Type, Advertise, Reply, Reply}[op&7-4]
					out = c.Packet(now, m.Append(nil), fromServer)
				}
			}
			for i := 0; ; i++ {
				if out.Change == Lost {
					held = nil
				} else if out.Change != NoChange {
					held = out.Lease
					checkLease(t, held)
				}
				if held != c.Lease() || c.Explain() == "" {
					t.Fatalf("%+v, holds %+v", c.Lease(), held)
				}
				if out.Send != nil {
					m, err := Parse(out.Send)
					if err != nil || len(out.Send) > 1452 {
						t.Fatal(err)
					}
					xid = m.XID
				}
				if c.Next() > now {
					break
				}
				if i > 5 {
					t.Fatalf("deadline %v at %v: %s", c.Next(), now, c.Explain())
				}
				out = c.Deadline(now)
			}
		}
	})
}
