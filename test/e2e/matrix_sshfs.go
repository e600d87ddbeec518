package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
	"firstlight/test/vm"
)

// sshd is Debian's server of the tiny root by SSH, to root with the key of the name
// "client".
func sshd(port int) Server {
	host, _ := sshKey("host")
	_, me := sshKey("client")
	return Server{NoNFS: true, DHCP: []string{}, Programs: []string{"sshd", "/usr/lib/openssh/sftp-server", "sh", "busybox"}, Files: map[string]string{
		"/etc/ssh/host": host, "/etc/ssh/authorized": me + "\n",
		"/etc/ssh/sshd_config": "Port " + strconv.Itoa(port) + "\nHostKey /etc/ssh/host\nAuthorizedKeysFile /etc/ssh/authorized\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n" +
			"KbdInteractiveAuthentication no\nStrictModes no\nPidFile none\nSubsystem sftp /bin/sftp-server\n",
		"/etc/passwd": "root:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\nnobody:x:65534:65534::/:/bin/false\n", "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
	}, Other: []serverplan.Command{
		{Argv: []string{"busybox", "chmod", "600", "/etc/ssh/host"}},
		{Argv: []string{"@mkdir", "/run/sshd"}},
		{Argv: []string{"/bin/sshd", "-D", "-e"}, Stays: true},
	}}
}

// restartsSSHD is the server whose sshd, with all that it has connected, is killed once
// a machine has connected, and started again later.
func restartsSSHD(s Server, after, away time.Duration) Server {
	again := s.Other[len(s.Other)-1]
	again.After = int(away.Milliseconds())
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@connected", "22"}, Ready: true},
		serverplan.Command{Argv: []string{"busybox", "killall", "-9", "sshd"}, After: int(after.Milliseconds())}, again)
	return s
}

// sshfsScenarios are roots on a server that is reached by SSH.
func sshfsScenarios() []Scenario {
	const usual, off = serverAddress + ":" + exported, " rd.timeout=60 rd.emergency=poweroff"
	key, _ := sshKey("client")
	other, stranger := sshKey("other")
	_, host := sshKey("host")
	daemons := []string{`@usr/lib/firstlight/sshfs`, `@sshfs -f .*`, `@ssh -x .*`}
	is := func(mode string) Want {
		return Want{Root: `root@10\.7\.0\.1:` + exported + ` fuse\.sshfs`, RootOptions: []string{mode, "default_permissions", "allow_other"}, Daemons: daemons}
	}
	boots := func(name, args, key, known string, s Server, w Want) Scenario {
		return Scenario{Name: name, Full: true, Trixie: true, For: &Target{FS: "sshfs", Modules: []string{"virtio_net"}}, Secret: true, Append: args,
			Config:      "[sshfs]\nkeys = [\"@DIR@/key\"]\nknown_hosts = \"@DIR@/known\"\n",
			ConfigFiles: map[string]string{"key": key, "known": known + "\n"}, Net: &Net{NICs: []vm.NIC{{}}, Server: s}, Boots: []Boot{{Limit: 4 * time.Minute, Want: w}}}
	}
	known := serverAddress + " " + host
	refused := func(text string) Want {
		return Want{NoBoot: true, Console: []Seen{see(strings.ReplaceAll(text, " ", `\s+`))}}
	}
	later := func(w Want) Want { w.Timers = true; return w }
	leased := sshd(22)
	leased.DHCP = []string{"--dhcp-option=option:root-path,root@" + usual}
	bad := later(is("ro"))
	bad.Journal = []string{`conflict enp0s2 addr=10\.7\.0\.66`}
	network := boots("sshfs-bad-network", "ro ip=dhcp root=sshfs:"+usual, key, known, sshd(22), bad)
	network.Net = badNetwork(sshd(22), tcp, 22)
	// By IPv6: of a network, and by the address of the link.
	byIPv6 := func(name, args, server string) Scenario {
		s := sshd(22)
		six := serve6("--dhcp-range=fd00:7::,ra-only,64,5m")
		s.DHCP, s.Before = six.DHCP, six.Before
		is := is("ro")
		is.Root = regexp.QuoteMeta("root@["+server+"]:"+exported) + ` fuse\.sshfs`
		return boots(name, args, key, server+" "+host, s, is)
	}
	// The server goes while the root is mounted, and somebody in a shell looks into it.
	mounted := boots("sshfs-restart-mounted", "ro ip=dhcp root=sshfs:"+usual+" rd.shell rd.break=pre-pivot", key, known, restartsSSHD(sshd(22), 15*time.Second, 5*time.Second), later(is("ro")))
	mounted.Features = []string{"shell"}
	mounted.Boots[0].Do = []Action{{When: "firstlight# ", Type: "until grep -q 'is made again' /run/firstlight/journal; do sleep 1; done; ls /sysroot/sbin && exit\r"}}
	mounted.Boots[0].Want.Journal = []string{`the connection to 10\.7\.0\.1 has ended, and is made again`}
	whole, debian := sshd(22), disks.DebianNFS("bookworm")
	whole.Disk = &debian
	system := boots("bookworm-sshfs", "rw ip=dhcp root=sshfs:"+usual, key, known, whole, Want{Debian: true, Daemons: daemons})
	system.Memory, system.Boots[0].Limit, system.Trixie = 1024, 12*time.Minute, false
	return []Scenario{
		boots("sshfs", "rw ip=dhcp root=sshfs:"+usual, key, known, sshd(22), is("rw")),
		// make-initrd's parameters; the lease says where.
		boots("sshfs-auto", "ro root=/dev/sshfs sshfsroot=auto sshfsopts=Compression=yes,max_read=65536", key, known, leased, is("ro")),
		boots("sshfs-port", "ro ip=dhcp root=/dev/sshfs sshfsroot=root@"+serverAddress+":2222:"+exported, key, "["+serverAddress+"]:2222 "+host, sshd(2222), is("ro")),
		boots("sshfs-late-server", "ro ip=dhcp root=sshfs:"+usual, key, known, late(sshd(22), -1), later(is("ro"))),
		boots("sshfs-restart", "ro ip=dhcp root=sshfs:"+usual, key, known, restartsSSHD(sshd(22), 500*time.Millisecond, 5*time.Second), later(is("ro"))),
		byIPv6("sshfs-ipv6", "ro ip=auto6 root=sshfs:["+serverAddress6+"]:"+exported, serverAddress6),
		byIPv6("sshfs-link", "ro ip=link6 root=sshfs:root@["+serverLocal+"]:"+exported, serverLocal+"%enp0s1"),
		mounted,
		network,
		system,

		boots("sshfs-wrong-host-key", "ro ip=dhcp root=sshfs:"+usual+off, key, serverAddress+" "+stranger, sshd(22), refused("10.7.0.1 has another host key than the one in the image's known_hosts")),
		boots("sshfs-unknown-host", "ro ip=dhcp root=sshfs:"+usual+off, key, "10.7.0.77 "+host, sshd(22), refused("known_hosts has no host key of 10.7.0.1")),
		boots("sshfs-wrong-key", "ro ip=dhcp root=sshfs:"+usual+off, other, known, sshd(22), refused("10.7.0.1 does not let root in with the image's key")),
		boots("sshfs-no-directory", "ro ip=dhcp root=sshfs:"+serverAddress+":/srv/other"+off, key, known, sshd(22), refused("10.7.0.1 has no directory /srv/other")),
		boots("sshfs-no-server", "ro ip=dhcp root=sshfs:10.7.0.77:"+exported+off, key, "10.7.0.77 "+host, sshd(22), refused("10.7.0.77 does not answer")),
	}
}
