package e2e

import (
	"slices"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// softRDMA has a server do RDMA in software, over its card (RoCE, the kernel's
// rdma_rxe).
func softRDMA(s Server) Server {
	s.Programs = append(s.Programs, "rdma")
	s.Modules = append(s.Modules, "rdma_rxe", "crc32_generic", "rdma_cm")
	s.Before = append(s.Before, commands("rdma link add rxe0 type rxe netdev eth0")...)
	s.Memory = 768
	return s
}

// overRDMA are roots that are reached by RDMA, which the card of the test machine does
// in software.
func overRDMA() []Scenario {
	whole := disks.Whole
	// A machine with a card for RDMA has that device by the card's driver. Here it is
	// made by whoever starts wpa_supplicant, which the network does before anything else.
	script := "#!/bin/sh\nrdma link add rxe0 type rxe netdev enp0s1\nexec -a @wpa_supplicant /usr/sbin/wpa_supplicant \"$@\"\n"
	rdma := func(name, args string, of Target, s Server, w Want, features ...string) Scenario {
		w.Daemons = []string{`@wpa_supplicant -i enp0s1 .*`}
		of.Modules, of.Programs = []string{"virtio_net", "rdma_rxe", "crc32_generic"}, []string{"rdma"}
		return Scenario{Name: name, Full: true, For: &of, Features: append(features, "wired-8021x", "shell"), Append: args + " rd.driver.pre=rdma_rxe", Memory: 768, Net: &Net{NICs: []vm.NIC{{}}, Server: softRDMA(s)},
			Include:  []Include{{Path: "/etc/wpa_supplicant/wpa_supplicant-wired-enp0s1.conf", Data: "ap_scan=0\nnetwork={\nkey_mgmt=IEEE8021X\neap=TLS\nidentity=\"nobody\"\neapol_flags=0\n}\n"}},
			Programs: []Include{{Path: "/usr/local/sbin/wpa_supplicant", Data: script}},
			Boots:    []Boot{{Limit: 5 * time.Minute, Want: w}}}
	}
	target := nvmeServer(whole, 4420)
	target.Modules = append(target.Modules, "nvmet-rdma")
	for i := range target.Other {
		if argv := target.Other[i].Argv; slices.Equal(argv, []string{"@write", kernelTarget + "ports/0/addr_trtype", "tcp"}) {
			argv[2] = "rdma"
		}
	}
	export := Server{DHCP: []string{}, Modules: []string{"rpcrdma"}, Other: []serverplan.Command{{Argv: []string{"@write", "/proc/fs/nfsd/portlist", "rdma 20049"}}}}
	return []Scenario{
		rdma("nvmf-rdma", "ro root=LABEL=whole rd.nvmf.connect=rdma,"+serverAddress+","+subsystem, Target{FS: "ext4", Needs: []string{"nvmf"}}, target,
			Want{Root: `/dev/nvme\dn1 ext4`, RootOptions: []string{"ro"}, Hidden: true}),
		rdma("nfs-rdma", "ro root=nfs:"+serverAddress+":"+exported+":proto=rdma,port=20049 ip=dhcp", Target{FS: "nfs"}, export,
			Want{Root: `10\.7\.0\.1:` + exported + " nfs4?", RootOptions: []string{"ro", "vers=4.2", "proto=rdma"}}, "nfs-rdma"),
	}
}
