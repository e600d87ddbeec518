package e2e

import (
	"firstlight/test/vm"
)

// nfsImage is an image for a root on NFS with the card of the test machine.
func nfsImage() *Target { return &Target{FS: "nfs", Modules: []string{"virtio_net"}} }

// network are the scenarios of roots on a server.
func networkScenarios() []Scenario {
	card := []vm.NIC{{}}
	rootPath := []string{"--dhcp-option=option:root-path," + serverAddress + ":" + exported}
	return []Scenario{
		{Name: "nfs-dhcp-root-path", For: nfsImage(), Append: "ro root=dhcp", Net: &Net{NICs: card, Server: Server{DHCP: rootPath}},
			Boots: once(Want{Root: serverAddress + ":" + exported + " nfs4?", RootOptions: []string{"ro", "vers=4.2"}})},
	}
}
