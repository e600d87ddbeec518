package sim_test

import (
	"fmt"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"

	"golang.org/x/sys/unix"
)

const (
	diskUUID  = "66666666-6666-4666-8666-666666666666"
	partUUID  = "77777777-7777-4777-8777-777777777777"
	arrayUUID = "88888888-8888-4888-8888-888888888888"
	espUUID   = "99999999-9999-4999-8999-999999999999"
)

// median is a machine as most are: a disk with a partition table, an ESP, swap
// and a root that is encrypted, on a volume group or on a mirror; thirty
func median(seed uint64) *sim.Machine {
	m := &sim.Machine{Seed: seed, Handlers: all.Handlers(), Image: handler.Image{Version: "test"}, Modules: sim.Debian()}
	root := sim.Filesystem("ext4", rootUUID, "root", debian())
	esp := sim.Part{Disk: sim.Filesystem("vfat", espUUID, "ESP", map[string]string{"/EFI/x": ""}), UUID: espUUID, Type: content.EFISystem}
	swap := sim.Part{Disk: sim.SwapArea(swapUUID, false), UUID: swapUUID, Type: content.LinuxSwap}
	cmdline := "root=UUID=" + rootUUID + " resume=UUID=" + swapUUID
	switch seed % 3 {
	case 0:
		l := content.LUKS{Version: 2, UUID: luksUUID, Passphrases: []string{passphrase}}
		cmdline += " rd.luks.uuid=" + luksUUID
		m.Attach(sim.NVMe(1, sim.WithGPT(diskUUID, esp, swap, sim.Part{Disk: sim.Encrypt(l, root), UUID: partUUID})))
	case 1:
		pvs := sim.Volumes(volumeGroup(1), map[string]*sim.Disk{"root": root})
		m.Attach(sim.Virtio(1, sim.WithGPT(diskUUID, esp, swap, sim.Part{Disk: pvs[0], UUID: partUUID, Type: content.LinuxLVM})))
	case 2:
		md := sim.Members(content.MD{Version: "1.2", UUID: arrayUUID, Name: "host:0", Level: 1, Slots: 2, Events: 17, Made: 1700000000}, root, 0)
		m.Attach(sim.SATA(1, sim.WithGPT(diskUUID, esp, swap, sim.Part{Disk: md[0], UUID: partUUID}),
			sim.WithGPT(usrUUID, sim.Part{Disk: md[1], UUID: keyUUID})))
	}
	m.Cmdline = cmdline
	m.Person = &sim.Person{Knows: map[string]string{"": passphrase}, After: 4 * time.Second}
	for i := range 10 {
		m.Attach(&sim.Device{Name: fmt.Sprintf("0000:00:1%x.0", i), Subsystem: "pci", Modalias: fmt.Sprintf("pci:v00008086d0000A1%02xsv00008086sd00007270bc06sc00i00", i)})
	}
	m.Attach(sim.NIC(9))
	for i := range 8 {
		m.Attach(&sim.Device{Name: fmt.Sprintf("PNP0C0%d:00", i), Subsystem: "acpi", Modalias: fmt.Sprintf("acpi:PNP0C0%d:", i)})
	}
	return m
}

// volumeGroup is a group of so many physical volumes of 96 MiB with a root
// volume that is spread over them.
func volumeGroup(pvs int) content.VG {
	vg := content.VG{Name: "vg", UUID: "012345abcdEFGHijklMNOPqrstUVWXYZ", Seqno: 7, Extent: 4 << 20}
	root := content.LV{Name: "root", UUID: "ZYXWVUtsrqPONMlkjiHGFEdcba543210"}
	for i := range pvs {
		vg.PVs = append(vg.PVs, content.PV{UUID: fmt.Sprintf("%032d", i+1), Size: 96 << 20, Device: "/dev/sda"})
		root.Segments = append(root.Segments, content.Segment{Extents: int64(16 / pvs), Areas: []content.Area{{PV: i, Extent: 2}}})
	}
	vg.LVs = []content.LV{root}
	return vg
}

func BenchmarkMedianBoots(b *testing.B) {
	start := cpu()
	for i := range b.N {
		m := median(uint64(i))
		if err := m.Boot(10 * time.Minute); err != nil {
			b.Fatal(err)
		}
		if m.Started == nil {
			b.Fatalf("seed %d did not boot:\n%s\n%s", i, m.SaidText(), m.Journal)
		}
		m.Close()
	}
	b.ReportMetric(float64(b.N)/(cpu()-start).Seconds(), "boots/cpu-s")
}

// cpu is how long this process has computed so far: what other processes do
// at the same time does not count.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
