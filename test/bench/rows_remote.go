package bench

import (
	"strings"

	"firstlight/test/disks"
	"firstlight/test/lan"
)

// remoteRows are roots on a server, all of them with an address by DHCP. The root
// is the same each time: a filesystem without a partition table, which the server
// exports or serves as a disk.
//
// dracut has network-legacy below them: its modules for roots on servers do not
// work with systemd-networkd, which is no client of its `netroot`. initramfs-tools
// mount with klibc's nfsmount, which knows version 3 of NFS and no newer one;
// Firstlight and dracut negotiate 4.2. They have nothing for NVMe over TCP.
var remoteRows = []row{
	{name: "nfs", what: "NFS", layout: disks.BenchPaths, on: "d0", fs: "nfs", root: "/dev/nfs", server: nfsServer(), modules: []string{"nfs", "nfsv3", "af_packet"},
		dracut: []string{"network-legacy", "nfs"}, packages: remotePackages,
		args: map[string]string{"f": nfsRoot, "irt": nfsRoot, "dracut": "ip=dhcp rd.neednet=1"}, roots: map[string]string{"dracut": "nfs:" + lan.Address + ":" + lan.Exported}},
	{name: "iscsi", what: "iSCSI", layout: disks.BenchPaths, on: "d0", needs: []string{"iscsi"}, server: served(lan.ISCSI(disks.BenchPaths, false)),
		modules: []string{"iscsi_tcp", "sd_mod", "crc32c_generic", "af_packet"}, dracut: []string{"network-legacy", "iscsi"}, packages: remotePackages,
		args: map[string]string{"f": iscsiRoot + " rd.iscsi.initiator=" + lan.ISCSIInitiator, "dracut": iscsiRoot + " rd.iscsi.initiator=" + lan.ISCSIInitiator + " rd.neednet=1",
			"irt": "ip=dhcp iscsi_initiator=" + lan.ISCSIInitiator + " iscsi_target_name=" + lan.ISCSITarget + " iscsi_target_ip=" + lan.Address + " iscsi_target_port=3260 iscsi_target_group=1"}},
	{name: "nbd", what: "NBD", layout: disks.BenchPaths, on: "d0", root: "nbd:" + lan.Address + ":root:ext4", needs: []string{"nbd"}, server: served(lan.Warm(lan.NBD(disks.BenchPaths, "", ""))),
		modules: []string{"nbd", "af_packet"}, dracut: []string{"network-legacy", "nbd"}, packages: remotePackages,
		args:  map[string]string{"f": "ip=dhcp", "dracut": "ip=dhcp rd.neednet=1", "irt": "ip=dhcp nbdroot=" + lan.Address + ",root,nbd0"},
		roots: map[string]string{"irt": "/dev/nbd0"}},
	{name: "nvme-tcp", what: "NVMe over TCP", layout: disks.BenchPaths, on: "d0", needs: []string{"nvmf"}, server: served(lan.NVMe(disks.BenchPaths, 4420)),
		modules: []string{"nvme_tcp", "af_packet"}, dracut: []string{"network-legacy", "nvmf"}, packages: remotePackages, without: []string{"irt"},
		args: map[string]string{"f": nvmeRoot, "dracut": nvmeRoot + " rd.nvmf.hostid=12345678-9abc-4def-8012-3456789abcde rd.neednet=1"}},
}

const (
	nfsRoot   = "ip=dhcp nfsroot=" + lan.Address + ":" + lan.Exported
	iscsiRoot = "ip=dhcp netroot=iscsi:" + lan.Address + ":::1:" + lan.ISCSITarget
	nvmeRoot  = "ip=dhcp rd.nvmf.hostnqn=" + lan.HostNQN + " rd.nvmf.discover=tcp," + lan.Address + ",,4420"
)

// remotePackages are those of Debian by which its generators make images for roots
// on servers.
var remotePackages = []string{"dracut-network", "isc-dhcp-client", "iproute2", "iputils-arping", "jq", "procps", "nfs-common", "rpcbind", "open-iscsi", "nbd-client", "nvme-cli"}

// nfsServer exports the row's filesystem. Version 3 is there as well.
func nfsServer() *lan.Server {
	l := disks.BenchPaths
	return &lan.Server{DHCP: []string{}, Disk: &l}
}

func served(s lan.Server) *lan.Server { return &s }

// remote says whether the root is on a server.
func (r row) remote() bool { return r.server != nil }

// rootFor is what root= says to a peer.
func (r row) rootFor(peer string) string {
	for p, root := range r.roots {
		if strings.HasPrefix(peer, p) {
			return root
		}
	}
	if r.root != "" {
		return r.root
	}
	return "UUID=" + r.fsUUID()
}
