package boot

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/machine"
	"firstlight/internal/postmortem"
	"firstlight/internal/ueventd"
)

// How much is kept of a failure, in bytes. Memory for the persistent store is
// as large as the machine's owner made it; the firmware's is small, wears out,
// and some firmware does not survive its being full. Of its log the kernel
// puts 10 KiB into the store, unless it was told otherwise.
const (
	maxLogged     = 8 << 10
	defaultStore  = 4 << 10
	maxStore      = 256 << 10
	storeOverhead = 64
	maxVariable   = 4 << 10
	maxOnDisk     = 256 << 10
	maxJournal    = 8 << 20
)

// Where a failure is kept, and what that needs.
const (
	storeNode    = "/dev/pmsg0"
	storeSize    = "/sys/module/ramoops/parameters/pmsg_size"
	storeDriver  = "/sys/module/pstore/parameters/backend"
	logAtEnd     = "/module/printk/parameters/always_kmsg_dump"
	kernelLog    = "/dev/kmsg"
	journalFile  = "/run/firstlight/journal"
	bootID       = "/proc/sys/kernel/random/boot_id"
	clock        = "/sys/class/rtc/rtc0/"
	variablesDir = "/run/firstlight/efivars"
	espDir       = "/run/firstlight/esp"
	espType      = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" // of a GPT partition, UEFI specification 5.3.3
	mbrESPType   = "0xef"
)

// attributes of the variable: non-volatile, for boot services and at run time
// (UEFI specification 8.2), as efivarfs has them in front of the value.
const attributes = "\x07\x00\x00\x00"

// save keeps the failure where the next boot finds it: once a boot, since what
// is written may wear out.
func (c *Core) save(t *ueventd.Task, text string) {
	places := c.opt.Config.Failure.Save
	if c.saved || places == 0 {
		return
	}
	c.saved = true
	text = c.whose(t) + text
	if places&bootcmd.SavePstore != 0 {
		const what = "keep the failure in the persistent store"
		atEnd, err := ueventd.Do(t, what, func(m machine.Machine) (bool, error) { return toStore(m, text) })
		if err != nil {
			t.Record("warning", err.Error())
		}
		c.logAtEnd = atEnd
	}
	if places&bootcmd.SaveEFI != 0 {
		c.act(t, "keep the failure in a variable of the firmware", func(m machine.Machine) error { return toVariable(m, text) })
	}
	if places&bootcmd.SaveESP != 0 {
		c.toESP(t, text)
	}
}

// whose is the line that says which boot failed, and when.
func (c *Core) whose(t *ueventd.Task) string {
	text, _ := ueventd.Do(t, "read which boot this is", func(m machine.Machine) (string, error) {
		read := func(name string) string {
			b, err := m.ReadFile(name, 64)
			if err != nil {
				return ""
			}
			return strings.TrimSpace(string(b))
		}
		return postmortem.Head(read(bootID), read(clock+"date")+" "+read(clock+"time")), nil
	})
	return "firstlight " + c.opt.Image.Version + ", kernel " + c.opt.Image.Kernel + text + "\n"
}

// keepLogOut takes back that the kernel's log goes into the store when the
// machine stops: the real system stops it, and has its own log.
func (c *Core) keepLogOut(t *ueventd.Task) {
	if c.logAtEnd {
		c.logAtEnd = false
		c.act(t, "keep the kernel's log out of the persistent store again", func(m machine.Machine) error { return m.WriteSysfs(logAtEnd, "N") })
	}
}

func (c *Core) act(t *ueventd.Task, what string, f func(machine.Machine) error) {
	if err := ueventd.Act(t, what, f); err != nil {
		t.Record("warning", err.Error())
	}
}

// last is the journal so far. Without it the text has to do.
func last(m machine.Machine) []byte {
	b, err := m.ReadFile(journalFile, maxJournal)
	if err != nil {
		return nil
	}
	return b
}

