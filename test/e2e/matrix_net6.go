package e2e

import (
	"encoding/binary"
	"regexp"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// The server's addresses of IPv6: one of a network, and that of its link.
const (
	serverAddress6 = "fd00:7::1"
	serverLocal    = "fe80::5054:ff:fe07:1"
)

// serve6 gives the server its address of IPv6, and to dnsmasq what it says.
func serve6(options ...string) Server {
	return Server{DHCP: append([]string{"--enable-ra"}, options...), Before: []serverplan.Command{
		{Argv: []string{"ip", "-6", "address", "add", serverAddress6 + "/64", "dev", "eth0", "nodad"}}}}
}

// isIPv6 says whether a frame is a packet of IPv6 with the protocol, and for UDP
// to the port, for ICMPv6 of the type.
func isIPv6(frame []byte, protocol byte, which uint16) bool {
	const ethernet, ip = 14, 40
	if len(frame) < ethernet+ip+4 || frame[12] != 0x86 || frame[13] != 0xdd || frame[ethernet+6] != protocol {
		return false
	}
	if protocol == 58 {
		return uint16(frame[ethernet+ip]) == which
	}
	return binary.BigEndian.Uint16(frame[ethernet+ip+2:]) == which
}

// loseFirst loses the first solicitation to routers and the first message to
// DHCPv6 servers.
func loseFirst() func(int, []byte) bool {
	router, server := true, true
	return func(_ int, frame []byte) bool {
		switch {
		case router && isIPv6(frame, 58, 133):
			router = false
		case server && isIPv6(frame, 17, 547):
			server = false
		default:
			return false
		}
		return true
	}
}

// network6Scenarios are roots on a server that is reached by IPv6.
func network6Scenarios() []Scenario {
	const root, off = "[" + serverAddress6 + "]:" + exported, " rd.timeout=40 rd.emergency=poweroff"
	card, debian := []vm.NIC{{}}, disks.DebianNFS("bookworm")
	want := Want{Root: regexp.QuoteMeta(root) + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}}
	later := func(w Want) Want { w.Timers = true; return w }
	net := func(name, args string, n Net, w Want) Scenario {
		if n.NICs == nil {
			n.NICs = card
		}
		return Scenario{Name: name, For: nfsImage(), Append: args, Net: &n, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	slaac, stateful, url := "--dhcp-range=fd00:7::,ra-only,64,5m", "--dhcp-range=fd00:7::50,fd00:7::99,64,5m", "--dhcp-option=option6:59,nfs://["+serverAddress6+"]"+exported
	return []Scenario{
		trixie(net("nfs6-router", "ro root=nfs:"+root+" ip=auto6", Net{Server: serve6(slaac)}, want)),
		trixie(net("nfs6-dhcp", "ro root=dhcp6 ip=dhcp6", Net{Server: serve6(stateful, url)}, want)),
		full(net("nfs6-link", "ro root=nfs:["+serverLocal+"]:"+exported+" ip=link6", Net{Server: serve6(slaac)},
			Want{Root: regexp.QuoteMeta("["+serverLocal+"%enp0s1]:"+exported) + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}})),
		// What comes first is enough, and version 3 has its mount protocol go by IPv6.
		full(net("nfs6-either-family", "ro root=nfs:"+root+":vers=3 ip=dhcp", Net{Server: serve6(slaac)},
			Want{Root: regexp.QuoteMeta(root) + " nfs", RootOptions: []string{"ro", "vers=3"}})),
		// A router that has no prefix to make addresses of, and says nothing of DHCPv6.
		full(net("nfs6-no-prefix", "ro root=dhcp6 ip=either6", Net{Server: radvdAndDHCPD("off")}, want)),
		// An address alone leads nowhere: what is on the link, routers say.
		full(net("nfs6-no-router", "ro root=dhcp6 ip=dhcp6"+off, Net{Server: Server{DHCP: []string{stateful, url}, Before: serve6().Before}},
			later(Want{NoBoot: true, Console: []Seen{see(`no\s+router\s+is\s+known\s+by\s+which\s+fd00:7::1\s+could\s+be\s+reached`)}}))),
		full(net("nfs6-first-packets-lost", "ro root=dhcp6 ip=dhcp6", Net{Lose: loseFirst(), Server: serve6(stateful, url)}, want)),
		full(net("nfs6-static", "ro root=nfs:"+root+" ip=[fd00:7::9]:::64::enp0s1:none", Net{Server: Server{Before: serve6().Before}}, want)),
		full(net("nfs6-address-taken", "ro root=nfs:"+root+" ip=[fd00:7::9]:::64::enp0s1:none"+off,
			Net{Server: Server{Before: append(serve6().Before, serverplan.Command{Argv: []string{"ip", "-6", "address", "add", "fd00:7::9/64", "dev", "eth0", "nodad"}})}},
			later(Want{NoBoot: true, Console: []Seen{see(`fd00:7::9\s+is\s+in\s+use\s+by\s+another\s+machine`)}}))),
		full(net("nfs6-nobody", "ro root=dhcp6 ip=auto6"+off, Net{Server: Server{}},
			later(Want{NoBoot: true, Console: []Seen{see(`enp0s1:\s+carrier\s+since\s+[0-9.]+\s+s,\s+IPv6:\s+no\s+router\s+has\s+answered`)}}))),
		// The field's other programs: radvd leaves addresses to ISC's dhcpd.
		full(net("nfs6-radvd-dhcpd", "ro root=dhcp6 ip=auto6", Net{Server: radvdAndDHCPD("on")}, want)),
		// A lease with an MTU that neither the wire nor the server has.
		full(net("nfs-mtu-too-large", "rw root=dhcp", Net{Lose: func(_ int, frame []byte) bool { return len(frame) > 1514 },
			Server: Server{DHCP: []string{"--dhcp-option=option:root-path," + serverAddress + ":" + exported, "--dhcp-option=option:mtu,9000"}}},
			Want{Root: serverAddress + ":" + exported + " nfs4?", RootOptions: []string{"rw", "vers=4.2"}})),
		// A whole system, whose networkd takes the link over.
		full(Scenario{Name: "bookworm-nfs6", For: nfsImage(), Append: "rw root=nfs:" + root + " ip=auto6", Memory: 1024, Net: &Net{NICs: card, Server: onDisk(serve6(slaac), &debian)},
			Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true}}}}),
	}
}

