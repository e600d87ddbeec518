package netreal

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// keaServes has kea keep its files where the test is: it wants directories of its own.
func keaServes(program, config, dir string) string {
	return "env KEA_PIDFILE_DIR=" + dir + " KEA_LOCKFILE_DIR=" + dir + " " + program + " -d -c " + config
}

func TestALeaseOfKea(t *testing.T) {
	if !inNamespace(t, "kea-dhcp4") {
		return
	}
	config, _ := write(t, `{"Dhcp4": {"interfaces-config": {"interfaces": ["far"], "dhcp-socket-type": "raw"},
  "lease-database": {"type": "memfile", "persist": false}, "valid-lifetime": 600, "calculate-tee-times": true,
  "subnet4": [{"id": 1, "subnet": "10.9.0.0/24", "pools": [{"pool": "10.9.0.50 - 10.9.0.60"}], "next-server": "10.9.0.2", "boot-file-name": "ipxe.efi",
    "option-data": [{"name": "routers", "data": "10.9.0.1"}, {"name": "domain-name-servers", "data": "10.9.0.53, 10.9.0.54"}, {"name": "domain-name", "data": "example.org"},
      {"name": "domain-search", "data": "eng.example.org, lab.example.org"}, {"name": "root-path", "data": "nfs:10.9.0.1:/srv/root:ro"},
      {"name": "interface-mtu", "data": "1400"}, {"name": "host-name", "data": "node"}]}]}}`)
	l := lease4(t, serve(t, keaServes("kea-dhcp4", config, t.TempDir())), false)
	a := netip.MustParseAddr
	if l.Addr.Bits() != 24 || l.Server != a("10.9.0.1") || l.NextServer != a("10.9.0.2") || l.BootFile != "ipxe.efi" ||
		!slices.Equal(l.DNS, []netip.Addr{a("10.9.0.53"), a("10.9.0.54")}) || l.Domain != "example.org" ||
		!slices.Equal(l.Search, []string{"eng.example.org", "lab.example.org"}) || l.RootPath != "nfs:10.9.0.1:/srv/root:ro" ||
		l.HostName != "node" || l.MTU != 1400 || l.Lifetime != 10*time.Minute || l.Renew != 5*time.Minute || len(l.Routes) != 1 || len(l.Notes) > 0 {
		t.Errorf("%+v", l)
	}
}
