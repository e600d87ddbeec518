package netup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup"
	"firstlight/internal/netup/netuptest"
)

// The address that the kernel made up for a link that is used is set, and others
// are not.
func TestAddressThatTheKernelMadeUpIsKept(t *testing.T) {
	for random, want := range map[bool][]string{true: {"eth0"}, false: nil} {
		n, c, lines := network(&netuptest.Card{})
		n.Identities = map[string]netup.Identity{string([]byte{2, 0, 0, 0, 1, 0}): {Random: random}}
		n.Start("ip=eth0:dhcp\n")
		c.run(3 * time.Second)
		if !slices.Equal(n.Addressed, want) || len(n.Addresses["eth0"]) != 1 {
			t.Errorf("random %v: %v, %v\n%s", random, n.Addressed, n.Addresses, strings.Join(*lines, "\n"))
		}
	}
}

// A card that has the name of a VLAN that is to be made stays what it is.
func TestLinkOfAnotherKindIsInTheWay(t *testing.T) {
	n, c, lines := network(&netuptest.Card{}, &netuptest.Card{})
	n.Start("vlan=eth1:eth0\nip=eth1:dhcp\n")
	c.run(3 * time.Second)
	if len(n.Cards) != 2 || !has(*lines, "eth1", `another\x20link\x20of\x20this\x20name`) {
		t.Errorf("%d links\n%s", len(n.Cards), strings.Join(*lines, "\n"))
	}
}