func onDisk(s Server, l *disks.Layout) Server {
	s.Disk = l
	return s
}

// radvdAndDHCPD are a router whose advertisements leave addresses to DHCPv6, where
// managed is on, and the server for that.
func radvdAndDHCPD(managed string) Server {
	s := serve6()
	s.DHCP, s.Programs = nil, []string{"radvd", "dhcpd"}
	s.Files = map[string]string{
		"/etc/radvd.conf": "interface eth0 {\n AdvSendAdvert on;\n AdvManagedFlag " + managed + ";\n MinRtrAdvInterval 3;\n MaxRtrAdvInterval 4;\n" +
			" prefix fd00:7::/64 { AdvOnLink on; AdvAutonomous off; };\n};\n",
		"/etc/dhcpd6.conf": "option dhcp6.bootfile-url code 59 = string;\ndefault-lease-time 600;\nauthoritative;\nsubnet6 fd00:7::/64 {\n range6 fd00:7::50 fd00:7::60;\n" +
			" option dhcp6.name-servers fd00:7::1;\n option dhcp6.bootfile-url \"nfs://[fd00:7::1]" + exported + "\";\n}\n",
		"/tmp/dhcpd6.leases": "",
	}
	s.Other = []serverplan.Command{
		{Argv: []string{"radvd", "-n", "-m", "stderr", "-C", "/etc/radvd.conf", "-p", "/run/radvd.pid"}, Stays: true},
		{Argv: []string{"dhcpd", "-6", "-f", "-d", "-user", "root", "-group", "root", "-cf", "/etc/dhcpd6.conf", "-lf", "/tmp/dhcpd6.leases", "-pf", "/run/dhcpd6.pid", "eth0"}, Stays: true},
	}
	return s
}
