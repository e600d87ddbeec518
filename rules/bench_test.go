package rules_test

import (
	"maps"
	"testing"

	"firstlight/internal/device"
	eval "firstlight/internal/udevd/rules"
)

// quiet is a world that finds things without work, so that what is measured
// is the evaluation.
type quiet struct {
	world
	set [][2]string
}

func (q *quiet) Builtin(dev *device.Device, args []string) error {
	if args[0] == "blkid" {
		for _, p := range q.set {
			dev.SetProperty(p[0], p[1])
		}
	}
	return nil
}

func BenchmarkPartition(b *testing.B) {
	tab := ours(b, nil)
	m := &scene{devpath: sda + "/sda2", files: sataTree}
	sys := m.sysfs(b)
	parent := device.New(sys, sda, map[string]string{"SUBSYSTEM": "block", "DEVTYPE": "disk", "DEVNAME": "/dev/sda", "ID_BUS": "ata", "ID_SERIAL": "DISK_1", "ID_PATH": "pci-0000:00:1f.2-ata-3.0"})
	props := map[string]string{"SUBSYSTEM": "block", "DEVTYPE": "partition", "DEVNAME": "/dev/sda2", "MAJOR": "8", "MINOR": "2", "DISKSEQ": "9"}
	env := &quiet{set: [][2]string{{"ID_FS_TYPE", "ext4"}, {"ID_FS_USAGE", "filesystem"}, {"ID_FS_UUID_ENC", "1"}, {"ID_PART_ENTRY_UUID", "2"}}}
	b.ReportAllocs()
	for b.Loop() {
		dev := device.New(sys, m.devpath, maps.Clone(props))
		dev.SetParent(parent)
		if _, err := eval.Evaluate(tab, dev, eval.Event{Action: "add"}, env); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOther is one of the hundreds of devices of which the rules want
// nothing but a driver.
func BenchmarkOther(b *testing.B) {
	tab := ours(b, nil)
	m := &scene{files: sataTree}
	sys := m.sysfs(b)
	dev := device.New(sys, ahci, map[string]string{"SUBSYSTEM": "pci", "MODALIAS": "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", "DRIVER": "ahci"})
	env := &quiet{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eval.Evaluate(tab, dev, eval.Event{Action: "add"}, env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	data := oursBytes(b)
	for b.Loop() {
		if _, err := eval.Open(data); err != nil {
			b.Fatal(err)
		}
	}
}
