package sim_test

import (
	"strings"
	"testing"

	"firstlight/internal/sim"
)

// A boot that waits for a DHCP server has the drivers by the time that it answers.
func TestDriversOfARootOnAServerAreLoadedWhileTheNetworkWaits(t *testing.T) {
	for _, c := range []struct {
		cmdline string
		make    func(string) *sim.Machine
		ahead   []string // in this order
		not     string
	}{
		{"root=nfs:10.0.0.1:/srv/root", func(l string) *sim.Machine { return onNetwork(l) }, []string{"load nfs ahead", "load nfsv4 ahead"}, "ext4"},
		{"root=10.0.0.1:/srv/root", func(l string) *sim.Machine { return onNetwork(l) }, []string{"load nfs ahead", "load nfsv4 ahead"}, "ext4"},
		{"boot=nfs nfsroot=10.0.0.1:/srv/root,vers=3", func(l string) *sim.Machine { return onNetwork(l) }, []string{"load nfs ahead"}, "nfsv4"},
		{"root=nbd:10.0.0.1:root", func(l string) *sim.Machine { return onNBD(l) }, []string{"load nbd ahead"}, "nfs"},
		{"root=iscsi:10.0.0.1:::1:" + target + me, func(l string) *sim.Machine { return onISCSI(l) }, []string{"load sd_mod ahead"}, "nfs"},
	} {
		m := c.make(c.cmdline)
		boot(t, m)
		onServer(t, m, "")
		journal := string(m.Journal)
		before, _, ready := strings.Cut(journal, "state=ready")
		for _, what := range c.ahead {
			var found bool
			if _, before, found = strings.Cut(before, what); !found || !ready {
				t.Errorf("%s: no %q before the network is ready, in\n%s", c.cmdline, what, journal)
				break
			}
		}
		if strings.Contains(journal, "load "+c.not+" ahead") {
			t.Errorf("%s: %s is loaded ahead", c.cmdline, c.not)
		}
	}
}
