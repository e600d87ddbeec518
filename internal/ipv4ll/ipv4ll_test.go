package ipv4ll

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func newClient(seed uint64) *Client {
	return New(Config{Seed: seed, Rand: rand.New(rand.NewPCG(seed, 1)).Uint32})
}

// settle lets time pass until nothing is waited for, and returns what was said.
func settle(t *testing.T, c *Client) (probed, announced int, got netip.Addr, took time.Duration) {
	t.Helper()
	for c.Next() != Never {
		took = c.Next()
		out := c.Deadline(took)
		if out.Probe.IsValid() {
			probed++
		}
		if out.Announce.IsValid() {
			announced++
		}
		if out.Acquired.IsValid() {
			got = out.Acquired
		}
		if out.Lost.IsValid() {
			t.Fatalf("%+v", out)
		}
	}
	return
}

func TestAnAddressThatNobodyHas(t *testing.T) {
	c := newClient(1)
	if out := c.Carrier(0, true); out != (Output{}) || c.Next() > probeWait+1 || c.Addr().IsValid() {
		t.Errorf("%+v %v", out, c.Next())
	}
	if !strings.HasPrefix(c.Explain(), "asking whether anybody has 169.254.") {
		t.Error(c.Explain())
	}
	probed, announced, got, took := settle(t, c)
	if probed != 3 || announced != 2 || !usable(got) || c.Addr() != netip.PrefixFrom(got, 16) || c.State() != Bound || took > 10*time.Second {
		t.Errorf("%d %d %v %v %v", probed, announced, got, c.Addr(), took)
	}
	again := newClient(1)
	again.Carrier(0, true)
	if _, _, second, _ := settle(t, again); second != got {
		t.Errorf("%v and %v of one seed", got, second)
	}
	out := c.Carrier(took, false)
	if out.Lost != got || c.Addr().IsValid() || c.Next() != Never || c.Explain() != "no carrier" {
		t.Errorf("%+v", out)
	}
	c.Carrier(took, true)
	if _, _, second, _ := settle(t, c); second != got {
		t.Errorf("%v after %v", second, got)
	}
}

func TestThePreviousAddressIsTriedFirst(t *testing.T) {
	a := netip.MustParseAddr("169.254.7.8")
	c := New(Config{Previous: a, Rand: func() uint32 { return 0 }})
	c.Carrier(0, true)
	if out := c.Deadline(c.Next()); out.Probe != a {
		t.Errorf("%+v", out)
	}
	for _, s := range []string{"169.254.0.1", "169.254.255.1", "10.0.0.1", "fe80::1"} {
		c := New(Config{Previous: netip.MustParseAddr(s), Rand: func() uint32 { return 0 }})
		c.Carrier(0, true)
		if out := c.Deadline(c.Next()); !usable(out.Probe) {
			t.Errorf("%s: %+v", s, out)
		}
	}
}

func TestAddressesOfOthersAreNotTaken(t *testing.T) {
	for what, say := range map[string]func(netip.Addr) ARP{
		"it answers":           func(a netip.Addr) ARP { return ARP{SenderAddr: a} },
		"it asks for the same": func(a netip.Addr) ARP { return ARP{TargetAddr: a, Probe: true} },
	} {
		c := newClient(2)
		c.Carrier(0, true)
		first := c.Deadline(c.Next()).Probe
		now := c.Next() - 1
		if out := c.Heard(now, ARP{SenderAddr: first, Ours: true}); out != (Output{}) || c.conflicts != 0 {
			t.Errorf("%s: our own packet", what)
		}
		if c.Heard(now, ARP{SenderAddr: netip.MustParseAddr("169.254.1.1"), TargetAddr: first}); c.conflicts != 0 {
			t.Errorf("%s: a question of another", what)
		}
		c.Heard(now, say(first))
		second := c.Deadline(c.Next()).Probe
		if second == first || !usable(second) || !strings.Contains(c.Explain(), "others had") {
			t.Errorf("%s: %v and %v", what, first, second)
		}
	}
	// After ten of them it goes slowly.
	c := newClient(3)
	c.Carrier(0, true)
	now := time.Duration(0)
	for range maxConflicts {
		now = c.Next()
		c.Heard(now, ARP{SenderAddr: c.Deadline(now).Probe})
	}
	if c.Next() != now+rateLimit {
		t.Errorf("%v after %v", c.Next(), now)
	}
}

func TestAnAddressIsDefendedOnce(t *testing.T) {
	c := newClient(4)
	c.Carrier(0, true)
	_, _, a, now := settle(t, c)
	thief := ARP{SenderAddr: a}
	if out := c.Heard(now, ARP{TargetAddr: a, Probe: true}); out != (Output{}) {
		t.Errorf("a question, which the kernel answers: %+v", out)
	}
	if out := c.Heard(now, thief); out != (Output{Announce: a}) {
		t.Errorf("%+v", out)
	}
	if out := c.Heard(now+defendInterval, thief); out != (Output{Announce: a}) {
		t.Errorf("%+v", out)
	}
	if out := c.Heard(now+defendInterval+1, thief); out != (Output{Lost: a}) || c.State() != Probing || c.Addr().IsValid() {
		t.Errorf("%+v", out)
	}
	if c.addr == a {
		t.Error("the same again")
	}
	if out := newClient(5).Heard(0, thief); out != (Output{}) {
		t.Errorf("without a link: %+v", out)
	}
}

// Machines that begin at once on one link, some with the same seed, all get an
// address of their own.
func TestManyMachinesGetDifferentAddresses(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var list []*Client
		for range 5 {
			c := New(Config{Seed: uint64(rng.IntN(3)), Rand: rng.Uint32})
			c.Carrier(0, true)
			list = append(list, c)
		}
		var hear func(now time.Duration, from int, out Output)
		hear = func(now time.Duration, from int, out Output) {
			a := ARP{SenderAddr: out.Announce, TargetAddr: out.Announce}
			if out.Probe.IsValid() {
				a = ARP{SenderAddr: netip.IPv4Unspecified(), TargetAddr: out.Probe, Probe: true}
			}
			if !a.TargetAddr.IsValid() {
				return
			}
			for i, c := range list {
				if i == from {
					continue
				}
				// The kernel of who has the address answers.
				if a.Probe && c.Addr().IsValid() && c.Addr().Addr() == a.TargetAddr {
					list[from].Heard(now, ARP{SenderAddr: a.TargetAddr})
				}
				hear(now, i, c.Heard(now, a))
			}
		}
		for steps := 0; ; steps++ {
			who, next := 0, Never
			for i, c := range list {
				if c.Next() < next {
					who, next = i, c.Next()
				}
			}
			if next == Never {
				break
			}
			if steps > 1000 {
				t.Fatalf("seed %d: no end", seed)
			}
			hear(next, who, list[who].Deadline(next))
		}
		seen := map[netip.Prefix]bool{}
		for _, c := range list {
			if seen[c.Addr()] || !usable(c.Addr().Addr()) {
				t.Fatalf("seed %d: %v twice", seed, c.Addr())
			}
			seen[c.Addr()] = true
		}
	}
}
