// Package handlertest runs handlers in tests: the real core with the real
// rules, scheduler and device database, on a machine of maps. Devices appear
// and go as the test says, operations are carried out one after another when
// they are asked for, and time passes when the test lets it.
//
//	b := handlertest.New(t, "root=/dev/vg/root", handler.Image{}, register)
//	b.Add(handlertest.Disk{Name: "sda", Content: content, Size: size})
//	b.Pass(15 * time.Second)
//	b.Fact("volume group vg")
package handlertest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
	source "firstlight/rules"
)

// Boot is a boot under test.
type Boot struct {
	Machine *Machine
	Sys     *Sysfs
	Core    *boot.Core

	t       testing.TB
	now     time.Duration
	said    []string
	did     []string
	journal strings.Builder
	minor   int
}

// Start is when boots begin, counted from the start of the kernel.
const Start = time.Second

// table is compiled once for all tests of a binary.
var table = sync.OnceValues(func() (*rules.Table, error) {
	names, err := source.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var files []*compile.File
	for _, n := range names {
		text, err := source.FS.ReadFile(n.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, compile.Parse(n.Name(), text))
	}
	anybody := func(string) (uint32, bool) { return 0, true }
	res, err := compile.Compile(files, compile.Options{Builtin: func(string) bool { return true }, User: anybody, Group: anybody})
	if err != nil {
		return nil, err
	}
	return rules.Open(res.Table)
})

// New starts a boot with a command line and handlers. A goal that is never
// met keeps it from ending.
func New(t testing.TB, cmdline string, image handler.Image, register ...boot.Register) *Boot {
	t.Helper()
	compiled, err := table()
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := bootcmd.Parse(bootcmd.Source{Name: "command line", Text: cmdline})
	b := &Boot{t: t, Sys: newSysfs(), now: Start}
	b.Machine = newMachine(b)
	b.Core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: image, Sys: b.Sys, Handlers: register, Start: Start,
		Rules: udevd.NewTable(compiled, cfg.Params, func(string) bool { return false }, func(string) {})})
	b.World().Goals.Add(goal.Goal{Name: "test", Want: "the end of the test", Since: Start})
	b.Core.Start()
	b.run()
	return b
}

// World is the state that the handlers share.
func (b *Boot) World() *handler.World { return b.Core.World() }

// Now is the time of the boot.
func (b *Boot) Now() time.Duration { return b.now }

// Disk is a block device as the kernel announces it.
type Disk struct {
	Name    string      // "sda"; its node is /dev/sda
	Content io.ReaderAt // nil reads as zeros
	Size    uint64      // bytes; 0 is 1 MiB
	Attrs   map[string]string
}

// Add plugs disks in, all at once, and lets the boot do what it can.
func (b *Boot) Add(disks ...Disk) {
	b.t.Helper()
	for _, d := range disks {
		b.minor++
		b.disk(d, 8, b.minor, "add", nil)
	}
	b.run()
}

