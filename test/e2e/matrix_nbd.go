package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// restartsNBD is the server that is killed once a machine has connected, and
// started again later.
func restartsNBD(s Server, after, away time.Duration) Server {
	again := lan.StartNBD()
	again.After = int(away.Milliseconds())
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@connected", "10809"}, Ready: true},
		serverplan.Command{Argv: []string{"@kill", "/run/nbd.pid"}, After: int(after.Milliseconds())}, again)
	return s
}

// nbdImage is an image for a root on NBD.
func nbdImage(layers ...string) *Target {
	return &Target{FS: "ext4", Layers: layers, Needs: []string{"nbd"}, Modules: []string{"virtio_net"}}
}

// nbdScenarios are roots on a server of block devices.
func nbdScenarios() []Scenario {
	const off = " rd.timeout=40 rd.emergency=poweroff"
	card := []vm.NIC{{}}
	whole, plain := disks.Whole, disks.Plain
	is := Want{Root: "/dev/nbd0 ext4", RootOptions: []string{"ro"}, Daemons: []string{"@usr/lib/firstlight/nbd"}}
	nbd := func(name, args string, s Server, w Want) Scenario {
		return Scenario{Name: name, For: nbdImage(), Append: args, Net: &Net{NICs: card, Server: s}, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	later := func(w Want) Want { w.Timers = true; return w }
	path := nbdServer(whole, "", "")
	path.DHCP = []string{"--dhcp-option=option:root-path,nbd:" + serverAddress + ":root:ext4"}
	partition := is
	partition.Root = "/dev/nbd0p2 ext4"
	crypt := disks.LUKS2
	locked := nbd("nbd-luks", "ro netroot=nbd:"+serverAddress+":root rd.luks.uuid="+crypt.UUID("crypt")+" "+uuid(crypt.FSUUID("crypt")), nbdServer(crypt, "", ""),
		Want{})
	locked.For = nbdImage("luks")
	locked.Boots = typed(Want{Root: `/dev/(dm-0|mapper/luks-\S+) ext4`, RootOptions: []string{"ro"}, Daemons: is.Daemons}, disks.Passphrase)
	ca, cert, client, key := certificates()
	mine := ca
	encrypted := func(name, ca, args string, want Want) Scenario {
		s := nbd(name, "ro root=nbd:"+serverAddress+":root:ext4:ro:tls"+args, nbdServer(whole, "certfile=/etc/cert.pem\nkeyfile=/etc/key.pem\ncacertfile=/etc/ca.pem\nforce_tls=true\n", ""), want)
		s.Net.Server.Files["/etc/cert.pem"], s.Net.Server.Files["/etc/key.pem"], s.Net.Server.Files["/etc/ca.pem"] = cert, key, mine
		s.Features, s.Include = []string{"nbd-tls"}, []Include{{"/etc/firstlight/nbd/ca.pem", ca}, {"/etc/firstlight/nbd/cert.pem", client}, {"/etc/firstlight/nbd/key.pem", key}}
		s.Secret = true
		return s
	}
	other, _, _, _ := certificates()
	secure := is
	secure.Daemons = []string{"@usr/lib/firstlight/nbd-tls"}
	restarted := encrypted("nbd-tls-restart", ca, "", later(secure))
	restarted.Net.Server = restartsNBD(restarted.Net.Server, 0, 5*time.Second)
	whom := disks.DebianRemote("bookworm")
	lost := func(n Scenario) Scenario { n.Net.Lose = loseMessages(1); return n }
	return []Scenario{
		trixie(nbd("nbd", "ro root=nbd:"+serverAddress+":root", nbdServer(whole, "", ""), is)),
		full(nbd("nbd-dhcp-root-path", "ro root=dhcp", path, is)),
		full(nbd("nbd-as-initramfs-tools", "ro root=/dev/nbd0p2 ip=dhcp nbdroot="+serverAddress+",root,nbd0", nbdServer(plain, "", ""), partition)),
		full(nbd("nbd-by-uuid", "ro netroot=nbd:"+serverAddress+":root "+uuid(plain.FSUUID("root")), nbdServer(plain, "", ""), partition)),
		full(nbd("nbd-four-connections", "ro root=nbd:"+serverAddress+":root::ro:-C,4", nbdServer(whole, "", ""), is)),
		full(lost(nbd("nbd-first-packet-lost", "ro root=nbd:"+serverAddress+":root", nbdServer(whole, "", ""), is))),
		full(nbd("nbd-restart", "ro root=nbd:"+serverAddress+":root", restartsNBD(nbdServer(whole, "", ""), 0, 5*time.Second), later(is))),
		full(locked), full(encrypted("nbd-tls", ca, "", secure)), full(restarted),
		full(encrypted("nbd-tls-stranger", other, off, Want{NoBoot: true, Console: []Seen{see(`no\s+secure\s+connection\s+to\s+it\s+can\s+be\s+made:.*certificate`)}})),
		full(nbd("nbd-tls-missing", "ro root=nbd:"+serverAddress+":root:ext4:ro:tls"+off, nbdServer(whole, "", ""),
			Want{NoBoot: true, Console: []Seen{see(`build\s+it\s+with\s+--feature\s+nbd-tls`)}})),
		// A whole system, whose server is killed and started again while it runs.
		full(Scenario{Name: "bookworm-nbd", For: nbdImage(), Append: "rw netroot=nbd:" + serverAddress + ":root " + uuid(whom.FSUUID("root")), Memory: 1024,
			Net:   &Net{NICs: card, Server: restartsNBD(nbdServer(whom, "", ""), 8*time.Second, 3*time.Second)},
			Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true, Daemons: is.Daemons}}}}),
		full(nbd("nbd-unknown-export", "ro root=nbd:"+serverAddress+":rot"+off, nbdServer(whole, "", ""),
			Want{NoBoot: true, Console: []Seen{see(`the\s+server\s+has\s+not\s+the\s+export\s+rot`), see(`name\s+one\s+that\s+it\s+has:\s+root`)}})),
	}
}
