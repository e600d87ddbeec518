package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// probes let the kernel of the machine that boots write lines into its log, whoever
// asks it for what happens (Documentation/trace/kprobetrace.rst): when it gives an
// address of IPv4 to an interface, at the function by which all ways to do so go; when
// it sets a link with a carrier to work; when a program sends a packet on a packet
// socket, as all clients of DHCP do. 48 is where ifa_local is in struct in_ifaddr
// (include/linux/inetdevice.h) on 64 bits, and a net_device begins with its name.
const probes = "tp_printk kprobe_event=p:fladdress,__inet_insert_ifa,a=+48(%di):x32;p:flcarrier,dev_activate,dev=+0(%di):string;p:flsent,sock_alloc_send_pskb,f=+16(%di):u16"

// How the lines begin, and how one of an address of the server's network ends: with
// its bytes in the order of the memory.
const (
	addressLine = "fladdress:"
	carrierLine = "flcarrier:"
	sentLine    = "flsent:"
	leased      = "00070a"
	onPacket    = "f=17" // AF_PACKET
)

// address is the time to an address of the server's network, 0 if there is none.
func address(kmsg []byte, since float64) float64 {
	for when, text := range entries(kmsg) {
		if strings.HasPrefix(text, addressLine) && strings.HasSuffix(text, leased) {
			return when - since
		}
	}
	return 0
}

// asked is the time from a link's carrier to the first packet, 0 if there is none.
func asked(kmsg []byte) float64 {
	carrier := 0.0
	for when, text := range entries(kmsg) {
		switch {
		case strings.HasPrefix(text, carrierLine) && !strings.HasSuffix(text, `dev="lo"`):
			carrier = when
		case strings.HasPrefix(text, sentLine) && strings.HasSuffix(text, onPacket) && carrier > 0:
			return when - carrier
		}
	}
	return 0
}

// together builds the images of all peers for a row whose root is on a server, and
// boots them in turn, so that what the host does besides is the same for all. Each
// boot has a server of its own, freshly started: none finds the sessions of the
// one before. What is not asked for stays as it was.
func together(ctx context.Context, o Options, k debian.Kernel, who []peer, r row, made map[string]disks.Made, figures []Figure, put, done func(Figure) error) error {
	list := make([]Figure, len(who))
	for i, p := range who {
		before, _ := find(figures, p.name, r.name)
		list[i] = build(ctx, o, k, p, r, made[r.layout.Name], before)
		if o.Runs > 0 {
			list[i].Icount, list[i].UnpackI, list[i].AddressI, list[i].AskedI = nil, nil, nil, nil
		}
		if o.Walls > 0 {
			list[i].Wall, list[i].Unpack, list[i].Address, list[i].Asked = nil, nil, nil, nil
		}
	}
	for n := range max(o.Runs, o.Walls) {
		for i, p := range who {
			f := &list[i]
			for _, icount := range []bool{true, false} {
				if icount && n >= o.Runs || !icount && n >= o.Walls || f.Problem != "" {
					continue
				}
				t, err := bootRemote(ctx, k, imageFile(o, p, r), f.KernelArgs, r, made, icount)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err == nil {
					f.add(t, icount)
					fmt.Printf("%s, %s: address %.3f s, init %.3f s, asked %.1f ms\n", p.name, r.what, t.address, t.init, 1000*t.asked)
					err = keep(imageFile(o, p, r)+".records", t.files)
				}
				if err != nil {
					f.Problem = err.Error()
				}
				if err := put(*f); err != nil {
					return err
				}
			}
		}
	}
	for _, f := range list {
		if err := done(f); err != nil {
			return err
		}
	}
	return nil
}

// add takes in one boot.
func (f *Figure) add(t spans, icount bool) {
	if icount {
		f.Icount, f.UnpackI, f.AddressI, f.AskedI = append(f.Icount, t.init), append(f.UnpackI, t.unpack), append(f.AddressI, t.address), append(f.AskedI, t.asked)
		return
	}
	f.Wall, f.Unpack, f.Address, f.Asked = append(f.Wall, t.init), append(f.Unpack, t.unpack), append(f.Address, t.address), append(f.Asked, t.asked)
}

// keep writes what the last boot left, for firstlight trace.
func keep(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return nil
}

// bootRemote starts the row's server, and then boots once.
func bootRemote(ctx context.Context, k debian.Kernel, image, args string, r row, made map[string]disks.Made, icount bool) (spans, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	dir, err := os.MkdirTemp("", "flbench")
	if err != nil {
		return spans{}, err
	}
	defer os.RemoveAll(dir)
	n := lan.Net{Server: *r.server, NICs: []vm.NIC{{}}}
	w, nics, err := n.Start(ctx, made, dir, map[string]string{})
	if err != nil {
		return spans{}, err
	}
	defer w.Close()
	t, err := run(ctx, vm.Machine{Kernel: k.Image(), Initrd: image, NICs: nics, Icount: icount, Memory: 1024, Append: always + probes + " " + args})
	if err == nil && t.address <= 0 {
		err = fmt.Errorf("the kernel's log says of no address")
	}
	log, err2 := os.ReadFile(filepath.Join(dir, "server.log"))
	if err != nil {
		err = fmt.Errorf("%w\nthe server:\n%s", err, host.Tail(string(log), 20))
	} else if err = err2; err == nil {
		t.files["server.log"] = log
	}
	return t, err
}
