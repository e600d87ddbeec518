package lan

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/guest/serverplan"
	"firstlight/test/host"
	"firstlight/test/initrd"
	"firstlight/test/vm"
)

// Server is what the second machine offers. It is 10.7.0.1, and gives out
// 10.7.0.50 and those that follow.
type Server struct {
	// DHCP are options for dnsmasq beyond the usual; nil is no DHCP at all.
	DHCP []string
	// Late is how long after the start of the machine that boots each is there.
	DHCPLate, NFSLate time.Duration
	// NFS are the versions of rpc.nfsd, "" for all.
	NFS []string
	// Export are options of the export.
	Export string
	// Disk is a layout whose first partition or only disk is the root that is
	// exported; nil is the tiny one.
	Disk *disks.Layout
	// Before are commands that are run before the servers are started, Other those
	// at the end.
	Before, Other []serverplan.Command

	// More programs of the host (with what they need), modules of its kernel,
	// files by their path in the guest with their text, and files of this machine
	// by the path that they get.
	Programs, Modules []string
	Files, Copies     map[string]string
	// Disks are images that the server has besides, as /dev/vdb or, without
	// Disk, /dev/vda and those that follow. They are not written to.
	Disks []string
	// Exports are layouts whose disks it has as well, behind those, to give to
	// others. What they write is gone afterwards.
	Exports []disks.Layout
	// Suite is the Debian whose kernel it has, "" for bookworm.
	Suite string
	// Memory is in MiB; 0 is 512.
	Memory int
	// Model is that of its cards, "" for virtio.
	Model string
	// NoNFS: no NFS server is started.
	NoNFS bool
	// Built are programs of this module, by package, that are in /bin.
	Built []string
	// Packed are files with a whole root in them, by the path that they get: how
	// they are packed (disks.Packed). SumOf and the path in the command line is the
	// SHA-256 of one. Signed are those that have a signature by signingKey beside
	// them.
	Packed map[string]string
	Signed []string
	// Said are texts that must be on its console in the end, in any order.
	Said []string
}

// Address is that of the server.
const Address = "10.7.0.1"

// Exported is the directory with the root.
const Exported = "/srv/root"

// servers are the programs of the server guest.
var servers = []string{"ip", "dnsmasq", "rpcbind", "rpc.nfsd", "rpc.mountd", "exportfs"}

func (w *Network) startServer(ctx context.Context, s Server, nics []vm.NIC, made map[string]disks.Made, dir string, sums map[string]string) error {
	k, err := debian.GetKernel(ctx, cmp.Or(s.Suite, "bookworm"))
	if err != nil {
		return err
	}
	image, attached, err := s.image(ctx, k, made, dir, sums)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return err
	}
	kernel, err := k.Unpacked()
	if err != nil {
		return err
	}
	w.server, err = vm.Run(ctx, vm.Machine{Kernel: kernel, Initrd: image, Append: "console=ttyS0 panic=-1 quiet no_timer_check", Memory: max(s.Memory, 512),
		Disks: attached, NICs: nics, Log: log})
	if err != nil {
		return err
	}
	if _, err := w.server.Report.Expect(ctx, 0, `"note":"ready"`); err != nil {
		return err
	}
	ms, err := report.Parse([]byte(w.server.Report.Text()))
	if err != nil {
		return err
	}
	for _, m := range ms {
		if m.Step != nil {
			return fmt.Errorf("%s", m.Step.Error)
		}
	}
	return nil
}

