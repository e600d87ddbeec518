package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of faults. Target is what a fault concerns: of disks their label,
// of operations and paths how they begin. At is when, For how long, Times how
// often (0 for always).
const (
	// The kernel's events.
	EventsDelayed    FaultKind = "events delayed"    // each by up to For, their order is kept
	EventsShuffled   FaultKind = "events shuffled"   // each by up to For; only those of one device stay in order
	EventsDuplicated FaultKind = "events duplicated" // one in Times comes twice
	EventsLost       FaultKind = "events lost"       // from At, for For; then the kernel says so (ENOBUFS)

	// Disks.
	DiskAbsent   FaultKind = "disk absent"   // never appears
	DiskLate     FaultKind = "disk late"     // appears at At
	DiskVanishes FaultKind = "disk vanishes" // at At, and comes back after For; 0 is never
	DiskCopied   FaultKind = "disk copied"   // a copy of it appears at At
	DiskStale    FaultKind = "disk stale"    // was away when its array or group was last changed
	DiskSplit    FaultKind = "disk split"    // it and the other members of its array were used without each other
	OpenFails    FaultKind = "open fails"
	ReadFails    FaultKind = "reads fail"
	ImageRefused FaultKind = "image refused" // the kernel does not take the hibernation image

	// Drivers.
	DriverMissing FaultKind = "driver missing" // Target is its name or an alias
	DriverSlow    FaultKind = "driver slow"    // takes For longer to find what is behind the device Target

	// What the boot itself does.
	OperationFails  FaultKind = "operation fails"
	OperationPanics FaultKind = "operation panics"
	OperationSlow   FaultKind = "operation slow" // takes For longer
	HandlerPanics   FaultKind = "handler panics" // when it reads an attribute whose path has Target in it

	// People, programs and clocks.
	PersonWrong   FaultKind = "person mistypes" // Times times
	PersonSlow    FaultKind = "person slow"     // takes For longer
	PersonGone    FaultKind = "person gone"     // never types
	HelperHangs   FaultKind = "helper hangs"    // Target is its path
	HelperCrashes FaultKind = "helper crashes"  //
	ClockJumps    FaultKind = "clock jumps"     // at At, forward by For
)

// Fault is one thing that goes wrong. It is data: a list of faults can be
// printed, and shortened one by one.
type Fault struct {
	Kind   FaultKind
	Target string
	At     time.Duration
	For    time.Duration
	Times  int
	Errno  unix.Errno // of what fails; 0 is EIO
}

func (f Fault) String() string {
	s := string(f.Kind)
	if f.Target != "" {
		s += fmt.Sprintf(" %q", f.Target)
	}
	if f.At != 0 {
		s += " at " + f.At.String()
	}
	if f.For != 0 {
		s += " for " + f.For.String()
	}
	if f.Times != 0 {
		s += fmt.Sprintf(" ×%d", f.Times)
	}
	if f.Errno != 0 {
		s += " (" + f.Errno.Error() + ")"
	}
	return s
}

func (f *Fault) err() error {
	if f.Errno == 0 {
		return unix.EIO
	}
	return f.Errno
}

// fault says whether something goes wrong now, and uses the fault up by one.
func (m *Machine) fault(kind FaultKind, what string) *Fault {
	for i := range m.Faults {
		f := &m.Faults[i]
		if f.Kind != kind || !f.concerns(what) || !m.ripe(i) {
			continue
		}
		m.spent[i]++
		return f
	}
	return nil
}

// concerns says whether a fault's target is meant.
func (f *Fault) concerns(what string) bool {
	switch f.Kind {
	case HandlerPanics:
		return strings.Contains(what, f.Target)
	case DriverMissing:
		return plain(what) == plain(f.Target)
	}
	return strings.HasPrefix(what, f.Target)
}

// ripe says whether it is the time of a fault and it is not used up.
func (m *Machine) ripe(i int) bool {
	f := &m.Faults[i]
	if m.spent == nil {
		m.spent = make([]int, len(m.Faults))
	}
	if m.now < f.At {
		return false
	}
	return f.Times == 0 || f.Kind == PersonWrong || f.Kind == EventsDuplicated || m.spent[i] < f.Times
}

