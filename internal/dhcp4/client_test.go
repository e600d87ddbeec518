package dhcp4

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// rand32 is a source of numbers that a seed determines.
func rand32(seed uint64) func() uint32 { return rand.New(rand.NewPCG(seed, 1)).Uint32 }

func testConfig() Config {
	return Config{HWType: 1, HWAddr: testMAC, HostName: "node", VendorClass: "firstlight", Rand: rand32(1)}
}

// sent is the packet that an output has, read back.
func sent(t testing.TB, out Output) *Message {
	t.Helper()
	if out.Send == nil {
		t.Fatalf("nothing is sent: %+v", out)
	}
	m, err := Parse(out.Send.Data)
	if err != nil {
		t.Fatal(err)
	}
	if m.Op != OpRequest || m.HType != 1 || !bytes.Equal(m.HWAddr, testMAC) {
		t.Fatalf("%+v", m)
	}
	if id := m.Options.Get(OptClientID); !bytes.Equal(id, append([]byte{1}, testMAC...)) {
		t.Fatalf("client %x", id)
	}
	return m
}

// reply is an answer to a packet.
func reply(to *Message, t Type, options ...Option) []byte {
	m := answer(t, options...)
	m.XID = to.XID
	return m.Append(nil)
}

var server = addr("10.0.0.1")

// acquire brings a client to a lease at the time.
func acquire(t testing.TB, c *Client, now time.Duration, options ...Option) {
	t.Helper()
	m := sent(t, c.Carrier(now, true))
	if m.Options.Type() == Discover {
		m = sent(t, c.Packet(now, reply(m, Offer, options...), server))
	}
	if out := c.Packet(now, reply(m, Ack, options...), server); out.Change != Acquired || c.State() != Bound {
		t.Fatalf("%+v: %s", out, c.Explain())
	}
}

func TestALeaseTakesFourPacketsAndTheFirstLeavesAtOnce(t *testing.T) {
	c := New(testConfig())
	if c.Next() != Never || c.Explain() != "no carrier" {
		t.Errorf("%v %q", c.Next(), c.Explain())
	}
	out := c.Carrier(5*time.Second, true)
	m := sent(t, out)
	if m.Options.Type() != Discover || out.Send.From != addr("0.0.0.0") || out.Send.To != addr("255.255.255.255") || m.Secs != 0 || m.Broadcast {
		t.Fatalf("%+v %+v", out, m)
	}
	for _, code := range []Code{OptNetmask, OptRoutes, OptRouter, OptDNS, OptSearch, OptRootPath, OptMTU} {
		if !slices.Contains(m.Options.Get(OptRequestList), byte(code)) {
			t.Errorf("option %d is not asked for", code)
		}
	}
	if string(m.Options.Get(OptHostName)) != "node" || string(m.Options.Get(OptVendorClass)) != "firstlight" || m.Options.Has(OptRapidCommit) {
		t.Errorf("%+v", m.Options)
	}
	m = sent(t, c.Packet(5100*time.Millisecond, reply(m, Offer), server))
	if a, _ := m.Options.Addr(OptRequested); m.Options.Type() != Request || a != addr("10.0.0.5") {
		t.Errorf("%+v", m)
	}
	if s, _ := m.Options.Addr(OptServer); s != server || m.CIAddr.IsValid() {
		t.Errorf("%+v", m)
	}
	if s := c.Explain(); s != "offered 10.0.0.5/24 by 10.0.0.1, no confirmation after 1 request" {
		t.Error(s)
	}
	out = c.Packet(5200*time.Millisecond, reply(m, Ack), server)
	if out.Change != Acquired || out.Send != nil || out.Lease.Addr.String() != "10.0.0.5/24" || c.Lease() != out.Lease {
		t.Errorf("%+v", out)
	}
	if c.Next() != 5100*time.Millisecond+30*time.Minute || c.Expires() != 5100*time.Millisecond+time.Hour {
		t.Errorf("next %v, expires %v", c.Next(), c.Expires())
	}
	if s := c.Explain(); s != "10.0.0.5/24 from 10.0.0.1" {
		t.Error(s)
	}
}

