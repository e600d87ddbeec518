package e2e

import (
	"encoding/binary"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// takenAddress is the one that a bad network's DHCP server offers first, and that
// another machine has.
const takenAddress = "10.7.0.66"

// The protocols of IPv4.
const (
	tcp = 6
	udp = 17
)

// goesTo says whether a frame is one of IPv4 to a port.
func goesTo(frame []byte, protocol byte, port uint16) bool {
	const ethernet, ip = 14, 20
	return len(frame) >= ethernet+ip+4 && frame[12] == 8 && frame[13] == 0 && frame[ethernet+9] == protocol && binary.BigEndian.Uint16(frame[ethernet+ip+2:]) == port
}

// badNetwork has all that a network can be bad at. The first of two cards has no
// carrier. The DHCP server comes late, offers an address that another machine has,
// and an MTU that neither the wire nor the server has. The first message to the DHCP
// server is lost, and the first packet to the port of the server with the root.
func badNetwork(s Server, protocol byte, port uint16) *Net {
	s.DHCPLate = 15 * time.Second
	s.DHCP = append([]string{"--dhcp-host=52:54:00:07:01:02," + takenAddress, "--dhcp-option=option:mtu,9000"}, s.DHCP...)
	s.Before = append(s.Before, serverplan.Command{Argv: []string{"ip", "address", "add", takenAddress + "/24", "dev", "eth0"}})
	message, packet := loseMessages(1), false
	lose := func(n int, frame []byte) bool {
		if !packet && goesTo(frame, protocol, port) {
			packet = true
			return true
		}
		return message(n, frame) || len(frame) > 1514
	}
	return &Net{NICs: []vm.NIC{{NoCarrier: true}, {}}, Apart: []int{0}, Server: s, Lose: lose}
}

// outage loses all that goes to a server for a time, from the nth packet on that goes
// neither to its DHCP server nor to nobody in particular.
func outage(nth int, lasts time.Duration) func(int, []byte) bool {
	const ethernet = 14
	var until time.Time
	return func(_ int, frame []byte) bool {
		if len(frame) > ethernet+9 && frame[12] == 8 && frame[13] == 0 && frame[ethernet+9] == udp && !toServer(frame) && frame[0]&1 == 0 {
			if nth--; nth == 0 {
				until = time.Now().Add(lasts)
			}
		}
		return time.Now().Before(until)
	}
}

// restartsNFS is the server that is stopped once a machine has connected, and started
// again later.
func restartsNFS(s Server, away time.Duration) Server {
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@connected", "2049"}, Ready: true}, serverplan.Command{Argv: []string{"rpc.nfsd", "0"}},
		serverplan.Command{Argv: []string{"rpc.nfsd", "-G", "10", "-L", "10", "4"}, After: int(away.Milliseconds())},
		serverplan.Command{Argv: []string{"@write", "/proc/fs/nfsd/v4_end_grace", "Y"}})
	return s
}

// restartsSamba is the same for the SMB server, which is killed.
func restartsSamba(away time.Duration) Server {
	s := samba()
	start := serverplan.Command{Argv: []string{"smbd", "--foreground", "--debug-stdout"}, Stays: true}
	again := start
	again.After = int(away.Milliseconds())
	s.Other = []serverplan.Command{start, {Argv: []string{"@connected", "445"}, Ready: true}, {Argv: []string{"@kill", "/run/samba/smbd.pid"}}, again}
	return s
}

// late is a server of disks whose command n, the one that lets it answer, comes when
// the machine has waited for it; below 0 from the end.
func late(s Server, n int) Server {
	c := &s.Other[(n+len(s.Other))%len(s.Other)]
	c.Ready, c.After = true, 8000
	return s
}

