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
	// Lose says which frames of the machine that boots are lost: n counts
	// those that went before. nil loses none.
	Lose func(n int, frame []byte) bool
}

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
	// Other commands are run at the end.
	Other []serverplan.Command

	// More programs of the host (with what they need), modules of its kernel,
	// files by their path in the guest with their text, and files of this machine
	// by the path that they get.
	Programs, Modules []string
	Files, Copies     map[string]string
	// Disks are images that the server has besides, as /dev/vdb or, without
	// Disk, /dev/vda and those that follow. They are not written to.
	Disks []string
	// Memory is in MiB; 0 is 512.
	Memory int
	// NoNFS: no NFS server is started.
	NoNFS bool
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
	sent   int
	mu     sync.Mutex
	done   sync.WaitGroup
}

// start starts the server and returns when it is ready. nics are those of the
// machine that boots.
func (n *Net) start(ctx context.Context, r *Runner, dir string) (w *network, nics []vm.NIC, err error) {
	sockets, err := os.MkdirTemp("", "flnet") // the paths of sockets are short
	if err != nil {
		return nil, nil, err
	}
	w = &network{lose: n.Lose, apart: map[int]bool{}}
	for _, i := range n.Apart {
		w.apart[i+1] = true
	}
	all := append([]vm.NIC{{MAC: "52:54:00:07:00:01"}}, n.NICs...)
	for i := range all {
		all[i].Local, all[i].Remote = filepath.Join(sockets, fmt.Sprintf("q%d", i)), filepath.Join(sockets, fmt.Sprintf("h%d", i))
		if all[i].MAC == "" {
			all[i].MAC = fmt.Sprintf("52:54:00:07:01:%02x", i)
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: all[i].Remote, Net: "unixgram"})
		if err != nil {
			w.close()
			return nil, nil, err
		}
		w.ports, w.peers = append(w.ports, c), append(w.peers, all[i].Local)
	}
	for i := range w.ports {
		w.done.Add(1)
		go w.forward(i)
	}
	if err := w.startServer(ctx, n.Server, all[0], r, dir); err != nil {
		w.close()
		return nil, nil, fmt.Errorf("the server: %w", err)
	}
	return w, all[1:], nil
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
	w, nics, err := s.Net.start(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	m.NICs = nics
	return w, nil
}

// forward carries what a card sends to all others.
func (w *network) forward(from int) {
	defer w.done.Done()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := w.ports[from].ReadFromUnix(buf)
		if err != nil {
			return // closed
		}
		if w.apart[from] || from > 0 && w.lost(buf[:n]) {
			continue
		}
		for i := range w.ports {
			if i != from && !w.apart[i] {
				w.ports[i].WriteToUnix(buf[:n], &net.UnixAddr{Name: w.peers[i], Net: "unixgram"}) // who is not there hears nothing
			}
		}
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
	w.done.Wait()
	if len(w.peers) > 0 {
		os.RemoveAll(filepath.Dir(w.peers[0]))
	}
}

// servers are the programs of the server guest.
var servers = []string{"ip", "dnsmasq", "rpcbind", "rpc.nfsd", "rpc.mountd", "exportfs"}

func (w *network) startServer(ctx context.Context, s Server, nic vm.NIC, r *Runner, dir string) error {
	k, err := debian.GetKernel(ctx, "bookworm")
	if err != nil {
		return err
	}
	image, attached, err := s.image(ctx, k, r, dir)
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
		Disks: attached, NICs: []vm.NIC{nic}, Log: log})
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
func (s Server) image(ctx context.Context, k debian.Kernel, r *Runner, dir string) (string, []vm.Disk, error) {
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
	for i, f := range s.Disks {
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