// disk makes a device and announces it.
func (b *Boot) disk(d Disk, major, minor int, action string, extra map[string]string) {
	if d.Size == 0 {
		d.Size = 1 << 20
	}
	at := "/devices/virtual/block/" + d.Name
	b.Machine.blocks["/dev/"+d.Name] = d
	b.Sys.Set(at+"/uevent", fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=disk", major, minor, d.Name))
	b.Sys.Set(at+"/size", fmt.Sprint(d.Size/512))
	b.Sys.Set(at+"/ro", "0")
	b.Sys.Link(at+"/subsystem", "../../../../class/block")
	b.Sys.Link("/block/"+d.Name, "../devices/virtual/block/"+d.Name)
	for k, v := range d.Attrs {
		b.Sys.Set(at+"/"+k, v)
	}
	props := map[string]string{"MAJOR": fmt.Sprint(major), "MINOR": fmt.Sprint(minor), "DEVTYPE": "disk"}
	maps.Copy(props, extra)
	b.announce(action, d.Name, props)
}

func (b *Boot) announce(action, name string, props map[string]string) {
	m := &uevent.Message{Action: action, Devpath: "/devices/virtual/block/" + name, Props: map[string]string{}}
	maps.Copy(m.Props, props)
	m.Props["ACTION"], m.Props["DEVPATH"] = action, m.Devpath
	m.Props["SUBSYSTEM"], m.Props["DEVNAME"] = "block", "/dev/"+name
	b.Core.Advance(b.now)
	b.Core.Uevent(m)
}

// Remove unplugs a disk.
func (b *Boot) Remove(name string) {
	delete(b.Machine.blocks, "/dev/"+name)
	b.Sys.Remove("/devices/virtual/block/" + name)
	b.announce("remove", name, nil)
	b.run()
}

// Replug announces that a disk went and came back, and lets the boot do nothing
// yet: what a test calls while an operation goes on.
func (b *Boot) Replug(d Disk) {
	b.announce("remove", d.Name, nil)
	b.minor++
	b.disk(d, 8, b.minor, "add", nil)
}

// Change announces that a disk has changed, with new content.
func (b *Boot) Change(d Disk) { b.ChangeWith(d, nil) }

// ChangeWith is Change with more properties in the kernel's message.
func (b *Boot) ChangeWith(d Disk, props map[string]string) {
	e := b.World().Devices.ByName("/dev/" + d.Name)
	if e == nil {
		b.t.Fatalf("no device %s", d.Name)
	}
	major, minor, _ := e.Devnum()
	b.disk(d, int(major), int(minor), "change", props)
	b.run()
}

// Pass lets time pass; deadlines on the way are met one by one.
func (b *Boot) Pass(d time.Duration) {
	end := b.now + d
	for {
		at, ok := b.Core.NextDeadline()
		if !ok || at > end {
			break
		}
		b.now = max(b.now, at)
		b.Core.Advance(b.now)
		b.run()
	}
	b.now = end
	b.Core.Advance(b.now)
	b.run()
}

// Run lets the boot do what it can without time passing.
func (b *Boot) Run() { b.run() }

// maxRounds bounds how much one input may set off.
const maxRounds = 10000

func (b *Boot) run() {
	for range maxRounds {
		b.Core.Run()
		for _, m := range b.Core.Messages() {
			b.said = append(b.said, m.Text)
		}
		b.journal.Write(b.Core.Journal())
		ops := b.Core.Operations()
		if len(ops) == 0 {
			if len(b.Machine.events) == 0 {
				return
			}
			events := b.Machine.events
			b.Machine.events = nil
			for _, e := range events {
				e()
			}
			continue
		}
		for _, op := range ops {
			b.did = append(b.did, op.What)
			v, err := b.carryOut(op)
			b.Core.Finish(op.ID, v, err)
		}
	}
	b.t.Fatal("the boot does not come to rest")
}

// carryOut runs one operation. As in PID 1 a panic in it is its failure.
func (b *Boot) carryOut(op ueventd.Operation) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return op.Run(b.Machine)
}

// Did returns the operations that were asked for and begin with prefix.
func (b *Boot) Did(prefix string) []string {
	return slices.DeleteFunc(slices.Clone(b.did), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}

// Said returns whether something was said that contains text.
func (b *Boot) Said(text string) bool {
	return slices.ContainsFunc(b.said, func(s string) bool { return strings.Contains(s, text) })
}

// Fact returns the fact whose subject begins with prefix, or one without a
// subject.
func (b *Boot) Fact(prefix string) goal.Fact {
	for _, f := range b.World().Facts() {
		if strings.HasPrefix(f.Subject, prefix) {
			return f
		}
	}
	return goal.Fact{}
}

// Dump writes everything that happened to the test's log.
func (b *Boot) Dump() {
	b.t.Logf("operations:\n  %s\nsaid:\n  %s\nfacts: %+v\njournal:\n%s", strings.Join(b.did, "\n  "),
		strings.Join(b.said, "\n  "), b.World().Facts(), b.journal.String())
}
