package live

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/blkid"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// initrd is the image that goes onto a ramdisk. The kernel leaves an initrd
// that is no cpio archive there (init/initramfs.c).
const initrd = "/initrd.image"

// RAMDisk fills the ramdisk that root= names, /dev/ram0 or a compressed one,
// /dev/zram0, with an image of the initramfs, as the kernel itself does without
// an initramfs. What is copied is given up on the way, so that its memory is
// needed once.
type RAMDisk struct {
	w      *handler.World
	name   string // "ram0", "zram0"
	filled bool
}

// queueRAMDisk is that of the ramdisk, topicFilled is notified when it is the
// root.
const (
	queueRAMDisk = "ramdisk"
	topicFilled  = "ramdisk filled"
)

// NewRAMDisk registers the handler, if root= names a ramdisk.
func NewRAMDisk(w *handler.World) *RAMDisk {
	h := &RAMDisk{w: w}
	root := w.Config.Root.Device
	name := strings.TrimPrefix(root.Value, "/dev/")
	if root.Kind != devspec.Path || !ramdisk(name) {
		return h
	}
	h.name = name
	w.Sched.Route(queueRAMDisk, h.fill)
	w.Gates = append(w.Gates, func(e *udevd.Entry) (topic, why, options string) {
		if e.Devname() == "/dev/"+name && !h.filled {
			return topicFilled, "the root is copied to /dev/" + name, ""
		}
		return "", "", ""
	})
	return h
}

// ramdisk says whether a device of that name is one.
func ramdisk(name string) bool {
	number := strings.TrimPrefix(strings.TrimPrefix(name, "z"), "ram")
	return number != "" && len(number) < 3 && number != name && strings.Trim(number, "0123456789") == "" && strings.Contains(name, "ram")
}

// Start has it filled.
func (h *RAMDisk) Start() {
	if h.name != "" {
		h.w.Sched.Push(ueventd.Event{Queue: queueRAMDisk, Kind: filter.Add})
	}
}

func (h *RAMDisk) fill(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w, node := h.w, "/dev/"+h.name
	fail := func(text, try string) ueventd.Outcome {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root on the ramdisk " + node, Condition: goal.Blocked, Text: text, Try: try})
		return ueventd.WaitFor(text, handler.TopicRetry)
	}
	if g := w.Goals.Get(mount.RootGoal); h.filled || g == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	}
	info, err := ueventd.Do(t, "look for "+initrd, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot("/", initrd) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no "+initrd+" in this image", "build the image with --include FILE:"+initrd+", where FILE holds the root's filesystem")
	case err != nil:
		return fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	driver := "brd"
	if h.name[0] == 'z' {
		driver = "zram"
	}
	if err := w.LoadModules(t, driver); err != nil {
		return fail("the driver "+driver+" cannot be loaded: "+err.Error(), "rebuild the image with --feature ramdisk-root")
	}
	text, try := h.prepare(t, info.Size)
	if text != "" {
		return fail(text, try)
	}
	w.Say(handler.Normal, "copying "+initrd+" to "+node+" ("+mebibytes(uint64(info.Size))+")")
	_, err = ueventd.Do(t, "copy "+initrd+" to "+node, func(m machine.Machine) (string, error) {
		return m.CopyFile("/", initrd, node, machine.CopyGive)
	})
	if err != nil {
		// Part of it may be gone already.
		return fail(err.Error(), "give the machine more memory, and boot again")
	}
	// What it is and the size of its blocks, since no rule asks for the content
	// of such devices.
	found, err := ueventd.Do(t, "look what is on "+node, func(m machine.Machine) ([2]string, error) {
		b, err := m.OpenBlock(node)
		if err != nil {
			return [2]string{}, err
		}
		defer b.Close()
		res, err := blkid.ProbeWith(b, b.Size(), blkid.Options{SectorSize: b.SectorSize()})
		if err != nil {
			return [2]string{}, err
		}
		return [2]string{res.Type(), res.Get("BLOCK_SIZE")}, nil
	})
	typ, blocks := found[0], found[1]
	if r := &w.Config.Root; len(r.FSTypes) == 0 {
		if err != nil || typ == "" {
			return fail(initrd+" holds no filesystem that is known", "make it with mkfs, uncompressed, or name the type with rootfstype=")
		}
		r.FSTypes = []string{typ}
	}
	if n, err := strconv.ParseUint(blocks, 10, 32); err == nil && n < pageSize && h.name[0] == 'z' && typ != "squashfs" {
		return fail("its filesystem has blocks of "+blocks+" bytes, and the sectors of such a device have 4096", "make it with larger blocks: mke2fs -b 4096")
	}
	h.filled = true
	w.DropFact(mount.RootGoal)
	w.Progress()
	w.Sched.Notify(topicFilled)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add, Name: node})
	return ueventd.Outcome{}
}

// prepare makes the device large enough for size bytes, and says why it cannot.
func (h *RAMDisk) prepare(t *ueventd.Task, size int64) (text, try string) {
	attribute := "/devices/virtual/block/" + h.name + "/"
	if h.name[0] != 'z' {
		have, err := ueventd.Do(t, "ask how large /dev/"+h.name+" is", func(m machine.Machine) (int64, error) {
			b, err := m.OpenBlock("/dev/" + h.name)
			if err != nil {
				return 0, err
			}
			defer b.Close()
			return b.Size(), nil
		})
		switch {
		case err != nil:
			return err.Error(), "load the driver with more devices: brd.rd_nr="
		case have < size:
			return fmt.Sprintf("%s does not fit: it takes %s, the device has %s", initrd, mebibytes(uint64(size)), mebibytes(uint64(have))),
				"make the ramdisk larger: brd.rd_size=" + strconv.FormatInt((size+1023)/1024, 10) + " (in KiB)"
		}
		return "", ""
	}
	size = (size + pageSize - 1) &^ (pageSize - 1)
	err := ueventd.Act(t, "give "+path.Base(h.name)+" "+mebibytes(uint64(size)), func(m machine.Machine) error {
		return m.WriteSysfs(attribute+"disksize", strconv.FormatInt(size, 10))
	})
	if err != nil {
		return err.Error(), "name /dev/zram0 with root=, which no one else may have set up"
	}
	return "", ""
}
