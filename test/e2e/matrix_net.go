package e2e

import (
	"encoding/binary"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// nfsImage is an image for a root on NFS with the cards of the test machines.
func nfsImage() *Target { return &Target{FS: "nfs", Modules: []string{"virtio_net", "e1000e"}} }

// toServer says whether a frame is a message of a DHCP client.
func toServer(frame []byte) bool {
	const ethernet, ip = 14, 20
	return len(frame) > ethernet+ip+4 && frame[12] == 8 && frame[13] == 0 && frame[ethernet+9] == 17 && binary.BigEndian.Uint16(frame[ethernet+ip+2:]) == 67
}

// loseMessages loses the first so many messages of the DHCP client.
func loseMessages(count int) func(int, []byte) bool {
	return func(_ int, frame []byte) bool {
		if count > 0 && toServer(frame) {
			count--
			return true
		}
		return false
	}
}

// networkScenarios are roots on a server.
func networkScenarios() []Scenario {
	const root, off = serverAddress + ":" + exported, " rd.timeout=40 rd.emergency=poweroff"
	const static = " ip=10.7.0.9::10.7.0.1:255.255.255.0:box:enp0s1:none"
	card, v4, v3 := []vm.NIC{{}}, Want{Root: root + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}}, Want{Root: root + " nfs", RootOptions: []string{"ro", "vers=3"}}
	debian := disks.DebianNFS("bookworm")
	rootPath := []string{"--dhcp-option=option:root-path," + root}
	later := func(w Want) Want { w.Timers = true; return w }
	net := func(name, args string, n Net, w Want) Scenario {
		if n.NICs == nil {
			n.NICs = card
		}
		return Scenario{Name: name, For: nfsImage(), Append: args, Net: &n, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	trixieFull := func(s Scenario) Scenario { s.TrixieFull = true; return s }
	two := Net{NICs: []vm.NIC{{NoCarrier: true}, {}}, Apart: []int{0}, Server: Server{DHCP: rootPath}}
	taken := Server{Other: []serverplan.Command{{Argv: []string{"ip", "address", "add", "10.7.0.9/24", "dev", "eth0"}}}}
	return []Scenario{
		trixie(net("nfs-dhcp-root-path", "ro root=dhcp", Net{Server: Server{DHCP: rootPath}}, v4)),
		trixie(net("nfs3-static", "ro root=nfs:"+root+":vers=3"+static, Net{Server: Server{NFS: []string{"-N", "4"}}}, v3)),
		trixieFull(net("nfs-two-cards", "ro root=dhcp", two, v4)),

		// The first messages are lost, or the servers are late: the boot waits, and
		// says for what.
		full(net("nfs-first-packet-lost", "ro root=/dev/nfs ip=dhcp nfsroot="+root+",vers=4.1", Net{Lose: loseMessages(1), Server: Server{DHCP: []string{}}},
			Want{Root: root + " nfs4?", RootOptions: []string{"ro", "vers=4.1"}})),
		full(net("nfs-late-dhcp", "ro root=dhcp", Net{Server: Server{DHCP: rootPath, DHCPLate: 40 * time.Second}}, later(v4))),
		full(net("nfs-late-server", "rw root=nfs4:"+root+static, Net{Server: Server{NFSLate: 40 * time.Second}},
			later(Want{Root: root + " nfs4?", RootOptions: []string{"rw", "vers=4.2"}}))),
		// Without a version it is the newest that both know.
		full(net("nfs-only-3", "ro root=nfs:"+root+" ip=dhcp", Net{Server: Server{DHCP: []string{}, NFS: []string{"-N", "4"}}}, v3)),
		full(net("nfs-e1000e", "ro net.ifnames=0 root=dhcp ip=eth0:dhcp", Net{NICs: []vm.NIC{{Model: "e1000e"}}, Server: Server{DHCP: rootPath}}, v4)),
		full(Scenario{Name: "nfs-overlay", For: &Target{FS: "nfs", Layers: []string{"overlay"}, Modules: []string{"virtio_net"}}, Append: "rw root=dhcp rd.overlay",
			Net:   &Net{NICs: card, Server: Server{DHCP: rootPath, Export: "ro"}},
			Boots: once(Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/rootfsbase " + root + " nfs4? ro,.*"}})}),

		// A whole system, whose networkd takes the link over that its root is on.
		full(Scenario{Name: "bookworm-nfs", For: nfsImage(), Append: "rw root=dhcp", Memory: 1024, Net: &Net{NICs: card, Server: Server{DHCP: rootPath, Disk: &debian}},
			Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true}}}}),

		full(net("nfs-no-dhcp", "ro root=dhcp"+off, Net{Server: Server{}},
			Want{NoBoot: true, Console: []Seen{see(`enp0s1:\s+carrier\s+since\s+[0-9.]+\s+s,\s+DHCP:\s+no\s+answer\s+after`)}})),
		full(net("nfs-not-exported", "ro root=nfs:"+serverAddress+":/srv/other"+static+off, Net{Server: Server{}},
			Want{NoBoot: true, Console: []Seen{see(`10\.7\.0\.1\s+(has\s+no|does\s+not\s+let\s+this\s+machine\s+mount)\s+/srv/other`)}})),
		full(net("nfs-address-taken", "ro root=nfs:"+root+static+off, Net{Server: taken},
			Want{NoBoot: true, Console: []Seen{see(`10\.7\.0\.9\s+is\s+in\s+use\s+by\s+another\s+machine,\s+52:54:00:07:00:01`)}})),
	}
}
