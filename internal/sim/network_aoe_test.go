package sim_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// onAoE is a machine whose root a server of ATA over Ethernet has. Nobody gives it an
// address.
func onAoE(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	m.Network.Server = nil
	m.Network.AoE = &sim.AoE{Disks: map[string]*sim.Disk{"e0.0": rootDisk(), "e0.1": changesDisk()}}
	return m
}

func TestRootsOnAoE(t *testing.T) {
	for _, cmdline := range []string{
		"ro root=aoe:/dev/etherd/e0.0", "root=aoe:e0.0 ip=eth0:none", "netroot=aoe:e0.0 root=UUID=" + rootUUID,
		"netroot=aoe:e0.1 netroot=aoe:etherd/e0.0 root=LABEL=root", "netroot=aoe:e0.0 root=/dev/etherd/e0.0",
	} {
		t.Run(cmdline, func(t *testing.T) {
			m := onAoE(cmdline)
			m.Record = true
			boot(t, m)
			onServer(t, m, "/dev/etherd/e0.0 ext4")
			replays(t, m)
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
}

func TestAnAoEDiskThatIsNotThereSaysSo(t *testing.T) {
	for cmdline, says := range map[string]string{
		"root=aoe:/dev/etherd/e7.3":   "no server on the links that are up has it",
		"root=aoe:/dev/sda":           "not a disk such as aoe:/dev/etherd/e0.0",
		"root=aoe:/dev/etherd/e0.999": "its name is none",
	} {
		m := onAoE(cmdline + " rd.timeout=30 rd.emergency=poweroff")
		boot(t, m)
		if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), says) {
			t.Errorf("%s: it does not say %q; it said:\n%s", cmdline, says, m.SaidText())
		}
	}
}

// Servers that come late, and cards without a carrier, by seed.
func TestManyAoEServers(t *testing.T) {
	seeds := 100
	if n, err := strconv.Atoi(os.Getenv("FIRSTLIGHT_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 11))
		var cards []*netuptest.Card
		for range 1 + r.IntN(3) {
			cards = append(cards, &netuptest.Card{Apart: r.IntN(3) == 0})
		}
		cards[r.IntN(len(cards))].Apart = false
		m := onAoE([...]string{"root=aoe:e0.0", "netroot=aoe:e0.0 root=UUID=" + rootUUID}[r.IntN(2)]+" rd.timeout=90 rd.emergency=poweroff", cards...)
		m.Seed = seed
		for range r.IntN(3) {
			from := time.Duration(r.Int64N(int64(20 * time.Second)))
			m.Network.AoE.Away = append(m.Network.AoE.Away, [2]time.Duration{from, from + time.Duration(r.Int64N(int64(20*time.Second)))})
		}
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("seed %d: not started; it said:\n%s", seed, m.SaidText())
		}
		m.Close()
	}
}
