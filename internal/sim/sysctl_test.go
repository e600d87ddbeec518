package sim_test

import (
	"strings"
	"testing"

	"firstlight/internal/sim"
)

// Parameters that the image names are set before the real system starts, patterns
// where nothing better is said; one that there is not keeps nobody from starting.
func TestParametersAreSet(t *testing.T) {
	m := full("rd.shell=0 root=UUID="+rootUUID, &sim.Disk{Content: sim.Ext4(rootUUID, ""), Files: debian()})
	m.Image.Features = []string{"sysctl"}
	const conf = "/proc/sys/net/ipv4/conf/"
	m.Files = map[string]string{
		"/etc/firstlight/sysctl":      "!net/ipv4/conf/all/rp_filter\n*net/ipv4/conf/*/rp_filter=2\n=vm/swappiness=10\n-kernel/none=1\n=kernel/neither=1\n=net/ipv4/conf/lo/rp_filter=0\n",
		"/proc/sys/vm/swappiness":     "60",
		conf + "lo/rp_filter":         "9",
		conf + "all/rp_filter":        "9",
		conf + "enp1s0.200/rp_filter": "9",
	}
	boot(t, m)
	started(t, m, "/dev/vda")
	for p, want := range map[string]string{"/proc/sys/vm/swappiness": "10", conf + "lo/rp_filter": "0", conf + "all/rp_filter": "9", conf + "enp1s0.200/rp_filter": "2"} {
		if m.Files[p] != want {
			t.Errorf("%s is %q, not %q", p, m.Files[p], want)
		}
	}
	said := ""
	for _, l := range m.Said {
		said += l.Text + "\n"
	}
	if !strings.Contains(said, "kernel/neither") || strings.Contains(said, "kernel/none") {
		t.Errorf("it said:\n%s", said)
	}
}