func TestRapidCommitTakesTwoPackets(t *testing.T) {
	cfg := testConfig()
	c := New(cfg)
	m := sent(t, c.Carrier(0, true))
	rapid := Option{OptRapidCommit, []byte{}}
	if out := c.Packet(0, reply(m, Ack, rapid), server); out.Change != NoChange {
		t.Error("an acknowledgement of what was not asked for is taken")
	}
	cfg.RapidCommit = true
	c = New(cfg)
	m = sent(t, c.Carrier(0, true))
	if !m.Options.Has(OptRapidCommit) {
		t.Error("rapid commit is not asked for")
	}
	if out := c.Packet(0, reply(m, Ack), server); out.Change != NoChange {
		t.Error("an acknowledgement without the option is taken")
	}
	if out := c.Packet(0, reply(m, Ack, rapid), server); out.Change != Acquired || c.State() != Bound {
		t.Errorf("%+v", out)
	}
}

// The waits double from 1 s to 32 s, spread by chance; the explanation counts.
func TestSilenceIsAskedAgainLessAndLessOften(t *testing.T) {
	c := New(testConfig())
	out := c.Carrier(0, true)
	xid := sent(t, out).XID
	last := time.Duration(0)
	want := time.Second
	for i := range 12 {
		wait, by := c.Next()-last, min(time.Second, want/4)
		if wait < want-by || wait > want+by {
			t.Errorf("wait %d: %v, want %v", i, wait, want)
		}
		if out := c.Deadline(c.Next() - 1); out.Send != nil {
			t.Error("too early")
		}
		last = c.Next()
		m := sent(t, c.Deadline(last))
		if m.Options.Type() != Discover || m.XID != xid || m.Secs != uint16(last/time.Second) {
			t.Errorf("%+v", m)
		}
		if m.Broadcast != (i >= 1) {
			t.Errorf("packet %d: broadcast %t", i+2, m.Broadcast)
		}
		want = min(2*want, 32*time.Second)
	}
	if s := c.Explain(); s != "no answer after 13 requests" {
		t.Error(s)
	}
	if a, b := New(testConfig()), New(testConfig()); a.Carrier(0, true).Send == nil || b.Carrier(0, true).Send == nil || a.Next() != b.Next() {
		t.Error("the same random numbers give other times")
	}
}

func TestAnOfferThatIsNotConfirmedIsGivenUp(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Carrier(0, true))
	c.Packet(0, reply(m, Offer), server)
	for range requestTries - 1 {
		if m := sent(t, c.Deadline(c.Next())); m.Options.Type() != Request {
			t.Fatalf("%+v", m)
		}
	}
	again := sent(t, c.Deadline(c.Next()))
	if again.Options.Type() != Discover || again.XID == m.XID {
		t.Errorf("%+v", again)
	}
	if s := c.Explain(); s != "no answer after 1 request; 10.0.0.1 offered 10.0.0.5 and did not confirm it" {
		t.Error(s)
	}
}

