package check

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/devmapper"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/snapshot"
	"firstlight/internal/uevent"
)

// world is the machine of a snapshot, started with an image: what the core
// asks for is answered from the two. Everything happens in one goroutine.
type world struct {
	*modules
	im   *Image
	snap *snapshot.Snapshot
	live *snapshot.Tree // the sysfs that there is so far
	core *boot.Core
	cfg  Config

	devices *devices
	disks   map[string]*disk // by node
	arrays  map[string]*array
	mapped  []*mapping
	bcache  []*cached
	zpool   string          // the pool that was imported
	zopen   map[string]bool // encryption roots whose keys were loaded
	mounted []*mounted      // in order
	scanned map[string]bool
	links   map[string]string
	written map[string][]byte // files below /run
	copied  map[string]string // what lies where as the copy of a file, by its path
	events  []*uevent.Message // to be delivered
	typed   map[string]bool   // UUIDs of LUKS devices whose passphrase was asked for
	slow    time.Duration     // how long the operation under way takes
	// typedSoFar is how many of Config.Passphrases were typed.
	typedSoFar int

	headers map[string][]*luksfmt.Header // by UUID, as the handlers have them
	locked  map[string]string            // UUIDs by the node of the encrypted data

	now     time.Duration
	queue   []step
	said    []string // loudly
	journal []byte

	started *machine.SwitchRoot
	stopped machine.Power

	conditions []string // what has to be true besides
	unknown    []string // what the snapshot cannot tell; counts if the boot fails
	unsure     []string // what may make a boot fail that succeeds here
	asked      []string // who was asked for what
	checked    []string // devices that a checker was run on
	unseen     []snapshot.File
}

var _ machine.Machine = (*world)(nil)

// typedSecret stands for the passphrase that a person types and that is right.
const typedSecret = "\x00typed"

// addOnce appends a text that is not there yet.
func addOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// uevent sends one, once the operation under way has ended.
func (w *world) uevent(action, devpath string, more ...string) {
	m := uevent.Read(w.live, devpath)
	if m == nil {
		m = &uevent.Message{Devpath: devpath, Props: map[string]string{"DEVPATH": devpath}}
	}
	m.Action = action
	m.Props["ACTION"] = action
	for i := 0; i+1 < len(more); i += 2 {
		m.Props[more[i]] = more[i+1]
	}
	w.events = append(w.events, m)
}

// Coldplug implements machine.Devices.
func (w *world) Coldplug() ([]*uevent.Message, error) {
	var found []*uevent.Message
	uevent.Walk(w.live, func(m *uevent.Message) { found = append(found, m) })
	return found, nil
}

// LoadAlias implements machine.Modules.
func (w *world) LoadAlias(alias string) (int, error) {
	n, err := w.modules.loadAlias(alias)
	w.devices.settle()
	return n, err
}

// Load implements machine.Modules. It hides the method of load.Kernel, which
// the loader alone calls.
func (w *world) Load(names ...string) error {
	err := w.modules.loadNames(w.hasFilesystem, names...)
	if err == nil {
		w.brought(names)
	}
	w.devices.settle()
	return err
}

// hasFilesystem says whether the kernel has a filesystem built in.
func (w *world) hasFilesystem(fstype string) bool {
	if w.release == w.snap.Kernel && slices.Contains(w.snap.Filesystems, fstype) {
		return true
	}
	return slices.ContainsFunc(w.im.index.Match("fs-"+fstype), func(id kmod.ModuleID) bool { return w.im.index.Builtin(id) })
}

// ReadFile implements machine.Files.
func (w *world) ReadFile(p string, max int64) ([]byte, error) {
	if b, ok := w.written[p]; ok {
		return slices.Clone(b), nil
	}
	if strings.HasPrefix(p, "/proc/") || strings.HasPrefix(p, "/sys/") {
		return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
	}
	b, err := w.im.content(p)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("%s is larger than %d bytes", p, max)
	}
	return slices.Clone(b), nil
}

// WriteFile implements machine.Files.
func (w *world) WriteFile(p string, data []byte, _ fs.FileMode) error {
	w.written[p] = slices.Clone(data)
	return nil
}

// Link implements machine.Files.
func (w *world) Link(target, p string) error {
	w.links[p] = target
	w.make(p, snapshot.Entry{Mode: cpio.TypeSymlink | 0o777, Link: target})
	return nil
}

// Unlink implements machine.Files.
func (w *world) Unlink(p string) error {
	delete(w.links, p)
	return nil
}

// SetNode implements machine.Files.
func (w *world) SetNode(string, *int, *int, *fs.FileMode) error { return nil }

