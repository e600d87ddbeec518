// Package md starts and stops MD arrays through the kernel's sysfs.
//
// Plan turns the judgement of mdsuper.Collect into a list of steps; Execute
// carries them out through the World interface and undoes a start that
// failed. Everything is written to attributes of md(4) as the kernel's
// Documentation/admin-guide/md.rst describes them: no device node and no
// ioctl is needed, and the simulator models writes only.
//
// An array is always started as "read-auto": the kernel then writes nothing
// to its members, not even a superblock, before the first write to the array
// itself or ReadWrite. So a hibernated system can still be resumed from it.
// RAID0 and linear arrays, which have nothing to repair, are shown as "clean"
// at once; the kernel writes nothing to them on its own either.
//
// The package keeps no state and reads no superblocks.
package md

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
)

// World is what Execute needs of the machine (see package machine).
type World interface {
	// WriteSysfs writes to an attribute; path is relative to /sys.
	WriteSysfs(path, value string) error
	// Load loads kernel modules by name or alias.
	Load(names ...string) error
}

// Op is a kind of step.
type Op string

// The steps, in the order in which Plan uses them.
const (
	LoadModules Op = "load modules"
	CreateArray Op = "create array"
	SetVersion  Op = "set metadata version"
	AddMember   Op = "add member"
	AllowDirty  Op = "allow dirty degraded start"
	StartArray  Op = "start"
	ForbidDirty Op = "forbid dirty degraded start"
)

// Step is one thing to do.
type Step struct {
	Op Op
	// Path and Value are the attribute, relative to /sys, and what is written
	// to it.
	Path, Value string
	// Modules are the names to be loaded by LoadModules.
	Modules []string
	// Device is the member that AddMember adds, as the caller calls it.
	Device string
	// Optional steps may fail: the array starts without them.
	Optional bool
}

// String is the step in words, for the journal.
func (s Step) String() string {
	switch s.Op {
	case LoadModules:
		return string(s.Op) + " " + strings.Join(s.Modules, ", ")
	case AddMember:
		return string(s.Op) + " " + s.Device + " (" + s.Value + ")"
	}
	return string(s.Op) + ": " + s.Value + " > /sys" + s.Path
}

// Options say what kind of start is allowed.
type Options struct {
	// Degraded allows a start with members missing.
	Degraded bool
	// StartDirtyDegraded is mdsuper.Options' of the same name; it must have
	// been given to Collect too.
	StartDirtyDegraded bool
	// ReadOnly starts the array so that nothing can be written to it, neither
	// through it nor by the kernel itself.
	ReadOnly bool
}

// Errors of Plan, wrapped with the array's own reasons.
var (
	ErrRefused    = errors.New("array is refused")
	ErrIncomplete = errors.New("array has too few members")
	ErrDegraded   = errors.New("array is degraded")
)

// Plan returns the steps that start an array under a kernel name ("md127",
// "md_root"). devnum gives the "major:minor" of a member's device.
func Plan(a *mdsuper.Array, kernel string, devnum func(device string) (string, error), o Options) ([]Step, error) {
	if err := checkName(kernel); err != nil {
		return nil, err
	}
	fail := func(err error) ([]Step, error) {
		if text, _ := a.Refusal(); text != "" {
			return nil, fmt.Errorf("md: %s: %w: %s", kernel, err, text)
		}
		return nil, fmt.Errorf("md: %s: %w", kernel, err)
	}
	switch {
	case a.State == mdsuper.Refused:
		return fail(ErrRefused)
	case a.State == mdsuper.Incomplete:
		return fail(ErrIncomplete)
	case a.State == mdsuper.Degraded && !o.Degraded:
		return nil, fmt.Errorf("md: %s: %w: slots %v are missing", kernel, ErrDegraded, numbers(a.Missing()))
	}
	dir := "/block/" + kernel + "/md"
	steps := []Step{
		{Op: LoadModules, Modules: []string{"md_mod", a.Super.Level.Module()}},
		{Op: CreateArray, Path: "/module/md_mod/parameters/new_array", Value: kernel},
		{Op: SetVersion, Path: dir + "/metadata_version", Value: a.Super.Version.String()},
	}
	active := map[string]bool{}
	for i := range a.Slots {
		if m := a.Slots[i].Active; m != nil {
			active[m.Device] = true
		}
	}
	for _, m := range a.Members() {
		num, err := devnum(m.Device)
		if err != nil {
			return nil, fmt.Errorf("md: %s: member %s: %w", kernel, m.Device, err)
		}
		needed := active[m.Device] || m.Super.Role == mdsuper.Journal
		steps = append(steps, Step{Op: AddMember, Path: dir + "/new_dev", Value: num, Device: m.Device, Optional: !needed})
	}
	const dirty = "/module/md_mod/parameters/start_dirty_degraded"
	allow := o.StartDirtyDegraded && a.State == mdsuper.Degraded && !a.Super.Clean
	if allow {
		steps = append(steps, Step{Op: AllowDirty, Path: dirty, Value: "1"})
	}
	state := "read-auto"
	if o.ReadOnly || a.ReadOnly {
		state = "readonly"
	}
	steps = append(steps, Step{Op: StartArray, Path: dir + "/array_state", Value: state})
	if allow {
		steps = append(steps, Step{Op: ForbidDirty, Path: dirty, Value: "0"})
	}
	return steps, nil
}