// networkFaults are roots of every kind on a bad network, and servers that go while
// the machine boots or come late, as far as the kind's own scenarios have none.
func networkFaults() []Scenario {
	const unit = serverAddress + ":::1:" + iscsiTarget
	whole, disc := disks.Whole, disks.LiveDisc
	image := func(needs string) *Target {
		return &Target{FS: "ext4", Needs: []string{needs}, Modules: []string{"virtio_net"}}
	}
	bad := Want{Timers: true, Journal: []string{`conflict enp0s2 addr=10\.7\.0\.66`}}
	rooted := func(w Want, root string, options ...string) Want { w.Root, w.RootOptions = root, options; return w }
	disk := func(root string, stay ...string) Want {
		w := rooted(bad, root, "ro")
		w.Hidden, w.Daemons = true, stay
		return w
	}
	loaded := rooted(bad, "LiveOS_rootfs overlay")
	loaded.Mounts = []string{"/run/initramfs/fetched fetched tmpfs .*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}
	share := "//" + serverAddress + "/root"
	nfs := Server{DHCP: []string{"--dhcp-option=option:root-path," + serverAddress + ":" + exported}}
	web := Server{NoNFS: true, DHCP: []string{}, Built: []string{"./test/guest/httpd"}, Packed: map[string]string{netbootDir + "/root.sfs": "squashfs"},
		Other: []serverplan.Command{{Argv: []string{"httpd"}, Stays: true}}}
	tftp := Server{NoNFS: true, DHCP: []string{"--enable-tftp", "--tftp-root=" + netbootDir}, Packed: web.Packed}
	remote := func(name, scheme string, n *Net) Scenario {
		return Scenario{Name: name, For: fetchImage(), Features: []string{"http-root"}, Layouts: on(disc), Memory: 768, Unchanged: true, Net: n,
			Append: "ro root=live:" + scheme + "://" + serverAddress + "/root.sfs rd.firstlight.sha256=" + sumOf + netbootDir + "/root.sfs", Boots: once(loaded)}
	}
	one := func(s Server) *Net { return &Net{NICs: []vm.NIC{{}}, Server: s} }
	// fair is a scenario with a network that is not bad.
	fair := func(s Scenario) Scenario { s.Boots[0].Want.Journal = nil; return s }
	absent := tftp
	absent.DHCPLate = 8 * time.Second // of the same program
	list := []Scenario{
		{Name: "nfs-bad-network", For: nfsImage(), Append: "ro root=dhcp", Net: badNetwork(nfs, tcp, 2049), Boots: once(rooted(bad, serverAddress+":"+exported+" nfs4?", "ro", "vers=4.2"))},
		{Name: "iscsi-bad-network", For: image("iscsi"), Secret: true, Append: "ro root=iscsi:" + unit + " rd.iscsi.initiator=" + iscsiInitiator,
			Net: badNetwork(iscsiServer(whole, false), tcp, 3260), Boots: once(disk("/dev/sda ext4", "@usr/lib/firstlight/iscsi daemon", "@iscsid -f"))},
		{Name: "nbd-bad-network", For: image("nbd"), Append: "ro root=nbd:" + serverAddress + ":root", Net: badNetwork(nbdServer(whole, "", ""), tcp, 10809), Boots: once(disk("/dev/nbd0 ext4", "@usr/lib/firstlight/nbd"))},
		{Name: "nvmf-bad-network", For: image("nvmf"), Append: "ro root=LABEL=whole ip=dhcp rd.nvmf.connect=tcp," + serverAddress + "," + subsystem,
			Net: badNetwork(nvmeServer(whole, 4420), tcp, 4420), Boots: once(disk(`/dev/nvme\dn1 ext4`))},
		{Name: "cifs-bad-network", For: &Target{FS: "cifs", Modules: []string{"virtio_net"}}, Append: "rw ip=dhcp root=cifs:" + share + " cifsuser=root cifspass=" + smbPassword,
			Net: badNetwork(samba(), tcp, 445), Boots: once(rooted(bad, share+" cifs", "rw"))},
		remote("http-bad-network", "http", badNetwork(web, tcp, 80)),
		remote("tftp-bad-network", "tftp", badNetwork(tftp, udp, 69)),

		{Name: "nfs-restart", For: nfsImage(), Append: "ro root=dhcp", Net: &Net{NICs: []vm.NIC{{}}, Server: restartsNFS(nfs, 5*time.Second)},
			Boots: once(rooted(Want{Timers: true}, serverAddress+":"+exported+" nfs4?", "ro", "vers=4.2"))},
		{Name: "cifs-restart", For: &Target{FS: "cifs", Modules: []string{"virtio_net"}}, Append: "rw ip=dhcp root=cifs:" + share + " cifsuser=root cifspass=" + smbPassword,
			Net: &Net{NICs: []vm.NIC{{}}, Server: restartsSamba(5 * time.Second)}, Boots: once(rooted(Want{Timers: true}, share+" cifs", "rw"))},
		fair(Scenario{Name: "nbd-late-server", For: image("nbd"), Append: "ro root=nbd:" + serverAddress + ":root", Net: one(late(nbdServer(whole, "", ""), 0)), Boots: once(disk("/dev/nbd0 ext4", "@usr/lib/firstlight/nbd"))}),
		fair(Scenario{Name: "nvmf-late-server", For: image("nvmf"), Append: "ro root=LABEL=whole ip=dhcp rd.nvmf.connect=tcp," + serverAddress + "," + subsystem,
			Net: one(late(nvmeServer(whole, 4420), -1)), Boots: once(disk(`/dev/nvme\dn1 ext4`))}),
		fair(remote("tftp-interrupted", "tftp", &Net{NICs: []vm.NIC{{}}, Server: tftp, Lose: outage(20, 6*time.Second)})),
		fair(remote("tftp-late-server", "tftp", one(absent))),
	}
	list[len(list)-1].Append += " ip=10.7.0.9::10.7.0.1:255.255.255.0:box:enp0s1:none"
	for i := range list {
		list[i].Full = true
	}
	return list
}
