package netreal

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// networkd is where Debian has systemd's program.
const networkd = "/lib/systemd/systemd-networkd"

// ownRun gives the process an empty /run, and the /sys of its network, which
// cannot be written to: networkd then takes itself to be in a container, and waits
// for no udev.
func ownRun(t *testing.T) {
	t.Helper()
	for _, m := range []struct {
		what, dir, kind string
		flags           uintptr
	}{{"run", "/run", "tmpfs", 0}, {"sys", "/sys", "sysfs", unix.MS_RDONLY}, {"/dev/null", "/etc/resolv.conf", "", unix.MS_BIND}} {
		if err := unix.Mount(m.what, m.dir, m.kind, m.flags, ""); err != nil {
			t.Fatalf("mount %s: %v", m.dir, err)
		}
	}
	if err := os.MkdirAll("/run/systemd/netif", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("/run/systemd/netif", 0o777); err != nil {
		t.Fatal(err)
	}
}

// The networkd of a real system finds a link that the root is on, and is stopped
// again: the link has its address all the time, and afterwards.
func TestNetworkdTakesOverALink(t *testing.T) {
	if _, err := os.Stat(networkd); err != nil {
		t.Skip(err)
	}
	if !inNamespace(t, "dnsmasq") {
		return
	}
	ownRun(t)
	for _, x := range []struct{ name, options, params, took string }{
		{"routers", v6Options + " --dhcp-range=fd00:9::,ra-only,64,5m", "ip=near:auto6\nroot=nfs:[fd00:9::1]:/srv", "SLAAC addresses and routes set"},
		{"DHCPv6", v6Options + " --dhcp-range=fd00:9::50,fd00:9::60,64,5m", "ip=near:dhcp6\nroot=nfs:[fd00:9::1]:/srv", "SLAAC addresses and routes set"},
		{"DHCP", dhcp4Options, "ip=near:dhcp4\nroot=nfs:10.9.0.1:/srv", "DHCPv4 address 10.9.0."},
	} {
		t.Run(x.name, func(t *testing.T) {
			i := dnsmasq(t, x.options)
			defer run(t, "ip", "link", "del", "near")
			down(t)
			helper(t, x.params, "root near kind=nfs")
			had := addresses(t, i)
			if len(had) == 0 {
				t.Fatal("no address")
			}
			var log bytes.Buffer
			cmd := exec.Command(networkd)
			cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
			cmd.Stdout, cmd.Stderr = &log, &log
			monitor := exec.Command("ip", "-o", "monitor", "address", "dev", "near")
			var seen bytes.Buffer
			monitor.Stdout = &seen
			for _, c := range []*exec.Cmd{monitor, cmd} {
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(6 * time.Second) // as long as it may take to do harm
			for _, c := range []*exec.Cmd{cmd, monitor} {
				_ = c.Process.Signal(unix.SIGTERM)
				_ = c.Wait()
			}
			if got := addresses(t, i); !slices.Equal(got, had) {
				t.Errorf("%v, which were %v", got, had)
			}
			if strings.Contains(seen.String(), "Deleted") || !strings.Contains(log.String(), x.took) {
				t.Errorf("%s\n%s", &seen, &log)
			}
		})
	}
}
