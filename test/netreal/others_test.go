package netreal

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"firstlight/internal/ra"
)

// write makes a configuration, and with it an empty file for leases.
func write(t *testing.T, text string) (config, leases string) {
	t.Helper()
	config, leases = filepath.Join(t.TempDir(), "config"), filepath.Join(t.TempDir(), "leases")
	for name, text := range map[string]string{config: text, leases: ""} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return config, leases
}

func TestALeaseOfBusybox(t *testing.T) {
	if !inNamespace(t, "busybox") {
		return
	}
	config, leases := write(t, "start 10.9.0.50\nend 10.9.0.60\ninterface far\nmax_leases 5\nsiaddr 10.9.0.2\nboot_file grub.efi\n"+
		"option subnet 255.255.255.0\noption router 10.9.0.1\noption dns 10.9.0.53\noption domain example.org\noption lease 300\n"+
		"option rootpath /srv/root\noption hostname node\noption search a.example.org\noption mtu 1400\n"+
		"option staticroutes 10.1.0.0/16 10.9.0.7\noption ntpsrv 10.9.0.9\n")
	// The name of its own file of leases stands in the configuration.
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("lease_file " + leases + "\npidfile " + leases + ".pid\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l := lease4(t, serve(t, "busybox udhcpd -f "+config), false)
	a := netip.MustParseAddr
	if l.Addr.Bits() != 24 || l.Server != a("10.9.0.1") || l.NextServer != a("10.9.0.2") || l.BootFile != "grub.efi" || l.RootPath != "/srv/root" ||
		!slices.Equal(l.DNS, []netip.Addr{a("10.9.0.53")}) || !slices.Equal(l.Search, []string{"a.example.org"}) || l.HostName != "node" ||
		l.MTU != 1400 || l.Lifetime != 5*time.Minute || len(l.Routes) != 1 || l.Routes[0].Via != a("10.9.0.7") || len(l.Notes) > 0 {
		t.Errorf("%+v", l)
	}
}

func TestALeaseOfISC(t *testing.T) {
	if !inNamespace(t, "dhcpd") {
		return
	}
	config, leases := write(t, "authoritative;\ndefault-lease-time 600;\nsubnet 10.9.0.0 netmask 255.255.255.0 {\n range 10.9.0.50 10.9.0.60;\n"+
		" option routers 10.9.0.1;\n option domain-name-servers 10.9.0.53, 10.9.0.54;\n option domain-name \"example.org\";\n"+
		" option domain-search \"eng.example.org\", \"lab.example.org\";\n option root-path \"nfs:10.9.0.1:/srv/root:ro\";\n"+
		" option host-name \"node\";\n option interface-mtu 1400;\n next-server 10.9.0.2;\n filename \"pxelinux.0\";\n server-name \"boot\";\n ping-check false;\n}\n")
	l := lease4(t, serve(t, "dhcpd -4 -f -d -user root -group root -cf "+config+" -lf "+leases+" -pf "+leases+".pid far"), false)
	a := netip.MustParseAddr
	if l.Addr.Bits() != 24 || l.Server != a("10.9.0.1") || l.NextServer != a("10.9.0.2") || l.BootFile != "pxelinux.0" || l.TFTPServer != "boot" ||
		!slices.Equal(l.DNS, []netip.Addr{a("10.9.0.53"), a("10.9.0.54")}) || l.Domain != "example.org" ||
		!slices.Equal(l.Search, []string{"eng.example.org", "lab.example.org"}) || l.RootPath != "nfs:10.9.0.1:/srv/root:ro" ||
		l.HostName != "node" || l.MTU != 1400 || l.Lifetime != 10*time.Minute || len(l.Routes) != 1 || len(l.Notes) > 0 {
		t.Errorf("%+v", l)
	}
}

func TestAnAdvertisementOfRadvd(t *testing.T) {
	if !inNamespace(t, "radvd") {
		return
	}
	config, leases := write(t, "interface far {\n AdvSendAdvert on;\n AdvManagedFlag on;\n AdvOtherConfigFlag on;\n AdvLinkMTU 1400;\n AdvDefaultPreference high;\n"+
		" AdvDefaultLifetime 600;\n prefix fd00:9::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 7200; AdvPreferredLifetime 3600; };\n"+
		" prefix fd00:a::/64 { AdvOnLink on; AdvAutonomous off; };\n route fd00:b::/48 { AdvRoutePreference low; AdvRouteLifetime 300; };\n"+
		" RDNSS fd00:9::53 fd00:9::54 { AdvRDNSSLifetime 900; };\n DNSSL example.org lab.example.org { AdvDNSSLLifetime 900; };\n};\n")
	s := settings(t, serve(t, "radvd -n -m stderr -C "+config+" -p "+leases+".pid"))
	if len(s.Addrs) != 1 || s.Addrs[0].Addr.String() != "fd00:9::5054:ff:fe12:3456/64" || s.Addrs[0].ValidUntil-s.Addrs[0].PreferredUntil != time.Hour ||
		s.MTU != 1400 || !s.Managed || !s.Other || len(s.DNS) != 2 || !slices.Equal(s.Search, []string{"example.org", "lab.example.org"}) {
		t.Errorf("%+v", s)
	}
	var routes []string
	for _, r := range s.Routes {
		routes = append(routes, r.Dst.String()+map[ra.Preference]string{ra.High: " high", ra.Low: " low"}[r.Preference])
	}
	if !slices.Equal(routes, []string{"fd00:9::/64", "fd00:a::/64", "::/0 high", "fd00:b::/48 low"}) {
		t.Errorf("%q", routes)
	}
}
