package lan

import (
	"strconv"

	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
)

// NBD is Debian's nbd-server with the first disk of a layout as its export
// root. more are lines of its configuration, for that export.
func NBD(l disks.Layout, general, more string) Server {
	return Server{
		NoNFS: true, DHCP: []string{}, Exports: []disks.Layout{l}, Programs: []string{"nbd-server"},
		Files: map[string]string{"/etc/nbd.conf": "[generic]\nuser=root\ngroup=root\nallowlist=true\n" + general + "[root]\nexportname=/dev/vda\nflush=true\nfua=true\n" + more},
		Other: []serverplan.Command{StartNBD()},
	}
}

// StartNBD starts it.
func StartNBD() serverplan.Command {
	return serverplan.Command{Argv: []string{"nbd-server", "-C", "/etc/nbd.conf", "-p", "/run/nbd.pid"}}
}

// Warm is a server of NBD that has served somebody before it is ready, as one that
// has run for a while: what its first connection costs is the server's affair.
func Warm(s Server) Server {
	s.Other = append(s.Other, serverplan.Command{Argv: []string{"@greets", Address + ":10809"}})
	return s
}

// Names of the NVMe subsystem and of the machine that boots.
const (
	Subsystem = "nqn.2026-01.example.firstlight:root"
	HostNQN   = "nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8012-3456789abcde"
)

// KernelTarget is the root of the kernel's NVMe target.
const KernelTarget = "/sys/kernel/config/nvmet/"

// OnPort is the link that gives the subsystem to a port.
func OnPort(n int) string {
	return KernelTarget + "ports/" + strconv.Itoa(n) + "/subsystems/" + Subsystem
}

// NVMe is the kernel's own target over TCP, with the first disk of a layout as
// the namespace of a subsystem that is to be had at ports.
func NVMe(l disks.Layout, ports ...int) Server {
	const sub = KernelTarget + "subsystems/" + Subsystem
	s := Server{NoNFS: true, DHCP: []string{}, Exports: []disks.Layout{l}, Modules: []string{"nvmet", "nvmet-tcp"}}
	do := func(argv ...string) { s.Other = append(s.Other, serverplan.Command{Argv: argv}) }
	do("@mount", "configfs", "/sys/kernel/config", "configfs")
	do("@mkdir", sub)
	do("@write", sub+"/attr_allow_any_host", "1")
	do("@mkdir", sub+"/namespaces/1")
	do("@write", sub+"/namespaces/1/device_path", "/dev/vda")
	do("@write", sub+"/namespaces/1/enable", "1")
	for i, port := range ports {
		dir := KernelTarget + "ports/" + strconv.Itoa(i)
		do("@mkdir", dir)
		for _, a := range [][2]string{{"addr_trtype", "tcp"}, {"addr_adrfam", "ipv4"}, {"addr_traddr", Address}, {"addr_trsvcid", strconv.Itoa(port)}} {
			do("@write", dir+"/"+a[0], a[1])
		}
		do("@link", sub, OnPort(i))
	}
	return s
}

// Names of the iSCSI target and of the machine that boots, and the passwords of both.
const (
	ISCSITarget    = "iqn.2026-01.example.firstlight:root"
	ISCSIInitiator = disks.ISCSIInitiator
	ISCSISecret    = "machine-secret-1"
	ISCSISecretIn  = "target-secret-22"
	// ISCSIUnit is what multipath-tools call unit 1 of tgt's first target.
	ISCSIUnit = "360000000000000000e00000000010001"
)

// TGT are the commands that serve the first disk of a server as unit 1 of the
// target, at ports. chap makes it ask for a password, and have one itself.
func TGT(chap bool, ports ...string) []serverplan.Command {
	var list []serverplan.Command
	do := func(argv ...string) { list = append(list, serverplan.Command{Argv: argv}) }
	admin := func(argv ...string) { do(append([]string{"tgtadm", "--lld", "iscsi"}, argv...)...) }
	do("@mkdir", "/var/run/tgtd")
	do("tgtd", "--pid-file", "/run/tgtd.pid", "--iscsi", "portal="+Address+":"+ports[0])
	for _, p := range ports[1:] {
		admin("--op", "new", "--mode", "portal", "--param", "portal="+Address+":"+p)
	}
	admin("--op", "new", "--mode", "target", "--tid", "1", "-T", ISCSITarget)
	admin("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", "/dev/vda")
	if chap {
		admin("--op", "new", "--mode", "account", "--user", "machine", "--password", ISCSISecret)
		admin("--op", "new", "--mode", "account", "--user", "target", "--password", ISCSISecretIn)
		admin("--op", "bind", "--mode", "account", "--tid", "1", "--user", "machine")
		admin("--op", "bind", "--mode", "account", "--tid", "1", "--user", "target", "--outgoing")
	}
	admin("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")
	return list
}

// ISCSI is Debian's tgt with the first disk of a layout.
func ISCSI(l disks.Layout, chap bool, ports ...string) Server {
	return Server{NoNFS: true, DHCP: []string{}, Exports: []disks.Layout{l}, Programs: []string{"tgtd", "tgtadm"}, Other: TGT(chap, append(ports, "3260")[:max(len(ports), 1)]...)}
}