func TestAnswersThatAreNotForUsAreIgnored(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Carrier(0, true))
	for what, change := range map[string]func(*Message){
		"another number":  func(m *Message) { m.XID++ },
		"another address": func(m *Message) { m.HWAddr = []byte{1, 2, 3, 4, 5, 6} },
		"another link":    func(m *Message) { m.HType = 6 },
		"a request":       func(m *Message) { m.Op = OpRequest },
		"another client":  func(m *Message) { m.set(Option{OptClientID, []byte{1, 2}}) },
		"no type":         func(m *Message) { m.set(Option{Code: OptType}) },
		"a proxy":         func(m *Message) { m.YIAddr = netip.Addr{} },
		"a refusal":       func(m *Message) { m.set(Option{OptType, []byte{byte(Nak)}}) },
	} {
		a := answer(Offer)
		a.XID = m.XID
		change(a)
		if out := c.Packet(0, a.Append(nil), server); out.Send != nil || c.State() != Selecting || c.trouble != "" {
			t.Errorf("%s: %+v", what, out)
		}
	}
	if out := c.Packet(0, []byte("junk"), server); out.Send != nil {
		t.Error("junk is answered")
	}
	// One that cannot be used is not taken, but is told of; the next one is.
	c.Packet(0, reply(m, Offer, Option{OptNetmask, []byte{0, 0, 0, 9}}), addr("10.0.0.66"))
	if s := c.Explain(); s != "no answer after 1 request; the offer of 10.0.0.66 cannot be used: netmask 00000009 is not one" {
		t.Error(s)
	}
	m = sent(t, c.Packet(0, reply(m, Offer, Option{OptClientID, append([]byte{1}, testMAC...)}), server))
	if m.Options.Type() != Request {
		t.Errorf("%+v", m)
	}
	// Other offers come too late, other servers confirm nothing.
	if out := c.Packet(0, reply(m, Offer, Option{OptServer, []byte{10, 0, 0, 7}}), server); out.Send != nil {
		t.Error("a second offer is taken")
	}
	if out := c.Packet(0, reply(m, Ack, Option{OptServer, []byte{10, 0, 0, 7}}), server); out.Change != NoChange {
		t.Error("another server's confirmation is taken")
	}
	if out := c.Packet(0, reply(m, Nak, Option{OptServer, []byte{10, 0, 0, 7}}), server); out.Send != nil {
		t.Error("another server's refusal is taken")
	}
	other := answer(Ack)
	other.XID, other.YIAddr = m.XID, addr("10.0.0.6")
	if out := c.Packet(0, other.Append(nil), server); out.Change != NoChange || !strings.Contains(c.Explain(), "10.0.0.6 where 10.0.0.5") {
		t.Errorf("%+v: %s", out, c.Explain())
	}
}

func TestRenewalAndRebindingAndTheEnd(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	out := c.Deadline(c.Next())
	m := sent(t, out)
	if c.State() != Renewing || m.CIAddr != addr("10.0.0.5") || out.Send.To != server || out.Send.From != addr("10.0.0.5") ||
		m.Options.Has(OptServer) || m.Options.Has(OptRequested) || m.Broadcast {
		t.Errorf("%v %+v %+v", c.State(), out.Send, m)
	}
	if out := c.Packet(30*time.Minute, reply(m, Ack, Option{OptServer, []byte{10, 0, 0, 7}}), server); out.Change != NoChange {
		t.Error("another server renews")
	}
	// Half of what is left until T2, which is at 52.5 min.
	if c.Next() != 30*time.Minute+675*time.Second {
		t.Errorf("%v", c.Next())
	}
	for c.State() == Renewing {
		out = c.Deadline(c.Next())
	}
	if m := sent(t, out); c.State() != Rebinding || out.Send.To != addr("255.255.255.255") || m.CIAddr != addr("10.0.0.5") || c.tries != 1 {
		t.Errorf("%v %+v", c.State(), out.Send)
	}
	if s := c.Explain(); s != "10.0.0.5/24 from 10.0.0.1, not renewed after 1 request" {
		t.Error(s)
	}
	count := 0
	for c.Lease() != nil {
		if count++; count > 10 {
			t.Fatal("asked too often")
		}
		out = c.Deadline(c.Next())
	}
	if out.Change != Lost || !strings.Contains(out.Why, "no server renewed it") || out.Lease.Addr.Addr() != addr("10.0.0.5") {
		t.Errorf("%+v", out)
	}
	if m := sent(t, out); m.Options.Type() != Discover {
		t.Errorf("%+v", m)
	} else if a, _ := m.Options.Addr(OptRequested); a != addr("10.0.0.5") {
		t.Errorf("asks for %v", a)
	}
}

