package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// restartsISCSI is the server that is killed once a machine has connected, and
// started again later.
func restartsISCSI(s Server, after, away time.Duration) Server {
	again := lan.TGT(false, "3260")
	again[1].After = int(away.Milliseconds())
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@connected", "3260"}, Ready: true},
		serverplan.Command{Argv: []string{"@kill", "/run/tgtd.pid"}, After: int(after.Milliseconds())})
	s.Other = append(s.Other, again...)
	return s
}

// iscsiScenarios are roots on iSCSI.
func iscsiScenarios() []Scenario {
	const off = " rd.timeout=40 rd.emergency=poweroff"
	const unit = serverAddress + ":::1:" + iscsiTarget
	const me = " rd.iscsi.initiator=" + iscsiInitiator
	card, whole, plain := []vm.NIC{{}}, disks.Whole, disks.Plain
	image := func(layers ...string) *Target {
		return &Target{FS: "ext4", Layers: layers, Needs: []string{"iscsi"}, Modules: []string{"virtio_net"}}
	}
	stays := []string{"@usr/lib/firstlight/iscsi daemon", "@iscsid -f"}
	is := Want{Root: `/dev/sda ext4`, RootOptions: []string{"ro"}, Hidden: true, Daemons: stays}
	iscsi := func(name, args string, s Server, w Want) Scenario {
		return Scenario{Name: name, For: image(), Append: args, Secret: true, Net: &Net{NICs: card, Server: s}, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	partition := is
	partition.Root = `/dev/sda2 ext4`
	later := func(w Want) Want { w.Timers = true; return w }
	path := iscsiServer(whole, false)
	path.DHCP = []string{"--dhcp-option=option:root-path,iscsi:" + unit}
	crypt := disks.LUKS2
	locked := iscsi("iscsi-luks", "ro netroot=iscsi:"+unit+me+" rd.luks.uuid="+crypt.UUID("crypt")+" "+uuid(crypt.FSUUID("crypt")), iscsiServer(crypt, false), Want{})
	locked.For = image("luks")
	locked.Boots = typed(Want{Root: `/dev/(dm-0|mapper/luks-\S+) ext4`, RootOptions: []string{"ro"}, Hidden: true, Daemons: stays}, disks.Passphrase)
	ways := iscsi("iscsi-two-portals", "ro "+uuid(plain.FSUUID("root"))+" netroot=iscsi:"+unit+" netroot=iscsi:"+serverAddress+"::3261:1:"+iscsiTarget+me,
		iscsiServer(plain, false, "3260", "3261"), Want{Root: `/dev/(dm-\d+|mapper/` + tgtUnit + `-part2) ext4`, RootOptions: []string{"ro"}, Hidden: true, Daemons: stays, Journal: []string{`multipath device \S+ \(\S+\)\tthere: runs on /dev/sd`}})
	ways.For = image("multipath")
	// It is listed, as the machine that made the image would have it: which of the
	// portals comes first makes no difference then.
	ways.Include = []Include{{"/etc/multipath/wwids", "/" + tgtUnit + "/\n"}}
	// The firmware says all of it, with passwords: only that it counts is on the
	// command line.
	firmware := iscsi("iscsi-firmware-table", "ro root=iscsi rd.iscsi.firmware", iscsiServer(whole, true), is)
	firmware.Net.Table, firmware.Net.Server.DHCP = iscsiTable(), nil
	// A whole system, whose server is killed and started again while it runs.
	whom := disks.DebianISCSI()
	debian := Scenario{Name: "bookworm-iscsi", For: image(), Append: "rw netroot=iscsi:" + unit + me + " " + uuid(whom.FSUUID("root")), Memory: 1024, Secret: true,
		Net:   &Net{NICs: card, Server: restartsISCSI(iscsiServer(whom, false), 12*time.Second, 3*time.Second)},
		Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true, Hidden: true}}}}
	const both = "machine:" + chapSecret + ":target:" + chapSecretIn + "@"
	lost := func(n Scenario) Scenario { n.Net.Lose = loseMessages(1); return n }
	return []Scenario{
		trixie(iscsi("iscsi", "ro root=iscsi:"+unit+me, iscsiServer(whole, false), is)),
		full(trixie(iscsi("iscsi-chap", "ro root=iscsi:"+both+unit+me, iscsiServer(whole, true), is))),
		full(iscsi("iscsi-chap-wrong", "ro root=iscsi:machine:wrong-secret-1@"+unit+me+off, iscsiServer(whole, true),
			Want{NoBoot: true, Console: []Seen{see(`does\s+not\s+accept\s+the\s+name\s+and\s+the\s+password`)}})),
		full(iscsi("iscsi-chap-stranger", "ro root=iscsi:machine:"+chapSecret+":target:wrong-secret-22@"+unit+me+off, iscsiServer(whole, true),
			Want{NoBoot: true, Console: []Seen{see(`or\s+does\s+not\s+prove\s+its\s+own`)}})),
		full(iscsi("iscsi-parameters", "ro "+uuid(plain.FSUUID("root"))+me+" rd.iscsi.target.name="+iscsiTarget+" rd.iscsi.target.ip="+serverAddress+" rd.iscsi.target.group=1 rd.iscsi.username=machine rd.iscsi.password="+chapSecret,
			iscsiServer(plain, true), partition)),
		full(iscsi("iscsi-dhcp-root-path", "ro root=dhcp"+me, path, is)),
		full(debian), full(firmware), full(ways), full(locked),
		full(lost(iscsi("iscsi-first-packet-lost", "ro root=iscsi:"+unit+me, iscsiServer(whole, false), is))),
		full(iscsi("iscsi-late", "ro root=iscsi:"+unit+me, late(iscsiServer(whole, false), 1), later(is))),
		full(iscsi("iscsi-restart", "ro root=iscsi:"+unit+me, restartsISCSI(iscsiServer(whole, false), 0, 5*time.Second), later(is))),
		full(iscsi("iscsi-unknown-unit", "ro root=iscsi:"+serverAddress+":::2:"+iscsiTarget+me+off, iscsiServer(whole, false),
			Want{NoBoot: true, Console: []Seen{see(`has\s+no\s+unit\s+2;\s+it\s+has\s+0,\s+1`)}})),
	}
}
