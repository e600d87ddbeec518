package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// overFCoE are roots on disks of Fibre Channel over Ethernet.
func overFCoE() []Scenario {
	whole := disks.Whole
	fcoe := func(name, args string, w Want) Scenario {
		return Scenario{Name: name, Full: true, For: &Target{FS: "ext4", Needs: []string{"fcoe"}, Modules: []string{"virtio_net"}}, Append: args,
			Net: &Net{NICs: []vm.NIC{{}}, Server: lan.FCoE(whole)}, Boots: []Boot{{Limit: 5 * time.Minute, Want: w}}}
	}
	is := Want{Root: `/dev/sda ext4`, RootOptions: []string{"ro"}}
	return []Scenario{
		fcoe("fcoe-vn2vn", "ro root=LABEL=whole fcoe=enp0s1:nodcb:vn2vn", is),
		fcoe("fcoe-by-address", "ro root=LABEL=whole fcoe=52:54:00:07:01:01:nodcb:vn2vn ip=enp0s1:none", is),
		fcoe("fcoe-no-switch", "ro root=LABEL=whole fcoe=enp0s1:nodcb rd.timeout=40 rd.emergency=poweroff",
			Want{NoBoot: true, Console: []Seen{see(`FCoE\s+on\s+enp0s1:\s+has\s+begun\s+\(fabric\)`)}}),
	}
}
