package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// onDemand are roots in files of a web server, and on a server of block devices, that
// are read as they are needed.
func onDemand() []Scenario {
	const (
		image    = netbootDir + "/root.sfs"
		iso      = netbootDir + "/live.iso"
		verified = netbootDir + "/root.verity"
		off      = " rd.timeout=40 rd.emergency=poweroff"
		url      = "http://" + serverAddress
		any      = " rd.firstlight.ondemand rd.firstlight.unverified"
		by       = " systemd.verity_root_data=/dev/nbd0 systemd.verity_root_hash=/dev/nbd0 roothash=" + sumOf + rootHashOf + verified +
			" systemd.verity_root_options=hash-offset=" + sumOf + treeOf + verified
	)
	server := func(argv ...string) Server {
		return Server{NoNFS: true, DHCP: []string{}, Built: []string{"./test/guest/httpd"}, Packed: map[string]string{image: "squashfs", verified: "verity"},
			Other: []serverplan.Command{{Argv: append([]string{"httpd"}, argv...), Stays: true}}}
	}
	disk := func(name, args string, s Server, w Want) Scenario {
		// A disk is always there, so that it shows that it is not the root.
		return Scenario{Name: name, Full: true, For: fetchImage(), Features: []string{"http-disk"}, Layouts: on(disks.LiveDisc), Append: args, Memory: 512, Unchanged: true,
			Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: once(w)}
	}
	trixie := func(s Scenario) Scenario { s.Trixie = true; return s }
	later := func(w Want) Want { w.Timers = true; return w }
	daemon := []string{"@usr/lib/firstlight/httpdisk"}
	root := Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/rootfsbase /dev/nbd0 squashfs ro,.*"}, Daemons: daemon}
	proved := Want{Root: "LiveOS_rootfs overlay", Mounts: []string{".* /dev/(dm-0|mapper/root) squashfs ro,.*"}, Daemons: daemon}

	cert, both := authority()
	secure := server("-listen", ":443", "-cert", "/etc/server.pem")
	secure.Files = map[string]string{"/etc/server.pem": both}
	disc := server()
	disc.Packed = map[string]string{iso: "iso"}
	https := trixie(disk("http-disk-tls-verity", "ro netroot=https://"+serverAddress+"/root.verity rd.overlay"+by, secure, proved))
	https.Include = []Include{{"/etc/firstlight/fetch/ours.crt", cert}}
	lost := disk("http-disk-first-packet-lost", "ro root=live:"+url+"/root.sfs"+any, server(), root)
	lost.Net.Lose = loseMessages(1)

	live := disks.LiveDisc
	nbd := Scenario{Name: "nbd-live", Full: true, For: &Target{FS: "iso9660", Layers: []string{"live"}, Needs: []string{"nbd"}, Modules: []string{"virtio_net"}},
		Append: "ro netroot=nbd:" + serverAddress + ":root root=live:/dev/nbd0", Net: &Net{NICs: []vm.NIC{{}}, Server: nbdServer(live, "", "")},
		Boots: once(Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/initramfs/live /dev/nbd0 iso9660 ro,.*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}, Daemons: []string{"@usr/lib/firstlight/nbd"}})}
	away := nbd
	away.Name = "nbd-live-restart"
	away.Net = &Net{NICs: []vm.NIC{{}}, Server: restartsNBD(nbdServer(live, "", ""), 0, 5*time.Second)}
	away.Boots = once(later(nbd.Boots[0].Want))

	return []Scenario{
		trixie(disk("http-disk", "ro root=live:"+url+"/root.sfs"+any, server(), root)),
		trixie(disk("http-disk-verity", "ro netroot="+url+"/root.verity rd.overlay"+by, server(), proved)),
		https, lost,
		disk("http-disk-iso", "ro root=live:"+url+"/live.iso"+any, disc, Want{Root: "LiveOS_rootfs overlay",
			Mounts: []string{"/run/initramfs/live /dev/nbd0 iso9660 ro,.*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}, Daemons: daemon}),
		// The server goes in the middle and comes again: reading waits.
		disk("http-disk-restart", "ro root=live:"+url+"/root.sfs"+any, server("-cut", "400000", "-away", "3s"), later(root)),
		disk("http-disk-changed", "ro root=live:"+url+"/root.sfs"+any+off, server("-changes", "2"),
			Want{NoBoot: true, Console: []Seen{see(`is\s+another\s+file\s+now`)}}),
		disk("http-disk-refused", "ro root=live:"+url+"/root.sfs rd.firstlight.ondemand"+off, server(),
			Want{NoBoot: true, Console: []Seen{see(`nothing\s+verifies\s+what\s+is\s+read`), see(`roothash=`)}}),
		nbd, away,
	}
}