// Mkdir implements machine.Files.
func (w *world) Mkdir(p string, _ fs.FileMode) error {
	w.make(p, snapshot.Entry{Mode: cpio.TypeDir | 0o755})
	return nil
}

// WriteSysfs implements machine.Files.
func (w *world) WriteSysfs(p, value string) error {
	if taken, err := w.writeMD(p, value); taken {
		return err
	}
	if taken, err := w.writeBcache(p, value); taken {
		return err
	}
	return w.live.Write(p, value)
}

// WaitSysfs implements machine.Files: what the kernel does by itself is done.
func (w *world) WaitSysfs(p, value string) error {
	if w.live.Exists(p) {
		return w.live.Write(p, value)
	}
	return nil
}

// Start implements machine.Programs: what a program says that stays is not known.
func (w *world) Start(_ string, p machine.Program) error {
	if !w.im.executable(p.Path) {
		return fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	w.unknown = addOnce(w.unknown, "what the network gives: the boot runs "+p.Path+", and a snapshot has neither servers nor leases")
	return nil
}

// Listen implements machine.Programs.
func (w *world) Listen(string) (machine.Said, error) { return machine.Said{Ended: true}, nil }

// End implements machine.Programs.
func (*world) End(string) error { return nil }

// Ask implements machine.Console.
func (w *world) Ask(p machine.Prompt) ([]byte, error) {
	w.slow = 5 * time.Second
	if w.cfg.Unattended {
		w.asked = addOnce(w.asked, p.Text)
		return nil, machine.ErrNoConsole
	}
	ofZFS := strings.HasPrefix(p.ID, "zfs ")
	if !strings.HasPrefix(p.ID, "luks ") && !ofZFS {
		w.unknown = addOnce(w.unknown, "a person would be asked: "+p.Text)
		return nil, machine.ErrNoConsole
	}
	w.asked = addOnce(w.asked, p.Text)
	if given := w.cfg.Passphrases; given != nil {
		if w.typedSoFar == len(given) {
			return nil, machine.ErrCancelled
		}
		w.typedSoFar++
		return []byte(given[w.typedSoFar-1]), nil
	}
	w.conditions = addOnce(w.conditions, "a person types the passphrase that is asked for: "+p.Text)
	if uuid := w.named(p.ID + " " + p.Text); uuid != "" && !ofZFS {
		w.typed[uuid] = true
		w.assume(uuid)
	}
	return []byte(typedSecret), nil
}

// Dismiss implements machine.Console: nobody is asked for longer than it takes.
func (w *world) Dismiss(string) {}

var (
	errNobody  = errors.New("nobody is there")
	errNoShell = errors.New("this image has no shell")
)

// Shell implements machine.Console: rd.break= opens one, and who is there
// leaves it. Without anybody the boot stays at it.
func (w *world) Shell() error {
	if !slices.ContainsFunc([]string{"/bin/bash", "/bin/sh", "/bin/busybox"}, w.im.executable) {
		return errNoShell
	}
	if w.cfg.Unattended {
		w.unsure = addOnce(w.unsure, "the boot stops at a shell, as rd.break= asks, until a person leaves it")
	}
	return nil
}

// OfferShell is the offer of a shell, which nobody takes.
func (w *world) OfferShell() error { return errNobody }

// Resume implements machine.System: the machine is up, so that there is no
// image that a kernel would take.
func (w *world) Resume(uint32, uint32, uint64) error {
	return machine.ErrNoImage
}

// SwitchRoot implements machine.System.
func (w *world) SwitchRoot(s machine.SwitchRoot) error {
	w.started = &s
	return nil
}

// Stop implements machine.System.
func (w *world) Stop(how machine.Power) error {
	w.stopped = how
	return nil
}

// WithKey implements machine.System.
func (w *world) WithKey(_ string, _ []byte, f func() error) error { return f() }

// Memory implements machine.System: what a machine that has just started has
// free.
func (w *world) Memory() (uint64, error) {
	if w.snap.Memory == 0 {
		return 0, errors.New("the machine's memory is not known")
	}
	return w.snap.Memory / 10 * 9, nil
}

// Now implements machine.System. Nothing takes time here.
func (w *world) Now() time.Duration { return 0 }

// FreeMemory implements machine.System.
func (w *world) FreeMemory() {}

// Ciphers implements machine.System. The keyslots of a device whose passphrase
// is assumed to be right are opened by what stands for it; see assume.
func (w *world) Ciphers() luks.Ciphers { return assumed{w} }

// Mapper implements machine.Machine.
func (w *world) Mapper() (devmapper.Mapper, error) {
	if err := w.Load("dm-mod"); err != nil {
		return nil, err
	}
	return mapper{w: w}, nil
}
