package mend

import (
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/ueventd"
)

// opened is a boot with an encrypted volume that is open, "cr" on sda.
func opened(t *testing.T) (b *handlertest.Boot, again *[]string) {
	t.Helper()
	again = new([]string)
	b = handlertest.New(t, "root=/dev/mapper/cr", handler.Image{Full: true}, func(w *handler.World) func() {
		w.Makers = append(w.Makers, func(_ *ueventd.Task, name, uuid string) { *again = append(*again, name+" "+uuid) })
		return New(w).Start
	})
	b.Add(handlertest.Disk{Name: "sda"})
	hold(b, "dm-0", "sda")
	mapping(b, "dm-0", "cr", "CRYPT-LUKS2-0a-cr")
	return b, again
}

// hold shows, as the kernel does, that a device is made of another.
func hold(b *handlertest.Boot, upper, lower string) {
	const at = "/devices/virtual/block/"
	b.Sys.Link(at+lower+"/holders/"+upper, "../../"+upper)
	b.Sys.Link(at+upper+"/slaves/"+lower, "../../"+lower)
}

func mapping(b *handlertest.Boot, node, name, uuid string) {
	dm := b.Machine.DM
	if _, err := dm.Create(name, uuid); err != nil {
		panic(err)
	}
	dm.Load(devmapper.ByName(name), nil, devmapper.LoadOptions{})
	dm.Tables[name] = nil
	d := handlertest.Disk{Name: node, Attrs: map[string]string{"dm/name": name, "dm/uuid": uuid, "dm/suspended": "0"}}
	b.Add(d)
	b.ChangeWith(handlertest.Disk{Name: node}, map[string]string{"DM_COOKIE": "4194304"})
}

func there(b *handlertest.Boot, name string) bool {
	_, ok := b.Machine.DM.Tables[name]
	return ok
}

func TestWhatLiesOnADiskThatIsThereStays(t *testing.T) {
	b, again := opened(t)
	b.Add(handlertest.Disk{Name: "sdb"})
	b.Remove("sdb")
	if !there(b, "cr") || len(*again) != 0 {
		t.Errorf("it was taken down: %v", *again)
	}
}

func TestWhatLiesOnADiskThatHasGoneIsTakenDownAndMadeAgain(t *testing.T) {
	b, again := opened(t)
	b.Remove("sda")
	if there(b, "cr") || !b.Said("/dev/mapper/cr was taken down: of what it lies on /dev/sda has gone away") {
		t.Error("not taken down")
	}
	b.Remove("dm-0")
	if strings.Join(*again, ",") != "cr CRYPT-LUKS2-0a-cr" {
		t.Errorf("made again: %v", *again)
	}
}

// A disk that is back under the same name before anybody looked is another one.
func TestADiskOfTheSameNameIsAnotherDisk(t *testing.T) {
	b, _ := opened(t)
	b.Sys.Remove("/devices/virtual/block/sda")
	b.Add(handlertest.Disk{Name: "sda"})
	if there(b, "cr") {
		t.Error("the mapping of the disk that was there before is still there")
	}
}

func TestWhatIsInUseStaysAndIsSaid(t *testing.T) {
	b, again := opened(t)
	b.Machine.DM.Busy = map[string]bool{"cr": true}
	b.Remove("sda")
	f := b.Fact("/dev/mapper/cr")
	if f.Condition != goal.Blocked || !strings.Contains(f.Text, "it is in use") || !strings.HasPrefix(f.Try, "reboot") || !b.Said("it is in use") {
		t.Errorf("%+v", f)
	}
	if !there(b, "cr") || len(*again) != 0 {
		t.Errorf("it was taken down: %v", *again)
	}
	// As soon as it is free it goes.
	b.Machine.DM.Busy = nil
	b.Add(handlertest.Disk{Name: "sdb"})
	if f := b.Fact("/dev/mapper/cr"); there(b, "cr") || f.Text != "" {
		t.Errorf("%+v", f)
	}
}

// A volume on top goes first, and what is left in use keeps what is below it.
func TestTheTopmostGoesFirst(t *testing.T) {
	b, _ := opened(t)
	hold(b, "dm-1", "dm-0")
	mapping(b, "dm-1", "vg-root", "LVM-abc")
	b.Remove("sda")
	if there(b, "vg-root") || there(b, "cr") {
		t.Errorf("left: %v", b.Machine.DM.Tables)
	}
}

// A volume of LVM directly on a disk is its handler's.
func TestVolumesOfLVMOnADiskAreLeftAlone(t *testing.T) {
	b, _ := opened(t)
	b.Add(handlertest.Disk{Name: "sdb"})
	hold(b, "dm-1", "sdb")
	mapping(b, "dm-1", "vg-root", "LVM-abc")
	b.Remove("sdb")
	if !there(b, "vg-root") {
		t.Error("taken down")
	}
}

// One path to a disk goes, and others are there or will come.
func TestMultipathIsLeftAlone(t *testing.T) {
	b, _ := opened(t)
	b.Add(handlertest.Disk{Name: "sdb"}, handlertest.Disk{Name: "sdc"})
	hold(b, "dm-1", "sdb")
	hold(b, "dm-1", "sdc")
	mapping(b, "dm-1", "mpatha", "mpath-360000")
	hold(b, "dm-2", "sdb")
	hold(b, "dm-2", "sdc")
	mapping(b, "dm-2", "mine", "")
	b.Remove("sdb")
	if !there(b, "mpatha") || !there(b, "mine") {
		t.Errorf("taken down with one of two: %v", b.Machine.DM.Tables)
	}
	b.Remove("sdc")
	if !there(b, "mpatha") || there(b, "mine") {
		t.Errorf("with neither: %v", b.Machine.DM.Tables)
	}
}

func running(t *testing.T, level, metadata string, disks ...string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, "root=/dev/md127", handler.Image{Full: true}, func(w *handler.World) func() { return New(w).Start })
	for _, d := range disks {
		b.Add(handlertest.Disk{Name: d})
		hold(b, "md127", d)
	}
	d := handlertest.Disk{Name: "md127", Attrs: map[string]string{"md/array_state": "read-auto", "md/level": level, "md/raid_disks": strconv.Itoa(len(disks)), "md/metadata_version": metadata}}
	b.Add(d)
	return b
}

func TestArraysEndWhenTheyCannotGoOn(t *testing.T) {
	for _, tt := range []struct {
		level, metadata string
		disks, gone     int
		ends            bool
	}{
		{"raid0", "1.2", 2, 1, true}, {"linear", "1.2", 3, 1, true},
		{"raid1", "1.2", 2, 1, false}, {"raid1", "1.2", 2, 2, true},
		{"raid5", "1.2", 3, 1, false}, {"raid5", "1.2", 3, 2, true},
		{"raid6", "1.2", 4, 2, false}, {"raid6", "1.2", 4, 3, true},
		{"raid10", "1.2", 4, 2, false}, {"raid10", "1.2", 4, 3, true},
		{"raid1", "external:/md126/0", 2, 2, false},
	} {
		disks := []string{"sda", "sdb", "sdc", "sdd"}[:tt.disks]
		b := running(t, tt.level, tt.metadata, disks...)
		for _, d := range disks[:tt.gone] {
			b.Remove(d)
		}
		if ends := strings.Contains(strings.Join(b.Machine.Writes, ","), "clear > /block/md127/md/array_state"); ends != tt.ends {
			t.Errorf("%s (%s) of %d without %d: stopped %v; %q", tt.level, tt.metadata, tt.disks, tt.gone, ends, b.Machine.Writes)
		}
	}
}