// faultOn is fault for a disk: by its label, and by that of the disk that it
// is a partition of.
func (m *Machine) faultOn(kind FaultKind, d *Disk) *Fault {
	for i := range m.Faults {
		f := &m.Faults[i]
		if f.Kind != kind || f.Target != d.label() && (d.above == nil || f.Target != d.above.label()) || !m.ripe(i) {
			continue
		}
		m.spent[i]++
		return f
	}
	return nil
}

// readFails says whether a device, or one that it is made of, cannot be read
// now.
func (m *Machine) readFails(d *Disk) bool {
	if len(m.Faults) == 0 {
		return false
	}
	if m.faultOn(ReadFails, d) != nil {
		return true
	}
	for i := range d.views {
		v := &d.views[i]
		if v.base != nil && v.base != d.above && m.readFails(v.base) {
			return true
		}
		if len(v.copies) > 0 && !slices.ContainsFunc(v.copies, func(c view) bool { return !m.readFails(c.base) }) {
			return true
		}
		for _, s := range v.stripes {
			if m.readFails(s.base) {
				return true
			}
		}
	}
	return false
}

func (m *Machine) slowness(device string) time.Duration {
	if f := m.fault(DriverSlow, device); f != nil {
		return f.For
	}
	return 0
}

// disturb prepares the machine for its faults, before the boot begins.
func (m *Machine) disturb() error {
	for i := range m.Faults {
		f := &m.Faults[i]
		switch f.Kind {
		case DiskAbsent, DiskLate, DiskVanishes, DiskCopied, DiskStale, DiskSplit:
			d := m.labelled(f.Target)
			if d == nil {
				return fmt.Errorf("sim: fault %v: no disk has that label", f)
			}
			m.disturbDisk(f, d)
		case EventsLost:
			m.At(f.At+f.For, m.overflow)
		case ClockJumps:
			m.At(f.At, func() {
				m.now += f.For
				m.Core.Advance(m.now)
			})
		case HandlerPanics:
			m.sys.watch = func(p string) {
				if m.running && m.fault(HandlerPanics, p) != nil {
					panic("injected: " + p)
				}
			}
		}
	}
	return nil
}

func (m *Machine) disturbDisk(f *Fault, d *Disk) {
	switch f.Kind {
	case DiskAbsent:
		m.takeAway(d)
	case DiskLate:
		m.takeAway(d)
		m.At(f.At, func() { m.giveBack(d) })
	case DiskVanishes:
		m.At(f.At, func() { m.takeAway(d) })
		if f.For > 0 {
			m.At(f.At+f.For, func() { m.giveBack(d) })
		}
	case DiskCopied:
		c := d.clone(map[*Disk]*Disk{})
		c.Name, c.Label, c.Bus = "", "copy of "+d.label(), nil
		if f.At == 0 {
			m.Plug(c)
			return
		}
		m.At(f.At, func() { m.Plug(c) })
	case DiskStale:
		d.makeStale()
	case DiskSplit:
		d.split()
	}
}

func (m *Machine) takeAway(d *Disk) {
	m.away[d] = true
	m.Unplug(d)
}

func (m *Machine) giveBack(d *Disk) {
	delete(m.away, d)
	if !d.there && (d.Bus == nil || d.Bus.there && d.Bus.driven) {
		m.Plug(d)
	}
}

func (m *Machine) labelled(label string) *Disk {
	for _, d := range m.given {
		if d.label() == label {
			return d
		}
	}
	return nil
}

// clone copies what is on a disk, with everything inside.
func (d *Disk) clone(done map[*Disk]*Disk) *Disk {
	if d == nil {
		return nil
	}
	if c := done[d]; c != nil {
		return c
	}
	c := &Disk{Name: d.Name, Label: d.Label, Content: d.Content, Size: d.Size, Files: d.Files, FSType: d.FSType, ReadOnly: d.ReadOnly,
		Attrs: d.Attrs, Bus: d.Bus, info: d.info}
	done[d] = c
	c.Inside = d.Inside.clone(done)
	if d.Pool != nil {
		p := *d.Pool
		p.Filesystem = d.Pool.Filesystem.clone(done)
		c.Pool = &p
	}
	c.Holds = make([]Extent, len(d.Holds))
	for i, e := range d.Holds {
		e.Disk = e.Disk.clone(done)
		c.Holds[i] = e
	}
	return c
}