// numbers writes a list as "[0 2]".
func numbers(list []int) string {
	b := []byte{'['}
	for i, n := range list {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(append(b, ']'))
}

// Execute carries out the steps of Plan. Failures of optional steps are
// returned as notes. After another failure the array is taken apart again, so
// that the members are free for the next try; the error then names the step.
func Execute(w World, steps []Step) (notes []error, err error) {
	created, allowed := "", ""
	defer func() {
		if allowed != "" {
			err = errors.Join(err, w.WriteSysfs(allowed, "0"))
		}
	}()
	for _, s := range steps {
		var e error
		if s.Op == LoadModules {
			e = w.Load(s.Modules...)
		} else {
			e = w.WriteSysfs(s.Path, s.Value)
		}
		switch {
		case e == nil:
		case s.Optional:
			notes = append(notes, fmt.Errorf("md: %v: %w", s, e))
			continue
		default:
			err = fmt.Errorf("md: %v: %w", s, e)
			if created != "" {
				err = errors.Join(err, Stop(w, created))
			}
			return notes, err
		}
		switch s.Op {
		case CreateArray:
			created = s.Value
		case AllowDirty:
			allowed = s.Path
		case ForbidDirty:
			allowed = ""
		}
	}
	return notes, nil
}

// ReadWrite ends an array's read-auto state: what was waiting (resync,
// rebuild) starts.
func ReadWrite(w World, kernel string) error {
	return setState(w, kernel, "active")
}

// Stop stops an array, whether it runs or is only put together, and frees its
// members. It fails with EBUSY while something uses the array.
func Stop(w World, kernel string) error { return setState(w, kernel, "clear") }

func setState(w World, kernel, state string) error {
	if err := checkName(kernel); err != nil {
		return err
	}
	if err := w.WriteSysfs("/block/"+kernel+"/md/array_state", state); err != nil {
		return fmt.Errorf("md: %s: %w", kernel, err)
	}
	return nil
}

// checkName keeps a name from leading out of its directory.
func checkName(kernel string) error {
	if !strings.HasPrefix(kernel, "md") || len(kernel) < 3 || len(kernel) > 31 || strings.ContainsAny(kernel, "/!") {
		return fmt.Errorf("md: %q is not a name of an MD device", kernel)
	}
	return nil
}

// State is what sysfs says of an array.
type State struct {
	// Array is array_state: "clear", "inactive", "readonly", "read-auto",
	// "clean", "active", "write-pending", "active-idle", "broken" ….
	Array string
	Level string // "raid1" …
	// RaidDisks is how many slots there are, Degraded how many lack a member.
	RaidDisks, Degraded int
	// SyncAction is "idle", "resync", "recover" …, or "" where the level has
	// no redundancy.
	SyncAction string
}

// Running says whether the array's device can be read.
func (s State) Running() bool {
	switch s.Array {
	case "", "clear", "inactive":
		return false
	}
	return true
}

// ReadState reads the state of an array by its kernel name.
func ReadState(fs sysfs.FS, kernel string) (State, error) {
	dir := "/block/" + kernel + "/md/"
	var s State
	var err error
	if s.Array, err = fs.Read(dir + "array_state"); err != nil {
		return State{}, fmt.Errorf("md: %s: %w", kernel, err)
	}
	// The others are missing where they make no sense.
	s.Level, _ = fs.Read(dir + "level")
	s.SyncAction, _ = fs.Read(dir + "sync_action")
	disks, _ := fs.Read(dir + "raid_disks")
	s.RaidDisks = number(disks)
	degraded, _ := fs.Read(dir + "degraded")
	s.Degraded = number(degraded)
	return s, nil
}

// number reads the leading digits: raid_disks is "4 (3)" in a reshape.
func number(s string) int {
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9' && n < 1<<24; i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// Exists says whether the kernel has a device of that name; it serves as
// mdsuper.Taken.Kernel.
func Exists(fs sysfs.FS) func(kernel string) bool {
	return func(kernel string) bool { return fs.Exists("/block/" + kernel) }
}