// toStore writes to the kernel's persistent store. A machine without one is
// no fault.
//
// Few kernels let programs write to it (/dev/pmsg0). All others put the end of
// their log into it, when they panic or, where they are told so, when the
// machine stops: then the failure goes to that log. atEnd says that the kernel
// was told so.
func toStore(m machine.Machine, text string) (atEnd bool, err error) {
	for _, driver := range []string{"ramoops", "efi-pstore"} {
		if !hasStore(m) {
			// An image need not have it, nor the machine what it drives: what
			// counts is whether the store is there then.
			_ = m.Load(driver)
		}
	}
	size := defaultStore
	if b, err := m.ReadFile(storeSize, 64); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 {
			size = n
		}
	}
	note := postmortem.Format(text, last(m), min(size, maxStore)-storeOverhead)
	if note == nil {
		return false, nil
	}
	if err := m.WriteOnce(storeNode, note); !errors.Is(err, fs.ErrNotExist) || !hasStore(m) {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	for _, record := range postmortem.Lines(text, last(m), maxLogged) {
		if err := m.WriteOnce(kernelLog, append([]byte("<15>"), record...)); err != nil { // user, debug
			return false, err
		}
	}
	if b, err := m.ReadFile("/sys"+logAtEnd, 16); err == nil && strings.HasPrefix(string(b), "Y") {
		return false, nil // somebody wants it always
	}
	return true, m.WriteSysfs(logAtEnd, "Y")
}

// hasStore says whether a driver of the persistent store is there.
func hasStore(m machine.Machine) bool {
	b, err := m.ReadFile(storeDriver, 64)
	name := strings.TrimSpace(string(b))
	return err == nil && name != "" && name != "(null)"
}

func toVariable(m machine.Machine, text string) error {
	return mounted(m, "efivarfs", variablesDir, "efivarfs", "", func() error {
		note := postmortem.Format(text, last(m), maxVariable)
		return m.WriteOnce(variablesDir+"/"+postmortem.Variable, append([]byte(attributes), note...))
	})
}

// mounted calls f while a filesystem is mounted.
func mounted(m machine.Machine, source, target, typ, options string, f func() error) error {
	if err := m.Load("fs-" + typ); err != nil {
		return err
	}
	err := m.Mount(machine.Mount{Source: source, Target: target, FSType: typ, Flags: noSuidDevExec, Data: options})
	if err != nil {
		return err
	}
	err = f()
	if uerr := m.Unmount(target, false); err == nil {
		err = uerr
	}
	return err
}

// noSuidDevExec is MS_NOSUID, MS_NODEV and MS_NOEXEC.
const noSuidDevExec = 2 | 4 | 8

// toESP writes a file to the EFI system partition, of which there must be one
// and no doubt. Nothing is mounted while a hibernated system may have it
// mounted still.
func (c *Core) toESP(t *ueventd.Task, text string) {
	if !c.w.ResumeSettled {
		t.Record("decision", "the failure is not kept on the EFI system partition: a hibernated system may have to be resumed still")
		return
	}
	var found []string
	for _, e := range c.w.Devices.Block() {
		typ := strings.ToLower(e.Property("ID_PART_ENTRY_TYPE"))
		if (typ == espType || typ == mbrESPType) && e.Property("ID_FS_TYPE") == "vfat" {
			found = append(found, e.Devname())
		}
	}
	if len(found) != 1 {
		t.Record("decision", "the failure is not kept on the EFI system partition: there are "+strconv.Itoa(len(found))+" ("+strings.Join(found, " ")+")")
		return
	}
	c.act(t, "keep the failure on "+found[0], func(m machine.Machine) error {
		return mounted(m, found[0], espDir, "vfat", "umask=0077", func() error {
			return m.WriteFile(espDir+"/"+postmortem.File, postmortem.Format(text, last(m), maxOnDisk), 0o600)
		})
	})
}
