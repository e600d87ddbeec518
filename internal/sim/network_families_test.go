package sim_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
)

// What a machine of a family may come to.
const (
	never   = iota // it cannot start, and says why
	perhaps        // either is right
	always         // it has to start
)

// netFamily are machines with their roots on servers, one for each seed, all of which
// are held to the same rules.
type netFamily struct {
	stream uint64 // which random numbers it takes
	usual  int    // how many are booted where nobody says
	make   func(rng *rand.Rand) (m *sim.Machine, can int)
	// why are texts of which one is in the explanation of every machine that does
	// not start.
	why []string
	// root begins what the root may be mounted from.
	root []string
	// least is how many hundredths of those that can start do.
	least int
}

// seedsOf are those of a family: usual ones, or FIRSTLIGHT_SEEDS from FIRSTLIGHT_START on.
func seedsOf(usual int) (from, to uint64) {
	if testing.Short() {
		return 0, 100
	}
	n, err := strconv.ParseUint(os.Getenv("FIRSTLIGHT_SEEDS"), 10, 32)
	if err != nil {
		n = uint64(usual)
	}
	from, _ = strconv.ParseUint(os.Getenv("FIRSTLIGHT_START"), 10, 32)
	return from, from + n
}

// boot boots the family. Each machine ends with the root that it was to have, or
// says why not; some are replayed.
func (f netFamily) boot(t *testing.T) {
	t.Helper()
	started, able, all := 0, 0, 0
	from, to := seedsOf(f.usual)
	for seed := from; seed < to; seed++ {
		m, can := f.make(rand.New(rand.NewPCG(seed, f.stream)))
		m.Seed, m.Record = seed, seed%10 == 0
		if err := m.Boot(10 * time.Minute); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		text := m.SaidText()
		switch {
		case m.Started != nil && can == never:
			t.Fatalf("seed %d: started without a way to the root\n%s\n%s", seed, m.Cmdline, m.Journal)
		case m.Started != nil:
			started++
		case m.Stopped == "":
			t.Fatalf("seed %d: neither started nor stopped\n%s", seed, text)
		case can == always:
			t.Fatalf("seed %d: not started\n%s\n%s\n%s", seed, m.Cmdline, text, m.Journal)
		case !slices.ContainsFunc(f.why, func(why string) bool { return strings.Contains(text, why) }):
			t.Fatalf("seed %d: not explained\n%s", seed, text)
		}
		if all++; can != never {
			able++
		}
		if p := m.Core.Stats().Panics; p != 0 {
			t.Fatalf("seed %d: %d panics\n%s", seed, p, m.Journal)
		}
		for _, mt := range m.Mounts {
			if mt.Target == handler.SysRoot && !slices.ContainsFunc(f.root, func(root string) bool { return strings.HasPrefix(mt.Source, root) }) {
				t.Fatalf("seed %d: mounted %+v", seed, mt)
			}
		}
		replays(t, m)
		m.Close()
	}
	t.Logf("%d of %d started, %d could", started, all, able)
	if started < able*f.least/100 || able < all/3 || started == all {
		t.Errorf("%d of %d started, %d could: the family shows nothing", started, all, able)
	}
}

// noLease is in the explanation where the network itself did not come.
const noLease = "DHCP: no answer after"

// noisy lets frames get lost, doubled and late, so that they overtake each other,
// and returns how many of a hundred get lost: none in a quarter of the networks.
func noisy(rng *rand.Rand, n *sim.Network) (loss int) {
	loss, doubled, late := rng.IntN(25), rng.IntN(20), 1+span(rng, time.Second/2)
	if rng.IntN(4) == 0 {
		loss = 0
	}
	n.Noise = func() []time.Duration {
		if rng.IntN(100) < loss {
			return nil
		}
		list := []time.Duration{span(rng, late)}
		if rng.IntN(100) < doubled {
			list = append(list, span(rng, late))
		}
		return list
	}
	return loss
}

// span is a random time below one.
func span(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}