func TestAnyServerRebinds(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	var m *Message
	for c.State() != Rebinding {
		m = sent(t, c.Deadline(c.Next()))
	}
	now := c.last
	out := c.Packet(now, reply(m, Ack, Option{OptServer, []byte{10, 0, 0, 7}}, Option{OptDNS, []byte{10, 0, 0, 8}}), addr("10.0.0.7"))
	if out.Change != Renewed || c.Lease().Server != addr("10.0.0.7") || c.Expires() != now+time.Hour || c.State() != Bound {
		t.Errorf("%+v", out)
	}
}

func TestRefusalsAreFollowedByLongerAndLongerWaits(t *testing.T) {
	c := New(testConfig())
	m := sent(t, c.Carrier(0, true))
	now := time.Duration(0)
	var waits []time.Duration
	for range 10 {
		m = sent(t, c.Packet(now, reply(m, Offer), server))
		out := c.Packet(now, reply(m, Nak, Option{OptMessage, []byte("no\x07 way")}), server)
		if out.Send == nil {
			if c.State() != Waiting || !strings.Contains(c.Explain(), "10.0.0.1 refused 10.0.0.5") {
				t.Fatalf("%v %s", c.State(), c.Explain())
			}
			waits = append(waits, c.Next()-now)
			now = c.Next()
			out = c.Deadline(now)
		}
		m = sent(t, out)
	}
	if len(waits) != 9 || waits[0] > 2*time.Second || waits[8] < 30*time.Second {
		t.Errorf("%v", waits)
	}
	c.Packet(now, reply(sent(t, c.Packet(now, reply(m, Offer), server)), Nak, Option{OptMessage, []byte("wrong network")}), server)
	if s := c.Explain(); !strings.HasSuffix(s, `10.0.0.1 refused 10.0.0.5 ("wrong network")`) {
		t.Error(s)
	}
}

func TestALeaseThatIsTakenBackIsLost(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	m := sent(t, c.Deadline(c.Next()))
	out := c.Packet(c.last, reply(m, Nak), server)
	if out.Change != Lost || c.Lease() != nil || sent(t, out).Options.Type() != Discover || sent(t, out).Options.Has(OptRequested) {
		t.Errorf("%+v", out)
	}
}

func TestAnAddressOfAnotherMachineIsDeclined(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	out := c.Conflict(time.Second)
	m := sent(t, out)
	if a, _ := m.Options.Addr(OptRequested); m.Options.Type() != Decline || a != addr("10.0.0.5") || m.CIAddr.IsValid() || m.Secs != 0 {
		t.Errorf("%+v", m)
	}
	if s, _ := m.Options.Addr(OptServer); s != server || out.Change != Lost || out.Send.To != addr("255.255.255.255") {
		t.Errorf("%+v", out)
	}
	if c.Next() != 11*time.Second || !strings.Contains(c.Explain(), "is another machine's") {
		t.Errorf("%v %s", c.Next(), c.Explain())
	}
	if m := sent(t, c.Deadline(c.Next())); m.Options.Type() != Discover || m.Options.Has(OptRequested) {
		t.Errorf("%+v", m)
	}
	if out := New(testConfig()).Conflict(0); out.Send != nil {
		t.Error("what is not there is declined")
	}
}

func TestTheAddressOfOldIsAskedForFirst(t *testing.T) {
	cfg := testConfig()
	cfg.Previous = addr("10.0.0.5")
	c := New(cfg)
	m := sent(t, c.Carrier(0, true))
	if a, _ := m.Options.Addr(OptRequested); m.Options.Type() != Request || a != addr("10.0.0.5") || m.Options.Has(OptServer) || m.CIAddr.IsValid() {
		t.Fatalf("%+v", m)
	}
	if out := c.Packet(0, reply(m, Ack), server); out.Change != Acquired {
		t.Errorf("%+v", out)
	}
	c = New(cfg)
	m = sent(t, c.Carrier(0, true))
	if m = sent(t, c.Packet(0, reply(m, Nak), server)); m.Options.Type() != Discover || m.Options.Has(OptRequested) {
		t.Errorf("%+v", m)
	}
	c = New(cfg)
	m = sent(t, c.Carrier(0, true))
	for range rebootTries {
		if !strings.Contains(c.Explain(), "asked for 10.0.0.5 again") {
			t.Error(c.Explain())
		}
		m = sent(t, c.Deadline(c.Next()))
	}
	if a, _ := m.Options.Addr(OptRequested); m.Options.Type() != Discover || a != addr("10.0.0.5") {
		t.Errorf("%+v", m)
	}
}

