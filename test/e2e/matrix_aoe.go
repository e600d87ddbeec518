package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// aoeScenarios are roots on a server of ATA over Ethernet (Debian's vblade), on a wire
// where nobody gives addresses.
func aoeScenarios() []Scenario {
	whole, plain, crypt := disks.Whole, disks.Plain, disks.LUKS2
	server := func(l disks.Layout, late time.Duration) Server {
		return Server{NoNFS: true, Exports: []disks.Layout{l}, Programs: []string{"vblade"},
			Other: []serverplan.Command{{Argv: []string{"vblade", "0", "0", "eth0", "/dev/vda"}, Stays: true, After: int(late.Milliseconds()), Ready: late > 0}}}
	}
	image := func(layers ...string) *Target {
		return &Target{FS: "ext4", Layers: layers, Needs: []string{"aoe"}, Modules: []string{"virtio_net"}}
	}
	aoe := func(name, args string, s Server, w Want) Scenario {
		return Scenario{Name: name, Full: true, For: image(), Append: args, Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: once(w)}
	}
	// The driver shows no requests to whom the harness asks.
	is := func(node string) Want { return Want{Root: node + " ext4", RootOptions: []string{"ro"}, Hidden: true} }
	later := func(w Want) Want { w.Timers = true; return w }
	first := aoe("aoe", "ro root=aoe:/dev/etherd/e0.0", server(whole, 0), is("/dev/etherd/e0.0"))
	first.Trixie = true
	lost := aoe("aoe-first-packets-lost", "ro root=aoe:/dev/etherd/e0.0", server(whole, 0), is("/dev/etherd/e0.0"))
	lost.Net.Lose = func(n int, _ []byte) bool { return n < 3 }
	apart := aoe("aoe-other-card-apart", "ro root=aoe:/dev/etherd/e0.0", server(whole, 0), is("/dev/etherd/e0.0"))
	apart.Net.NICs, apart.Net.Apart = []vm.NIC{{}, {}}, []int{0}
	locked := aoe("aoe-luks", "ro netroot=aoe:e0.0 rd.luks.uuid="+crypt.UUID("crypt")+" "+uuid(crypt.FSUUID("crypt")), server(crypt, 0), Want{})
	locked.For = image("luks")
	locked.Boots = typed(Want{Root: `/dev/(dm-0|mapper/luks-\S+) ext4`, RootOptions: []string{"ro"}, Hidden: true}, disks.Passphrase)
	return []Scenario{
		first, lost, apart, locked,
		aoe("aoe-by-uuid", "ro netroot=aoe:e0.0 "+uuid(plain.FSUUID("root")), server(plain, 0), is("/dev/etherd/e0.0p2")),
		aoe("aoe-late-server", "ro root=aoe:/dev/etherd/e0.0", server(whole, 25*time.Second), later(is("/dev/etherd/e0.0"))),
		aoe("aoe-unknown-disk", "ro root=aoe:/dev/etherd/e3.1 rd.timeout=30 rd.emergency=poweroff", server(whole, 0),
			Want{NoBoot: true, Console: []Seen{see(`no\s+server\s+on\s+the\s+links\s+that\s+are\s+up\s+has\s+it`)}}),
	}
}
