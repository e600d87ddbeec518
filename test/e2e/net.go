package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/guest/serverplan"
	"firstlight/test/host"
	"firstlight/test/initrd"
	"firstlight/test/vm"
)

// Net is a private network: a second machine with servers, the cards of the
// machine that boots, and a wire between them that the harness holds.
type Net struct {
	Server Server
	NICs   []vm.NIC // sockets are filled in
	// Apart are cards whose wire leads to nobody.
	Apart []int
	// Table is an ACPI table that the machine's firmware has; nil is none.
	Table []byte
	// Cables are the server's cards, from 0, that the cards of the machine lead
	// to; the server has as many. nil: all are on one wire, with its only one.
	Cables []int
	// Lose says which frames of the machine that boots are lost: n counts
	// those that went before. nil loses none.
	Lose func(n int, frame []byte) bool
	// Netboot: the firmware fetches the kernel, the initramfs and the command line
	// too, from netbootDir of the server, as its boot.ipxe says, or all in one, as
	// boot.efi.
	Netboot bool
}

// netbootDir is the directory of the server with what a firmware fetches.
const netbootDir = "/www"

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
	// Memory is in MiB; 0 is 512.
	Memory int
	// Model is that of its cards, "" for virtio.
	Model string
	// NoNFS: no NFS server is started.
	NoNFS bool
	// Built are programs of this module, by package, that are in /bin.
	Built []string
	// Packed are files with a whole root in them, by the path that they get: how
	// they are packed (disks.Packed). sumOf and the path in the command line is the
	// SHA-256 of one. Signed are those that have a signature by signingKey beside
	// them.
	Packed map[string]string
	Signed []string
	// Said are texts that must be on its console in the end, in any order.
	Said []string
}

// serverAddress is that of the server.
const serverAddress = "10.7.0.1"

// exported is the directory with the root.
const exported = "/srv/root"

// network is a running one.
type network struct {
	server *vm.VM
	ports  []*net.UnixConn
	peers  []string // QEMU's sockets, in the order of ports
	lose   func(int, []byte) bool
	apart  map[int]bool
	wire   []int // of each port: the wire that it is on
	cards  int   // ports of the server; those that follow are the machine's
	sent   int
	mu     sync.Mutex
	// queues hold the frames for each port: a card that takes nothing must not
	// hold up the others.
	queues        []chan []byte
	senders, done sync.WaitGroup
}

// start starts the server and returns when it is ready. nics are those of the
// machine that boots.
func (n *Net) start(ctx context.Context, r *Runner, dir string, sums map[string]string) (w *network, nics []vm.NIC, err error) {
	sockets, err := os.MkdirTemp("", "flnet") // the paths of sockets are short
	if err != nil {
		return nil, nil, err
	}
	w = &network{lose: n.Lose, apart: map[int]bool{}, cards: 1}
	var all []vm.NIC
	if len(n.Cables) > 0 {
		w.cards = slices.Max(n.Cables) + 1
	}
	for i := range w.cards {
		all, w.wire = append(all, vm.NIC{Model: n.Server.Model, MAC: fmt.Sprintf("52:54:00:07:00:%02x", i+1)}), append(w.wire, i)
	}
	for _, i := range n.Apart {
		w.apart[w.cards+i] = true
	}
	for i := range n.NICs {
		wire := 0
		if n.Cables != nil {
			wire = n.Cables[i]
		}
		all, w.wire = append(all, n.NICs[i]), append(w.wire, wire)
	}
	for i := range all {
		all[i].Local, all[i].Remote = filepath.Join(sockets, fmt.Sprintf("q%d", i)), filepath.Join(sockets, fmt.Sprintf("h%d", i))
		if all[i].MAC == "" {
			all[i].MAC = fmt.Sprintf("52:54:00:07:01:%02x", i-w.cards+1)
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: all[i].Remote, Net: "unixgram"})
		if err != nil {
			w.close()
			return nil, nil, err
		}
		w.ports, w.peers = append(w.ports, c), append(w.peers, all[i].Local)
	}
	for range w.ports {
		w.queues = append(w.queues, make(chan []byte, 1024))
	}
	for i := range w.ports {
		w.senders.Add(1)
		go w.forward(i)
		w.done.Add(1)
		go w.deliver(i)
	}
	if err := w.startServer(ctx, n.Server, all[:w.cards], r, dir, sums); err != nil {
		w.close()
		return nil, nil, fmt.Errorf("the server: %w", err)
	}
	return w, all[w.cards:], nil
}

