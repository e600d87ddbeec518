package e2e

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/floor"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// linkDisks are attached beside the root: each bus, and one of each thing
// that gives a link its name.
var linkDisks = []struct {
	layout disks.Layout
	bus    vm.Bus
}{
	{disks.Plain, vm.NVMe}, {disks.Logical, vm.VirtioSCSI}, {disks.Whole, vm.AHCI}, {disks.KeyDisk, vm.USB},
	{disks.LUKS2, vm.VirtioBlk}, {disks.LVMLinear, vm.VirtioSCSI}, {disks.RAID1, vm.VirtioBlk}, {disks.FAT, vm.VirtioSCSI},
}

// drivers are those of linkDisks: this Debian has no modules of its own.
var drivers = []string{"sd_mod", "nvme", "virtio_scsi", "ahci", "xhci_pci", "usb_storage"}

// The links in /dev are those that systemd's udevd makes of the same disks.
//
// A Debian is booted by the floor, which makes no links, and its udevd asked.
// Then Firstlight gets the same machine, with a root that is plugged in when
// it has had time for all other disks. Devices may be found in another order,
// so what is compared is which links belong to one device.
func testLinks(t *testing.T, r *Runner) {
	t.Parallel()
	start := time.Now()
	t.Cleanup(func() {
		results.Lock()
		defer results.Unlock()
		res := Result{Scenario: "links", Suite: "bookworm", OK: !t.Failed(), Seconds: time.Since(start).Seconds()}
		if !res.OK {
			res.Problems = []string{"links differ from udevd's, as the test says"}
		}
		results.all = append(results.all, res)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	k, err := debian.FindKernel("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	real, tiny := disks.DebianPlain("bookworm"), disks.Hibernate
	layouts := []disks.Layout{real, tiny}
	for _, l := range linkDisks {
		layouts = append(layouts, l.layout)
	}
	made, err := disks.Make(ctx, layouts...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	floorImage := filepath.Join(dir, "floor")
	if err := floor.Build(ctx, k, lastVirtio()+"1", floorImage, false, drivers...); err != nil {
		t.Fatal(err)
	}
	image, err := r.build(ctx, Scenario{}, k, dir)
	if err != nil {
		t.Fatal(err)
	}
	attach := func(root disks.Layout, late bool) []vm.Disk {
		list := []vm.Disk{linkDisk(ctx, t, dir, made[root.Name], "d0", vm.VirtioBlk)}
		list[0].Removable, list[0].Detached = true, late
		for _, l := range linkDisks {
			for _, d := range l.layout.Disks {
				list = append(list, linkDisk(ctx, t, dir, made[l.layout.Name], d.Name, l.bus))
			}
		}
		return list
	}
	ms := bootForLinks(ctx, t, vm.Machine{Kernel: k.Image(), Initrd: floorImage, Memory: 1024, Disks: attach(real, false),
		Append: commonArgs + " ro root=UUID=" + real.FSUUID("root")}, nil)
	if ms.Debian == nil {
		t.Fatal("Debian did not report")
	}
	want := claimed(ms.Debian.Udev)
	ms = bootForLinks(ctx, t, vm.Machine{Kernel: k.Image(), Initrd: image, Disks: attach(tiny, true),
		Append: commonArgs + " ro rd.timeout=300 root=UUID=" + tiny.FSUUID("root")},
		[]Action{{When: "Still waiting", After: 20 * time.Second, Attach: "bookworm-d0"}})
	if ms.Boot == nil {
		t.Fatal("the test init did not report")
	}
	got := grouped(ms.Boot.Links)
	for _, l := range linkDisks {
		for _, d := range l.layout.Disks {
			serial := l.layout.Name + "-" + d.Name
			if !slices.ContainsFunc(want, func(g []string) bool {
				return slices.ContainsFunc(g, func(link string) bool { return strings.Contains(link, serial) })
			}) {
				t.Errorf("udevd has not seen disk %s, so that nothing is compared", serial)
			}
		}
	}
	for _, group := range want {
		if !slices.ContainsFunc(got, func(g []string) bool { return slices.Equal(g, group) }) {
			t.Errorf("udevd has, and Firstlight has not, a device with\n\t%s\nnearest:\n\t%s",
				strings.Join(group, "\n\t"), strings.Join(nearest(group, got), "\n\t"))
		}
	}
}

// lastVirtio is the root's disk as the kernel names it: what can be plugged in
// is behind a bridge, and found after all that is not.
func lastVirtio() string {
	n := 0
	for _, l := range linkDisks {
		if l.bus == vm.VirtioBlk {
			n += len(l.layout.Disks)
		}
	}
	return "vd" + string(rune('a'+n))
}

func linkDisk(ctx context.Context, t *testing.T, dir string, m disks.Made, name string, bus vm.Bus) vm.Disk {
	t.Helper()
	file := filepath.Join(dir, m.Layout.Name+"-"+name+".qcow2")
	if err := vm.Overlay(ctx, m.Files[name], file); err != nil {
		t.Fatal(err)
	}
	serial := m.Layout.Name + "-" + name
	if bus == vm.VirtioBlk && name == "d0" && (strings.HasSuffix(m.Layout.Name, "-plain") || m.Layout.Name == "hibernate") {
		serial = "bookworm-d0" // the root's, of either system
	}
	return vm.Disk{File: file, Bus: bus, Serial: serial}
}

// bootForLinks boots and returns the last report of each kind.
func bootForLinks(ctx context.Context, t *testing.T, m vm.Machine, do []Action) report.Message {
	t.Helper()
	v, err := vm.Run(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	acted := make(chan error, 1)
	go func() { acted <- act(ctx, v, m, do) }()
	if err := v.Wait(ctx); err != nil {
		t.Fatalf("%v\n%s", err, host.Tail(v.Console.Text(), 60))
	}
	if err := <-acted; err != nil {
		t.Fatalf("%v\n%s", err, host.Tail(v.Console.Text(), 60))
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		t.Fatal(err)
	}
	var last report.Message
	for _, m := range ms {
		if m.Boot != nil {
			last.Boot = m.Boot
		}
		if m.Debian != nil {
			last.Debian = m.Debian
		}
	}
	if last.Boot == nil && last.Debian == nil {
		t.Fatalf("nothing was reported:\n%s", host.Tail(v.Console.Text(), 60))
	}
	return last
}

// ours says whether a link is one to compare: not one of the root's disk,
// whose content differs, nor by the order in which disks were found, nor of
// devices that exist only where something activated them.
func ours(link string, others []string) bool {
	if strings.HasPrefix(link, "/dev/disk/by-diskseq/") {
		return false
	}
	if strings.Contains(link, "-part/by-") || strings.Contains(link, "-usbv") {
		return false // since systemd 255 to 257, which are newer than this Debian's
	}
	return !slices.ContainsFunc(others, func(l string) bool {
		return strings.Contains(l, "virtio-bookworm-d0") || strings.HasPrefix(l, "/dev/mapper/") || strings.HasPrefix(l, "/dev/md/")
	})
}

// claimed reads udev's database as udevadm exports it, and returns the sorted
// links of each block device.
func claimed(export string) [][]string {
	var groups [][]string
	for block := range strings.SplitSeq(export, "\n\n") {
		var links []string
		for line := range strings.Lines(block) {
			if l, ok := strings.CutPrefix(strings.TrimSpace(line), "S: "); ok {
				links = append(links, "/dev/"+l)
			}
		}
		if strings.Contains(block, "SUBSYSTEM=block\n") || strings.Contains(block, "E: SUBSYSTEM=block") {
			groups = append(groups, compared(links))
		}
	}
	return slices.DeleteFunc(groups, func(g []string) bool { return len(g) == 0 })
}

// grouped turns link -> node into the sorted links of each node.
func grouped(links map[string]string) [][]string {
	byNode := map[string][]string{}
	for l, n := range links {
		byNode[n] = append(byNode[n], l)
	}
	var groups [][]string
	for _, n := range slices.Sorted(maps.Keys(byNode)) {
		if g := compared(byNode[n]); len(g) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

func compared(links []string) []string {
	all := slices.Clone(links)
	links = slices.DeleteFunc(links, func(l string) bool { return !ours(l, all) })
	slices.Sort(links)
	return links
}

// nearest is the group that shares most links.
func nearest(want []string, groups [][]string) []string {
	var best []string
	most := 0
	for _, g := range groups {
		n := 0
		for _, l := range g {
			if slices.Contains(want, l) {
				n++
			}
		}
		if n > most {
			best, most = g, n
		}
	}
	return best
}
