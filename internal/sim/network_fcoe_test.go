package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// onFCoE is a machine whose root is a disk of Fibre Channel over Ethernet. Nobody gives
// it an address.
func onFCoE(cmdline, mode string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	m.Network.Server = nil
	m.Network.FCoE = &sim.FCoE{Disks: []*sim.Disk{rootDisk()}, Mode: mode}
	return m
}

func TestRootsOnFCoE(t *testing.T) {
	for cmdline, mode := range map[string]string{
		"fcoe=eth0:nodcb root=LABEL=root": "create", "fcoe=eth0:nodcb:vn2vn root=LABEL=root": "create_vn2vn",
		"fcoe=02:00:00:00:01:00:nodcb:fabric root=UUID=" + rootUUID: "create", "fcoe=eth0:dcb ip=eth0:none root=LABEL=root": "create",
		"fcoe=eth1:nodcb fcoe=eth0:nodcb root=LABEL=root": "create",
	} {
		t.Run(cmdline, func(t *testing.T) {
			m := onFCoE(cmdline, mode)
			m.Record = true
			boot(t, m)
			onServer(t, m, "ext4")
			replays(t, m)
		})
	}
}

func TestAnAdapterThatDoesNotComeSaysSo(t *testing.T) {
	for _, c := range []struct {
		cmdline, says string
		make          func(*sim.Machine)
	}{
		{"fcoe=eth9:nodcb", "FCoE on eth9: needs the link, which is not up yet", nil},
		{"fcoe=eth0:nodcb", "network link eth0: no carrier", func(m *sim.Machine) { m.Network.Cards[0].Carrier = -1 }},
		{"fcoe=eth0:nodcb", "its disks come when their owners answer", func(m *sim.Machine) { m.Network.Cards[0].Apart = true }},
		{"fcoe=edd:nodcb", "which link the firmware has used is not looked up", nil},
	} {
		m := onFCoE(c.cmdline+" root=LABEL=root rd.timeout=30 rd.emergency=poweroff", "create")
		if c.make != nil {
			c.make(m)
		}
		boot(t, m)
		if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), c.says) {
			t.Errorf("%s: it does not say %q; it said:\n%s", c.cmdline, c.says, m.SaidText())
		}
	}
}

// Cards that come late, and those without a carrier.
func TestManyAdapters(t *testing.T) {
	netFamily{stream: 89, usual: 200, least: 100, root: []string{"/dev/sda"}, why: []string{"FCoE on"},
		make: func(rng *rand.Rand) (*sim.Machine, int) {
			cards, can := []*netuptest.Card{{}, {}}, always
			for _, c := range cards {
				c.Appears, c.Carrier = time.Duration(rng.Int64N(int64(3*time.Second))), time.Duration(rng.Int64N(int64(5*time.Second)))
			}
			if rng.IntN(4) == 0 {
				cards[0].Carrier, can = -1, never
			}
			return onFCoE("fcoe=eth0:nodcb:vn2vn root=LABEL=root rd.timeout=60 rd.emergency=poweroff", "create_vn2vn", cards...), can
		}}.boot(t)
}