// connect starts the scenario's network, if it has one, and connects the
// machine to it.
func (s Scenario) connect(ctx context.Context, r *Runner, m *vm.Machine, dir string) (*network, error) {
	if s.Net == nil {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	sums, wire := map[string]string{}, *s.Net
	if wire.Netboot && s.Unified != nil {
		wire.Server.Copies = map[string]string{netbootDir + "/boot.efi": m.Kernel}
		m.Kernel = ""
	} else if wire.Netboot {
		wire.Server.Copies = map[string]string{netbootDir + "/vmlinuz": m.Kernel, netbootDir + "/initrd.img": m.Initrd}
		wire.Server.Files = map[string]string{netbootDir + "/boot.ipxe": "#!ipxe\nkernel http://" + serverAddress + "/vmlinuz initrd=initrd.img " + m.Append +
			"\ninitrd http://" + serverAddress + "/initrd.img\nboot\n"}
		m.Kernel, m.Initrd, m.Append = "", "", ""
	}
	w, nics, err := wire.start(ctx, r, dir, sums)
	if err != nil {
		return nil, err
	}
	m.NICs = nics
	if s.Net.Table != nil {
		m.ACPI = filepath.Join(dir, "table")
		if err := os.WriteFile(m.ACPI, s.Net.Table, 0o644); err != nil {
			w.close()
			return nil, err
		}
	}
	for file, sum := range sums {
		m.Append = strings.ReplaceAll(m.Append, sumOf+file, sum)
	}
	return w, nil
}

// forward carries what a card sends to all others.
func (w *network) forward(from int) {
	defer w.senders.Done()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := w.ports[from].ReadFromUnix(buf)
		if err != nil {
			return // closed
		}
		if w.apart[from] || from >= w.cards && w.lost(buf[:n]) {
			continue
		}
		for i := range w.ports {
			if i != from && !w.apart[i] && w.wire[i] == w.wire[from] {
				select {
				case w.queues[i] <- slices.Clone(buf[:n]):
				default: // a card that is not set up takes nothing out
				}
			}
		}
	}
}

// deliver hands the frames for a card to QEMU.
func (w *network) deliver(to int) {
	defer w.done.Done()
	for frame := range w.queues[to] {
		w.ports[to].WriteToUnix(frame, &net.UnixAddr{Name: w.peers[to], Net: "unixgram"}) // who is not there hears nothing
	}
}

func (w *network) lost(frame []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	return w.lose != nil && w.lose(w.sent-1, frame)
}

// sayPatience is how long the server may take for the last of what it is to say.
const sayPatience = time.Minute

// said looks for texts on the server's console.
func (w *network) said(ctx context.Context, texts []string) (problems []string) {
	ctx, cancel := context.WithTimeout(ctx, sayPatience)
	defer cancel()
	for _, text := range texts {
		if _, err := w.server.Console.Expect(ctx, 0, text); err != nil {
			problems = append(problems, fmt.Sprintf("the server did not say %q: %v", text, err))
		}
	}
	return problems
}

func (w *network) close() {
	if w.server != nil {
		w.server.Close()
	}
	for _, c := range w.ports {
		c.Close()
	}
	w.senders.Wait()
	for _, q := range w.queues {
		close(q)
	}
	w.done.Wait()
	if len(w.peers) > 0 {
		os.RemoveAll(filepath.Dir(w.peers[0]))
	}
}

// servers are the programs of the server guest.
var servers = []string{"ip", "dnsmasq", "rpcbind", "rpc.nfsd", "rpc.mountd", "exportfs"}

func (w *network) startServer(ctx context.Context, s Server, nics []vm.NIC, r *Runner, dir string, sums map[string]string) error {
	k, err := debian.GetKernel(ctx, "bookworm")
	if err != nil {
		return err
	}
	image, attached, err := s.image(ctx, k, r, dir, sums)
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
func (s Server) image(ctx context.Context, k debian.Kernel, r *Runner, dir string, sums map[string]string) (string, []vm.Disk, error) {
	m := initrd.New()
	if err := m.Program(ctx, append(slices.Clone(servers), s.Programs...)...); err != nil {
		return "", nil, err
	}
	p := serverplan.Plan{Root: exported, Files: map[string]string{
		"/etc/passwd": "root:x:0:0::/:/bin/sh\n_rpc:x:101:65534::/run/rpcbind:/bin/false\nstatd:x:102:65534::/:/bin/false\n",
		"/etc/group":  "root:x:0:\nnogroup:x:65534:\n", "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
		"/etc/hosts":   "127.0.0.1 localhost\n" + serverAddress + " server\n",
		"/etc/exports": exported + " *(" + strings.Trim("rw,no_root_squash,insecure,no_subtree_check,fsid=1,"+s.Export, ",") + ")\n",
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
		made, ok := r.Made[s.Disk.Name]
		if !ok {
			return "", nil, fmt.Errorf("the disks of layout %s could not be made", s.Disk.Name)
		}
		overlay := filepath.Join(dir, "server.qcow2")
		if err := vm.Overlay(ctx, made.Files[s.Disk.Disks[0].Name], overlay); err != nil {
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
		made, ok := r.Made[l.Name]
		if !ok {
			return "", nil, fmt.Errorf("the disks of layout %s could not be made", l.Name)
		}
		for _, d := range l.Disks {
			files = append(files, made.Files[d.Name])
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
	do("ip", "address", "add", serverAddress+"/24", "dev", "eth0")
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
