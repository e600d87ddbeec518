package rules

import (
	"errors"
	"strconv"

	"firstlight/internal/device"
)

// Event is what happened to the device.
type Event struct {
	// Action is the kernel's word: add, remove, change, move, online,
	// offline, bind or unbind.
	Action string
}

// ErrStop may be returned, wrapped or not, by any method of an Env: the
// evaluation ends there and Evaluate returns it. It is for a device that is
// gone and for shutting down; every other error only makes the key fail that
// asked.
var ErrStop = errors.New("evaluation stopped")

// Env is everything outside the device that rules may ask for or act on. Its
// methods may block. An error from a condition means that the condition does
// not hold, as udev has it; it is noted in the Outcome.
type Env interface {
	// Builtin runs IMPORT{builtin}: args[0] is its name. It sets properties
	// on dev. An error means that it failed or found nothing.
	Builtin(dev *device.Device, args []string) error
	// Program runs PROGRAM and IMPORT{program} and returns what it wrote to
	// its standard output. An error means that it could not be run or did
	// not exit with 0.
	Program(dev *device.Device, args []string) (output string, err error)
	// ReadFile reads the file of IMPORT{file}, by its absolute path.
	ReadFile(path string) (string, error)
	// Stored returns a property that the device had in the database before
	// this event: IMPORT{db}.
	Stored(dev *device.Device, key string) (value string, ok bool)
	// Cmdline returns the value of a key of the kernel command line, "" for
	// one without a value: IMPORT{cmdline}.
	Cmdline(key string) (value string, ok bool)
	// Const returns "arch", "virt" or "cvm" as systemd names them.
	Const(name string) string
	// Sysctl reads a kernel parameter by its path below /proc/sys, with
	// slashes. fs.ErrNotExist for one that is not there.
	Sysctl(path string) (string, error)
	// SetSysctl writes a kernel parameter.
	SetSysctl(path, value string) error
	// SetAttr writes an attribute, by its absolute path in sysfs without
	// "/sys".
	SetAttr(path, value string) error
	// Mode returns the permission bits of the file at an absolute path (of
	// the machine, so with "/sys"), following links. fs.ErrNotExist for one
	// that is not there.
	Mode(path string) (uint32, error)
	// List returns the names in a directory outside sysfs, sorted: TEST
	// with "/*/".
	List(path string) ([]string, error)
	// User and Group resolve a name that was not known when the rules were
	// compiled.
	User(name string) (uid uint32, ok bool)
	Group(name string) (gid uint32, ok bool)
}

// Where is a place in the rules.
type Where struct {
	File string
	Line uint32 // counted from 1
}

// String gives the place as "file:line".
func (w Where) String() string {
	if w.File == "" {
		return ""
	}
	return w.File + ":" + strconv.FormatUint(uint64(w.Line), 10)
}

// What a Decision is about.
const (
	DidName     = "NAME"
	DidSymlink  = "SYMLINK"
	DidOwner    = "OWNER"
	DidGroup    = "GROUP"
	DidMode     = "MODE"
	DidSeclabel = "SECLABEL"
	DidEnv      = "ENV"
	DidTag      = "TAG"
	DidAttr     = "ATTR"
	DidSysctl   = "SYSCTL"
	DidRun      = "RUN"
	DidOption   = "OPTIONS"
	DidImport   = "IMPORT"
	DidProgram  = "PROGRAM"
)

// Decision is one thing that a rule wanted.
type Decision struct {
	From  Where
	What  string // DidName …
	Key   string // what stands in {}: the property, the attribute, the import's type
	Value string // the value after substitution; of an import what was imported
	Op    string // "=", "+=", "-=", ":="; for imports and programs "ok" or "failed"
	Err   error  // why it failed, or had no effect
}

// Command is an entry of the RUN list.
type Command struct {
	Builtin bool
	Args    []string // split as a shell would split words, quotes resolved; never empty
	From    Where
}

// Value is a number that a rule may have set.
type Value struct {
	N    uint32
	Set  bool
	From Where
}

// Label is a security label.
type Label struct {
	Module string // "selinux", "smack" …
	Label  string
	From   Where
}

// Outcome is what the rules decided beyond the device's own properties, links
// and tags.
type Outcome struct {
	// Name is the new name of a network interface, or "".
	Name string
	// UID, GID and Mode of the node; Mode holds permission bits.
	UID, GID, Mode Value
	// Labels are the security labels, in order, one for each module.
	Labels []Label
	// Run is what has to be run after all rules, in this order.
	Run []Command
	// LinkPriority is already that of the device's links. Higher wins.
	LinkPriority int
	// DBPersist: the device's entry in the database survives the change to
	// the real system.
	DBPersist bool
	// Watch: after the node was open for writing and is closed, the device
	// has to be looked at again. Watch.N is 1 or 0.
	Watch Value
	// LogLevel is a syslog level for this device, -1 for the default;
	// Set says whether a rule chose one.
	LogLevel    int
	LogLevelSet bool
	// Dump asks that the state of the device is logged.
	Dump bool
	// Decisions are what rules wanted to do and could not, in order.
	Decisions []Decision
}
