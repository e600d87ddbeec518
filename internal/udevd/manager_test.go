package udevd

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/machine"
	"firstlight/internal/sysfs"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// world is a manager with rules that a test writes, over a sysfs that has the
// devices it is told to.
type world struct {
	t         *testing.T
	s         *ueventd.Scheduler
	m         *Manager
	ops       []ueventd.Operation
	published []string
	there     map[string]bool
	links     map[string]string
}

type none struct{ sysfs.FS }

func (n none) Read(string) (string, error)     { return "", fs.ErrNotExist }
func (n none) Readlink(string) (string, error) { return "", fs.ErrNotExist }

type existing struct {
	none
	w *world
}

func (e existing) Exists(p string) bool { return e.w.there[strings.TrimSuffix(p, "/uevent")] }

type rulesFunc func(t *ueventd.Task, dev *device.Device, action string, old *device.Device) (Outcome, error)

func (f rulesFunc) Evaluate(t *ueventd.Task, dev *device.Device, action string, old *device.Device) (Outcome, error) {
	return f(t, dev, action, old)
}

type noRecords struct{}

func (noRecords) Record(uint64, string, string, string, ...string) uint64 { return 0 }

// devfs is the part of the machine that makes links.
type devfs struct {
	machine.Machine
	links map[string]string
}

func (d devfs) Link(target, p string) error { d.links[p] = target; return nil }
func (d devfs) Unlink(p string) error       { delete(d.links, p); return nil }

func newWorld(t *testing.T, rules rulesFunc) *world {
	w := &world{t: t, s: ueventd.New(noRecords{}), there: map[string]bool{}, links: map[string]string{}}
	w.m = New(w.s, existing{w: w}, rules, func(_ *ueventd.Task, _, e *Entry, action string) {
		w.published = append(w.published, action+" "+e.Devpath())
	})
	return w
}

// probing is a rule that reads the device.
func probing(t *ueventd.Task, dev *device.Device, action string, _ *device.Device) (Outcome, error) {
	return Outcome{}, ueventd.Act(t, "read "+dev.Devpath(), func(machine.Machine) error { return nil })
}

func (w *world) event(action, devpath string, more ...string) {
	props := map[string]string{"ACTION": action, "DEVPATH": devpath, "SUBSYSTEM": "block",
		"DEVNAME": "/dev/" + devpath[strings.LastIndexByte(devpath, '/')+1:]}
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	w.m.Add(&uevent.Message{Action: action, Devpath: devpath, Props: props})
	w.s.Run()
}

// finish ends the operation whose name begins with what.
func (w *world) finish(what string) {
	w.t.Helper()
	w.ops = append(w.ops, w.s.Started()...)
	i := slices.IndexFunc(w.ops, func(o ueventd.Operation) bool { return strings.HasPrefix(o.What, what) })
	if i < 0 {
		w.t.Fatalf("nothing does %q", what)
	}
	op := w.ops[i]
	w.ops = slices.Delete(w.ops, i, i+1)
	v, err := op.Run(devfs{links: w.links})
	w.s.Finish(op.ID, v, err)
	w.s.Run()
}

func (w *world) publishes(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.published, want) {
		w.t.Errorf("published %q\nwant      %q", w.published, want)
	}
}

const (
	disk = "/devices/pci/block/sda"
	part = "/devices/pci/block/sda/sda1"
)

func TestPartitionIsLookedAtAfterItsDisk(t *testing.T) {
	w := newWorld(t, probing)
	w.event("add", disk)
	w.event("add", part)
	w.finish("read " + disk)
	w.finish("read " + part)
	w.publishes("add "+disk, "add "+part)
}

func TestLaterEventsOfADiskDoNotHoldItsPartitionUp(t *testing.T) {
	w := newWorld(t, probing)
	w.event("add", part)
	w.event("change", disk)
	w.finish("read " + part)
	w.publishes("add " + part)
}

func TestDiskIsRemovedAfterItsPartitions(t *testing.T) {
	w := newWorld(t, probing)
	w.event("add", disk)
	w.finish("read " + disk)
	w.event("add", part)
	w.event("remove", part) // waits for the add, which reads a dead disk
	w.event("remove", disk)
	w.finish("read " + part)
	w.publishes("add "+disk, "add "+part, "remove "+part, "remove "+disk)
	if len(w.m.Block()) != 0 {
		t.Error("a device is left")
	}
}

// A disk that was pulled out and put in again has its node at once, while
// messages of the old one are still to come.
func TestNodeStaysWithTheDeviceThatHasItNow(t *testing.T) {
	w := newWorld(t, probing)
	const again = "/devices/pci2/block/sda"
	w.event("add", disk, "DEVNAME", "/dev/sda")
	w.finish("read " + disk)
	w.event("add", again, "DEVNAME", "/dev/sda")
	w.finish("read " + again)
	w.event("change", disk, "DEVNAME", "/dev/sda")
	w.finish("read " + disk)
	w.event("remove", disk, "DEVNAME", "/dev/sda")
	if e := w.m.ByName("/dev/sda"); e == nil || e.Devpath() != again {
		t.Errorf("/dev/sda is %v", e)
	}
}

func TestMovedDeviceIsKnownByItsNewPathAlone(t *testing.T) {
	w := newWorld(t, probing)
	const moved = "/devices/pci/block/sdz"
	w.event("add", disk)
	w.event("move", moved, "DEVPATH_OLD", disk)
	w.finish("read " + disk) // the move waits for it
	w.finish("read " + moved)
	w.publishes("add "+disk, "move "+moved)
	if w.m.At(disk) != nil || w.m.At(moved) == nil {
		t.Error("wrong path")
	}
}