func TestALeaseSurvivesALinkThatGoesDown(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	if out := c.Carrier(time.Minute, false); out.Change != NoChange || c.Lease() == nil || c.Next() != c.Expires() {
		t.Errorf("%+v", out)
	}
	m := sent(t, c.Carrier(2*time.Minute, true))
	if m.Options.Type() != Request || c.State() != Rebooting {
		t.Errorf("%+v", m)
	}
	if out := c.Packet(2*time.Minute, reply(m, Ack), server); out.Change != Renewed || c.Expires() != 62*time.Minute {
		t.Errorf("%+v", out)
	}
	// Nobody answers: it holds, with its times.
	c.Carrier(3*time.Minute, false)
	c.Carrier(4*time.Minute, true)
	for range rebootTries {
		c.Deadline(c.Next())
	}
	if c.State() != Bound || c.Next() != 32*time.Minute {
		t.Errorf("%v %v", c.State(), c.Next())
	}
	// Another network: it is taken back.
	c.Carrier(5*time.Minute, false)
	m = sent(t, c.Carrier(6*time.Minute, true))
	out := c.Packet(6*time.Minute, reply(m, Nak, Option{OptServer, []byte{192, 168, 0, 1}}), addr("192.168.0.1"))
	if out.Change != Lost || sent(t, out).Options.Type() != Discover {
		t.Errorf("%+v", out)
	}
}

func TestALeaseEndsWithoutACarrierToo(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, 0)
	c.Carrier(time.Minute, false)
	if out := c.Deadline(time.Hour); out.Change != Lost || out.Send != nil || c.Next() != Never || c.Lease() != nil {
		t.Errorf("%+v", out)
	}
	c = New(testConfig())
	acquire(t, c, 0)
	c.Carrier(time.Minute, false)
	if out := c.Carrier(2*time.Hour, true); out.Change != Lost || sent(t, out).Options.Type() != Request {
		t.Errorf("%+v", out)
	}
	// Renewal overdue when the link is back, and nobody answers.
	c = New(testConfig())
	acquire(t, c, 0)
	c.Carrier(time.Minute, false)
	c.Carrier(40*time.Minute, true)
	for c.State() != Renewing {
		if c.Next() > 41*time.Minute {
			t.Fatalf("%v %v", c.State(), c.Next())
		}
		c.Deadline(c.Next())
	}
}

func TestALeaseWithoutAnEndHasNoDeadline(t *testing.T) {
	c := New(testConfig())
	acquire(t, c, time.Hour, Option{OptLeaseTime, be32(1<<32 - 1)})
	if c.Next() != Never || c.Expires() != Never {
		t.Errorf("%v %v", c.Next(), c.Expires())
	}
}

func TestInfiniBandHasNoHardwareAddressInTheMessage(t *testing.T) {
	cfg := testConfig()
	cfg.HWType, cfg.HWAddr, cfg.ClientID = 32, make([]byte, 20), []byte{255, 0, 0, 0, 1, 0, 4}
	c := New(cfg)
	m, err := Parse(c.Carrier(0, true).Send.Data)
	if err != nil || m.HType != 32 || len(m.HWAddr) != 0 || !m.Broadcast || !bytes.Equal(m.Options.Get(OptClientID), cfg.ClientID) {
		t.Errorf("%+v, %v", m, err)
	}
	a := answer(Offer)
	a.HType, a.HWAddr, a.XID = 32, nil, m.XID
	if out := c.Packet(0, a.Append(nil), server); out.Send == nil {
		t.Error("the offer is not taken")
	}
}