// image makes the server's initramfs.
func (s Server) image(ctx context.Context, k debian.Kernel, made map[string]disks.Made, dir string, sums map[string]string) (string, []vm.Disk, error) {
	m := initrd.New()
	if err := m.Program(ctx, append(slices.Clone(servers), s.Programs...)...); err != nil {
		return "", nil, err
	}
	p := serverplan.Plan{Root: Exported, Files: map[string]string{
		"/etc/passwd": "root:x:0:0::/:/bin/sh\n_rpc:x:101:65534::/run/rpcbind:/bin/false\nstatd:x:102:65534::/:/bin/false\n",
		"/etc/group":  "root:x:0:\nnogroup:x:65534:\n", "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
		"/etc/hosts":   "127.0.0.1 localhost\n" + Address + " server\n",
		"/etc/exports": Exported + " *(" + strings.Trim("rw,no_root_squash,insecure,no_subtree_check,fsid=1,"+s.Export, ",") + ")\n",
	}}
	maps.Copy(p.Files, s.Files)
	for _, f := range []string{"/etc/netconfig", "/etc/services", "/etc/protocols", "/etc/rpc"} {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", nil, err
		}
		p.Files[f] = string(b)
	}
	var err error
	if p.Modules, err = m.Modules(k, append([]string{"virtio_pci", "virtio_net", "virtio_blk", "ext4", "crc32c_generic", "nfsd"}, s.Modules...)...); err != nil {
		return "", nil, err
	}
	var attached []vm.Disk
	if s.Disk != nil {
		root, ok := made[s.Disk.Name]
		if !ok {
			return "", nil, fmt.Errorf("the disks of layout %s could not be made", s.Disk.Name)
		}
		overlay := filepath.Join(dir, "server.qcow2")
		if err := vm.Overlay(ctx, root.Files[s.Disk.Disks[0].Name], overlay); err != nil {
			return "", nil, err
		}
		attached, p.Disk = []vm.Disk{{File: overlay}}, "/dev/vda"
	} else {
		tars, err := disks.Tree(ctx, "tiny")
		if err != nil {
			return "", nil, err
		}
		if err := m.Copy(tars[0], "root.tar", 0o644); err != nil {
			return "", nil, err
		}
		p.Tree = "/root.tar"
	}
	files := slices.Clone(s.Disks)
	for _, l := range s.Exports {
		exported, ok := made[l.Name]
		if !ok {
			return "", nil, fmt.Errorf("the disks of layout %s could not be made", l.Name)
		}
		for _, d := range l.Disks {
			files = append(files, exported.Files[d.Name])
		}
	}
	for i, f := range files {
		overlay := filepath.Join(dir, fmt.Sprintf("server-%d.qcow2", i))
		if err := vm.Overlay(ctx, f, overlay); err != nil {
			return "", nil, err
		}
		attached = append(attached, vm.Disk{File: overlay})
	}
	for _, to := range slices.Sorted(maps.Keys(s.Copies)) {
		if err := m.Copy(s.Copies[to], strings.TrimPrefix(to, "/"), 0o644); err != nil {
			return "", nil, err
		}
	}
	if err := s.served(ctx, m, dir, sums); err != nil {
		return "", nil, err
	}
	p.Commands = s.commands()
	init, err := host.GoBuild(ctx, "./test/guest/server", dir)
	if err != nil {
		return "", nil, err
	}
	if err := m.Copy(init, "init", 0o755); err != nil {
		return "", nil, err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", nil, err
	}
	m.File("plan.json", 0o644, b)
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp", "etc", "srv", "var"} {
		m.Dir(d)
	}
	image := filepath.Join(dir, "server.initrd")
	return image, attached, m.WriteFile(image)
}

// commands start the servers.
func (s Server) commands() []serverplan.Command {
	var list []serverplan.Command
	do := func(argv ...string) { list = append(list, serverplan.Command{Argv: argv}) }
	do("ip", "link", "set", "lo", "up")
	do("ip", "address", "add", Address+"/24", "dev", "eth0")
	do("ip", "link", "set", "eth0", "up")
	list = append(list, s.Before...)
	late := func(after time.Duration) {
		list[len(list)-1].After, list[len(list)-1].Ready = int(after.Milliseconds()), after > 0
	}
	dhcp := func() {
		if s.DHCP == nil {
			return
		}
		argv := []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--user=root", "--group=root", "--port=0", "--conf-file=/dev/null", "--interface=eth0", "--no-ping", "--log-dhcp", "--log-facility=-",
			"--dhcp-leasefile=/tmp/leases", "--dhcp-authoritative", "--dhcp-range=10.7.0.50,10.7.0.99,255.255.255.0,1h"}
		list = append(list, serverplan.Command{Argv: append(argv, s.DHCP...), Stays: true})
		late(s.DHCPLate)
	}
	nfs := func() {
		do("rpcbind")
		late(s.NFSLate)
		do("@mount", "nfsd", "/proc/fs/nfsd", "nfsd")
		do("exportfs", "-a")
		do("rpc.mountd")
		do(append(append([]string{"rpc.nfsd", "-G", "10", "-L", "10"}, s.NFS...), "4")...)
		do("@write", "/proc/fs/nfsd/v4_end_grace", "Y")
	}
	if s.NoNFS && s.DHCPLate > 0 {
		list = append(list, s.Other...)
		dhcp()
		return list
	}
	if s.NoNFS {
		dhcp()
	} else if s.DHCPLate > s.NFSLate {
		nfs()
		dhcp()
	} else {
		dhcp()
		nfs()
	}
	return append(list, s.Other...)
}