func TestWaitForIdentificationEndsWhenTheLastDeviceIsUnplugged(t *testing.T) {
	w := newWorld(t, probing)
	w.event("add", disk)
	woken := false
	w.s.Route("wait", func(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
		for len(w.m.Unidentified()) > 0 {
			t.Wait("identification", TopicIdentified)
		}
		woken = true
		return ueventd.Outcome{}
	})
	w.s.Push(ueventd.Event{Queue: "wait"})
	w.event("remove", disk)
	if woken || len(w.m.Unidentified()) != 1 {
		t.Error("not waited for")
	}
	w.finish("read " + disk)
	if !woken {
		t.Error("nobody told the one who waits")
	}
}

func TestWalkDoesNotBringBackWhatTheKernelSaidIsGone(t *testing.T) {
	w := newWorld(t, probing)
	w.event("remove", disk)
	if !w.m.Seen(disk) {
		t.Error("an older walk would add it")
	}
	w.event("change", part)
	if w.m.Seen(part) {
		t.Error("a device that has only changed has had no driver loaded: the walk must add it")
	}
}

func found(devpath string, more ...string) *uevent.Message {
	props := map[string]string{"ACTION": "add", "DEVPATH": devpath, "SUBSYSTEM": "pci"}
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	return &uevent.Message{Action: "add", Devpath: devpath, Props: props}
}

func TestRescanFindsWhatWasLost(t *testing.T) {
	w := newWorld(t, func(*ueventd.Task, *device.Device, string, *device.Device) (Outcome, error) { return Outcome{}, nil })
	pci := func(n string) string { return "/devices/pci/0000:00:0" + n }
	for _, n := range []string{"1", "2", "3"} {
		w.m.Add(found(pci(n), "DRIVER", "old"))
		w.there[pci(n)] = true
	}
	w.s.Run()
	w.published = nil
	delete(w.there, pci("2")) // its removal was lost
	w.there[pci("4")] = true  // its addition was lost
	w.m.Rescan([]*uevent.Message{found(pci("1"), "DRIVER", "old"), found(pci("3"), "DRIVER", "new"), found(pci("4"))})
	w.s.Run()
	w.publishes("change "+pci("3"), "add "+pci("4"), "remove "+pci("2"))
}

func TestRescanRemovesADeviceWhoseAddIsStillInHand(t *testing.T) {
	w := newWorld(t, probing)
	w.event("add", disk)
	w.m.Rescan(nil)
	w.s.Run()
	w.finish("read " + disk)
	w.publishes("add "+disk, "remove "+disk)
	if w.m.ByName("/dev/sda") != nil {
		t.Error("a ghost is left")
	}
}

// linking claims the link that the event names.
func linking(_ *ueventd.Task, dev *device.Device, _ string, _ *device.Device) (Outcome, error) {
	if l := dev.Property("WANT"); l != "" {
		dev.AddLink(l, 0)
	}
	return Outcome{}, nil
}

func TestLinkPassesToTheNextClaimantAndGoesWithTheLast(t *testing.T) {
	w := newWorld(t, linking)
	const a, b = "/devices/block/sda", "/devices/block/sdb"
	w.event("add", a, "WANT", "disk/by-label/x")
	w.finish("links")
	w.event("add", b, "WANT", "disk/by-label/x") // the earlier claim stays
	if w.links["/dev/disk/by-label/x"] != "../../sda" {
		t.Error(w.links)
	}
	w.event("remove", a)
	w.finish("links")
	if w.links["/dev/disk/by-label/x"] != "../../sdb" {
		t.Error(w.links)
	}
	w.event("change", b, "WANT", "")
	w.finish("links")
	if len(w.links) != 0 || len(w.m.claims) != 0 || len(w.m.leads) != 0 {
		t.Error(w.links, w.m.claims, w.m.leads)
	}
}

func TestChangesOfOneLinkAreMadeOneAfterTheOther(t *testing.T) {
	w := newWorld(t, linking)
	const a, b = "/devices/block/sda", "/devices/block/sdb"
	w.event("add", a, "WANT", "l")
	w.event("add", b, "WANT", "l")
	w.event("remove", a) // while the link to a is being made
	w.ops = append(w.ops, w.s.Started()...)
	if len(w.ops) != 1 {
		t.Fatalf("%d operations on one link at once", len(w.ops))
	}
	w.finish("links")
	w.finish("links")
	if w.links["/dev/l"] != "sdb" {
		t.Errorf("%v: whichever operation ended last has won", w.links)
	}
}

func TestRulesThatFailAreAFailureOfThatDeviceAlone(t *testing.T) {
	w := newWorld(t, func(_ *ueventd.Task, dev *device.Device, _ string, _ *device.Device) (Outcome, error) {
		if dev.Devpath() == disk {
			return Outcome{}, errors.New("input/output error")
		}
		return Outcome{}, nil
	})
	w.event("add", disk)
	w.event("add", part)
	w.publishes("add "+disk, "add "+part)
	if e := w.m.At(disk); e == nil || e.Err == nil {
		t.Error("the reason is lost")
	}
}

func TestPanicInARuleDoesNotHoldTheChildrenUp(t *testing.T) {
	w := newWorld(t, func(_ *ueventd.Task, dev *device.Device, _ string, _ *device.Device) (Outcome, error) {
		if dev.Devpath() == disk {
			panic("broken rule")
		}
		return Outcome{}, nil
	})
	w.event("add", disk)
	w.event("add", part)
	w.publishes("add " + part)
	if len(w.m.Unidentified()) != 0 {
		t.Error("still waited for")
	}
}
