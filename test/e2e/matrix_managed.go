package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// managedScenarios are whole systems on NFS whose links are looked after by other
// programs than networkd: what these are given is left as it is, also at the end.
func managedScenarios() []Scenario {
	on := func(name string, layout disks.Layout) Scenario {
		return Scenario{Name: name, Full: true, For: nfsImage(), Append: "rw root=dhcp", Memory: 1024,
			Net:   &Net{NICs: []vm.NIC{{}}, Server: Server{DHCP: []string{"--dhcp-option=option:root-path," + serverAddress + ":" + exported}, Disk: &layout}},
			Boots: []Boot{{Limit: 8 * time.Minute, Want: Want{Debian: true}}}}
	}
	return []Scenario{
		on("bookworm-nfs-networkmanager", disks.DebianNetworkManager()),
		on("bookworm-nfs-ifupdown", disks.DebianIfupdown()),
	}
}
