package e2e

import (
	"strconv"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// restartsNVMe takes the subsystem from its port once a machine has connected, and
// gives it back later.
func restartsNVMe(s Server, port int, after, away time.Duration) Server {
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@connected", strconv.Itoa(port)}, Ready: true},
		serverplan.Command{Argv: []string{"@remove", lan.OnPort(0)}, After: int(after.Milliseconds())},
		serverplan.Command{Argv: []string{"@link", kernelTarget + "subsystems/" + subsystem, lan.OnPort(0)}, After: int(away.Milliseconds())})
	return s
}

// nvmfScenarios are roots on NVMe over TCP.
func nvmfScenarios() []Scenario {
	const off = " rd.timeout=40 rd.emergency=poweroff"
	const connect = " rd.nvmf.connect=tcp," + serverAddress + "," + subsystem
	card, whole, plain := []vm.NIC{{}}, disks.Whole, disks.Plain
	image := func() *Target {
		return &Target{FS: "ext4", Needs: []string{"nvmf"}, Modules: []string{"virtio_net"}}
	}
	is := Want{Root: `/dev/nvme\dn1 ext4`, RootOptions: []string{"ro"}, Hidden: true}
	nvme := func(name, args string, s Server, w Want) Scenario {
		return Scenario{Name: name, For: image(), Append: args, Net: &Net{NICs: card, Server: s}, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	partition := is
	partition.Root = `/dev/nvme\dn1p2 ext4`
	later := func(w Want) Want { w.Timers = true; return w }
	files := nvme("nvmf-files", "ro root=LABEL=whole rd.neednet=1 ip=dhcp", nvmeServer(whole, 4420), is)
	files.Include = []Include{{"/etc/nvme/discovery.conf", "# the target\n--transport=tcp --traddr=" + serverAddress + " --trsvcid=4420\n"}, {"/etc/nvme/hostnqn", hostNQN + "\n"}}
	whom := disks.DebianRemote("bookworm")
	// The firmware says all of it: nothing is on the command line.
	firmware := nvme("nvmf-firmware-table", "ro root=LABEL=whole", nvmeServer(whole, 4420), is)
	firmware.Net.Table, firmware.Net.Server.DHCP = firmwareTable("4420"), nil
	return []Scenario{
		// A whole system, whose server takes its disk away and gives it back while it
		// runs.
		full(Scenario{Name: "bookworm-nvmf", For: image(), Append: "rw " + uuid(whom.FSUUID("root")) + connect, Memory: 1024,
			Net:   &Net{NICs: card, Server: restartsNVMe(nvmeServer(whom, 4420), 4420, 8*time.Second, 3*time.Second)},
			Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true, Hidden: true}}}}),
		trixie(nvme("nvmf-tcp", "ro root=LABEL=whole"+connect, nvmeServer(whole, 4420), is)),
		full(trixie(nvme("nvmf-discover", "ro "+uuid(plain.FSUUID("root"))+" ip=dhcp rd.nvmf.hostnqn="+hostNQN+" rd.nvmf.discover=tcp,"+serverAddress+",,4420", nvmeServer(plain, 4420), partition))),
		full(files), full(firmware),
		full(nvme("nvmf-two-portals", "ro root=LABEL=whole"+connect+connect+",4421", nvmeServer(whole, 4420, 4421), is)),
		full(nvme("nvmf-one-portal-of-two", "ro root=LABEL=whole"+connect+connect+",4421", nvmeServer(whole, 4421), later(is))),
		full(nvme("nvmf-restart", "ro root=LABEL=whole"+connect, restartsNVMe(nvmeServer(whole, 4420), 4420, 0, 5*time.Second), later(is))),
		full(nvme("nvmf-unknown-subsystem", "ro root=LABEL=whole"+connect+"x"+off, nvmeServer(whole, 4420),
			Want{NoBoot: true, Console: []Seen{see(`refuses\s+this\s+host,\s+or\s+there\s+is\s+no\s+such\s+subsystem`)}})),
	}
}
