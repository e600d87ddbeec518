package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// The types of partitions on amd64.
const (
	rootType   = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
	usrType    = "8484680c-9521-48c6-9c11-b0720656f69e"
	verityType = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"
	loaderUUID = "77777777-7777-4777-8777-777777777777"
	noAuto     = 1 << 63
)

// slot is a partition with what is in it.
type slot struct {
	typ, uuid, name string
	flags           uint64
	holds           *sim.Disk
}

func gptDisk(id string, slots ...slot) *sim.Disk {
	const size, each = 256 << 20, 16 << 20
	d := &sim.Disk{Size: size}
	var parts []content.Partition
	for i, s := range slots {
		at := int64(1<<20 + i*each)
		parts = append(parts, content.Partition{Start: at, Size: each, Type: s.typ, UUID: s.uuid, Name: s.name, Flags: s.flags})
		if s.holds != nil {
			s.holds.Size = each
			d.Holds = append(d.Holds, sim.Extent{At: at, Disk: s.holds})
		}
	}
	d.Put(content.GPT(id, size, parts)...)
	return d
}

// loader is the firmware's variable in which the boot loader says where it
// comes from.
func loader(uuid string) map[string]string {
	text := "\x06\x00\x00\x00"
	for _, u := range utf16.Encode([]rune(strings.ToUpper(uuid) + "\x00")) {
		text += string([]byte{byte(u), byte(u >> 8)})
	}
	return map[string]string{"/run/firstlight/efivars-LoaderDevicePartUUID/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f": text}
}

func fsOf(uuid string) *sim.Disk {
	return &sim.Disk{Content: sim.Ext4(uuid, ""), Files: debian()}
}

const otherUUID = "88888888-8888-4888-8888-888888888888"

func esp(uuid string) slot {
	return slot{typ: content.EFISystem, uuid: uuid, name: "esp"}
}

func TestRootByTheTypeOfItsPartition(t *testing.T) {
	old := slot{typ: rootType, uuid: rootUUID, name: "os_1.9", holds: fsOf(rootUUID)}
	young := slot{typ: rootType, uuid: usrUUID, name: "os_1.10", holds: fsOf(usrUUID)}
	with := func(s slot, change func(*slot)) slot { change(&s); return s }
	system := gptDisk(swapUUID, esp(loaderUUID), old)
	for name, tt := range map[string]struct {
		cmdline string
		loader  string
		disks   []*sim.Disk
		node    string // "" for none
		says    string
	}{
		"no root= and a boot loader":         {"", loaderUUID, []*sim.Disk{system}, "/dev/vda2", ""},
		"no root= and no boot loader":        {"", "", []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), old)}, "", "LoaderDevicePartUUID"},
		"gpt-auto without a boot loader":     {"root=gpt-auto", "", []*sim.Disk{gptDisk(swapUUID, old)}, "/dev/vda1", ""},
		"of two systems the newer":           {"root=gpt-auto", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), young, old)}, "/dev/vda2", ""},
		"an empty slot":                      {"", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), with(young, func(s *slot) { s.name = "_empty" }), old)}, "/dev/vda3", ""},
		"one that is not to be used":         {"", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), with(young, func(s *slot) { s.flags = noAuto }), old)}, "/dev/vda3", ""},
		"names that say nothing":             {"", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), with(young, func(s *slot) { s.name = "b" }), old)}, "", "which is newer"},
		"the same version twice":             {"", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), with(young, func(s *slot) { s.name = "os_1.09" }), old)}, "", "which is newer"},
		"the other disk is no matter":        {"", loaderUUID, []*sim.Disk{gptDisk(keyUUID, young), gptDisk(swapUUID, esp(loaderUUID), old)}, "/dev/vdb2", ""},
		"two disks and no boot loader":       {"root=gpt-auto", "", []*sim.Disk{gptDisk(keyUUID, young), gptDisk(swapUUID, old)}, "", "2 disks may be it"},
		"a copy of the boot loader's disk":   {"", loaderUUID, []*sim.Disk{gptDisk(keyUUID, esp(loaderUUID), young), gptDisk(swapUUID, esp(loaderUUID), old)}, "", "2 disks may be it"},
		"the boot loader's disk is missing":  {"", otherUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), old)}, "", otherUUID},
		"a verified one is said to be so":    {"", loaderUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), old, slot{typ: verityType, uuid: keyUUID, name: "os-verity"})}, "/dev/vda2", "the root is not verified"},
		"a root= is stronger than all types": {"root=UUID=" + rootUUID, otherUUID, []*sim.Disk{gptDisk(swapUUID, esp(loaderUUID), young, old)}, "/dev/vda3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := full("rd.shell=0 rd.emergency=poweroff rd.info "+tt.cmdline, tt.disks...)
			if tt.loader != "" {
				m.Files = loader(tt.loader)
			}
			boot(t, m)
			if tt.node != "" {
				started(t, m, tt.node)
				noTimer(t, m)
			} else if m.Started != nil {
				t.Errorf("started from %+v", m.Mounts)
			}
			said := m.SaidText()
			for _, l := range m.Said {
				said += l.Text + "\n"
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("it said:\n%s", said)
			}
		})
	}
}

func TestUsrByTheTypeOfItsPartition(t *testing.T) {
	m := full("root=gpt-auto mount.usr=gpt-auto", gptDisk(swapUUID, esp(loaderUUID),
		slot{typ: rootType, uuid: rootUUID, name: "root", holds: fsOf(rootUUID)},
		slot{typ: usrType, uuid: usrUUID, name: "usr_1", holds: fsOf(usrUUID)},
		slot{typ: usrType, uuid: keyUUID, name: "usr_2", holds: fsOf(keyUUID)}))
	m.Files = loader(loaderUUID)
	boot(t, m)
	started(t, m, "/dev/vda2")
	if last := m.Mounts[len(m.Mounts)-1]; last.Source != "/dev/vda4" || last.Target != "/sysroot/usr" {
		t.Errorf("%+v", last)
	}
}

// Of two systems the newer one is started, in whatever order their partitions
// are seen and whatever fails on the way.
func TestDiscoverFamily(t *testing.T) {
	want := ""
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		slots := []slot{esp(loaderUUID),
			{typ: rootType, uuid: rootUUID, name: "os_3.1", holds: fsOf(rootUUID)},
			{typ: rootType, uuid: usrUUID, name: "os_3.2~rc1", holds: fsOf(usrUUID)},
			{typ: content.LinuxData, uuid: keyUUID, name: "os_9"}}
		rng.Shuffle(len(slots), func(i, j int) { slots[i], slots[j] = slots[j], slots[i] })
		for i, s := range slots {
			if s.uuid == usrUUID {
				want = "/dev/vda" + string(rune('1'+i))
			}
		}
		m := full([...]string{"", "root=gpt-auto"}[rng.IntN(2)]+" rd.shell=0", gptDisk(swapUUID, slots...))
		m.Files = loader(loaderUUID)
		return m
	}, func(m *sim.Machine) string {
		if m.Started == nil && m.DiskAt(want) == nil {
			return "" // the kernel could not read the partition table
		}
		if m.Started == nil {
			return "not started"
		}
		for _, mt := range m.Mounts {
			if mt.Target == "/sysroot" && mt.Source != want {
				return mt.Source + " is the root, not " + want
			}
		}
		return ""
	})
}
