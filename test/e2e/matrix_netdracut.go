package e2e

import (
	"regexp"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// otherAddress is one of the server's that no DHCP server is at.
const otherAddress = "10.7.0.3"

// twoTargets is Debian's tgt with each disk of a layout as a target of its own, and
// each of its two cards on a network of its own.
func twoTargets(l disks.Layout) Server {
	s := iscsiServer(l, false)
	s.Before = commands("ip address add 10.8.0.1/24 dev eth1", "ip link set eth1 up")
	s.Other = append([]serverplan.Command{}, commands("@mkdir /var/run/tgtd", "tgtd --pid-file /run/tgtd.pid")...)
	for i, disk := range []string{"/dev/vda", "/dev/vdb"} {
		n := string(rune('1' + i))
		s.Other = append(s.Other, commands("tgtadm --lld iscsi --op new --mode target --tid "+n+" -T "+iscsiTarget+n,
			"tgtadm --lld iscsi --op new --mode logicalunit --tid "+n+" --lun 1 -b "+disk, "tgtadm --lld iscsi --op bind --mode target --tid "+n+" -I ALL")...)
	}
	return s
}

// asDracutTests are the roots of dracut's own tests with a network that the other
// scenarios have not (docs/network-tests.md).
func asDracutTests() []Scenario {
	card := []vm.NIC{{}}
	nfs := func(name, args string, s Server, root string, options ...string) Scenario {
		return Scenario{Name: name, Full: true, For: nfsImage(), Append: args, Net: &Net{NICs: card, Server: s}, Boots: once(Want{Root: regexp.QuoteMeta(root) + " nfs4?", RootOptions: options})}
	}
	path := func(text string) Server { return Server{DHCP: []string{"--dhcp-option=option:root-path," + text}} }
	elsewhere := path("nfs:" + otherAddress + ":" + exported + ":vers=3,wsize=4096")
	elsewhere.Before = commands("ip address add " + otherAddress + "/24 dev eth0")
	medium := Server{DHCP: []string{}, Packed: map[string]string{"/www/squashfs.img": "squashfs"}, Programs: []string{"mkdir", "cp"},
		Before: commands("mkdir -p "+exported+"/LiveOS", "cp /www/squashfs.img "+exported+"/LiveOS/squashfs.img")}
	whole, plain, striped, mirror, crypt := disks.Whole, disks.Plain, disks.LVMStriped, disks.RAID1, disks.LVMOnLUKS
	nbd := []string{"@usr/lib/firstlight/nbd"}
	live := nfs("nfs-live-image", "ro ip=dhcp root=nfs4:"+serverAddress+":"+exported+" rd.live.image rd.live.overlay.overlayfs=1", medium, "")
	live.For = &Target{FS: "nfs", Layers: []string{"live"}, Modules: []string{"virtio_net"}, Needs: nil}
	live.Boots = once(Want{Root: "LiveOS_rootfs overlay", Hidden: true, Mounts: []string{`/run/initramfs/live 10\.7\.0\.1:` + exported + " nfs4 ro,.*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}})
	return []Scenario{
		// A path alone is one of the DHCP server; and one of another server, with options.
		nfs("nfs-dhcp-path-alone", "ro root=/dev/nfs", path(exported), serverAddress+":"+exported, "ro"),
		nfs("nfs-dhcp-other-server", "ro root=dhcp", elsewhere, otherAddress+":"+exported, "ro", "vers=3", "wsize=4096"),
		nfs("nfs-without-scheme", "ro ip=dhcp root="+serverAddress+":"+exported, Server{DHCP: []string{}}, serverAddress+":"+exported, "ro", "vers=4.2"),
		live,
		{Name: "nbd-mount-options", Full: true, For: nbdImage(), Append: "ro root=nbd:" + serverAddress + ":root::errors=panic", Net: &Net{NICs: card, Server: nbdServer(whole, "", "")},
			Boots: once(Want{Root: "/dev/nbd0 ext4", RootOptions: []string{"ro", "errors=panic"}, Daemons: nbd})},
		{Name: "nbd-lvm-on-luks", Full: true, For: nbdImage("luks", "lvm"), Net: &Net{NICs: card, Server: nbdServer(crypt, "", "")},
			Append: "ro ip=dhcp netroot=nbd:" + serverAddress + ":root rd.luks.uuid=" + crypt.UUID("crypt") + " rd.lvm.vg=inner root=/dev/inner/root",
			Boots:  typed(Want{Root: "/dev/mapper/inner-root ext4", Daemons: nbd}, disks.Passphrase)},
		{Name: "iscsi-lvm-on-two-networks", Full: true, Secret: true, For: &Target{FS: "ext4", Layers: []string{"lvm"}, Needs: []string{"iscsi"}, Modules: []string{"virtio_net"}},
			Append: "ro " + uuid(striped.FSUUID("vgs/root")) + " ip=10.7.0.101:::255.255.255.0::enp0s1:off ip=10.8.0.101:::255.255.255.0::enp0s2:off" +
				" netroot=iscsi:10.8.0.1::::" + iscsiTarget + "1 netroot=iscsi:10.7.0.1::::" + iscsiTarget + "2 rd.iscsi.waitnet=0 rd.iscsi.testroute=0 rd.iscsi.initiator=" + iscsiInitiator,
			Net:   &Net{NICs: []vm.NIC{{}, {}}, Cables: []int{0, 1}, Server: twoTargets(striped)},
			Boots: once(Want{Root: "/dev/mapper/vgs-root ext4", RootOptions: []string{"ro"}, Hidden: true, Daemons: []string{"@usr/lib/firstlight/iscsi daemon", "@iscsid -f"}})},
		// Each member of a mirror is the disk of another target.
		{Name: "iscsi-raid1-on-two-networks", Full: true, Secret: true, For: &Target{FS: "ext4", Layers: []string{"md-raid1"}, Needs: []string{"iscsi"}, Modules: []string{"virtio_net"}},
			Append: "ro " + uuid(mirror.FSUUID("array")) + " ip=10.7.0.101:::255.255.255.0::enp0s1:off ip=10.8.0.101:::255.255.255.0::enp0s2:off" +
				" netroot=iscsi:10.8.0.1::::" + iscsiTarget + "1 netroot=iscsi:10.7.0.1::::" + iscsiTarget + "2 rd.iscsi.waitnet=0 rd.iscsi.testroute=0 rd.iscsi.initiator=" + iscsiInitiator,
			Net:   &Net{NICs: []vm.NIC{{}, {}}, Cables: []int{0, 1}, Server: twoTargets(mirror)},
			Boots: once(Want{Root: `/dev/md\S* ext4`, RootOptions: []string{"ro"}, Arrays: []string{`md\S* raid1 \S+ 0`}, Hidden: true, Daemons: []string{"@usr/lib/firstlight/iscsi daemon", "@iscsid -f"}})},
		// The network is wanted, and the root is this machine's own.
		{Name: "network-beside-the-root", Full: true, For: &Target{FS: "ext4", Modules: []string{"virtio_net"}}, Features: []string{"network"}, Layouts: on(plain), Append: "ro rd.neednet=1 ip=dhcp " + uuid(plain.FSUUID("root")),
			Net: &Net{NICs: card, Server: Server{NoNFS: true, DHCP: []string{}}}, Boots: once(Want{Root: "/dev/vda2 ext4"})},
	}
}
