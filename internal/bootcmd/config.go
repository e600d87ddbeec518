// Package bootcmd turns the kernel command line, in the dialects of dracut,
// systemd, initramfs-tools, mkinitcpio, make-initrd and booster, into one
// typed configuration.
//
// It is pure: the texts come in, a Config and a list of Problems come out.
// It never opens a file and never decides what to do about a Problem; a bad
// value is reported and then has no effect.
package bootcmd

import (
	"time"

	"firstlight/internal/devspec"
)

// Config is everything that the command line asks for. Parse fills in every
// default, so that a reader never asks whether a value was given, except
// where a "Set" says that the real system's files come in between.
type Config struct {
	Root    Root
	Usr     Usr
	Overlay Overlay
	Loop    Loop
	Resume  Resume
	Luks    Luks
	Verity  Verity
	LVM     LVM
	MD      MD
	// BtrfsDegraded is what becomes of a btrfs on several devices that lacks one.
	BtrfsDegraded Degraded
	Modules       Modules
	Fsck          Fsck
	Wait          Wait
	Log           Log
	Failure       Failure

	// Init is the real init that init= asks for, "" if not given. The last
	// one wins.
	Init string
	// InitArgs is what follows "--" in the files of the image, with the
	// kernel's quotes taken off. What follows it on the kernel's own command
	// line (and bare words that the kernel does not know) the kernel hands to
	// /init as its arguments.
	InitArgs []string

	// Break lists the stages at which the boot stops for a shell, in the
	// order of the stages, each once.
	Break []Stage

	// Consoles are the console= devices in order; the last one is
	// /dev/console.
	Consoles []Console
	// CTTY is rd.ctty=, the terminal of the emergency shell without
	// "/dev/", or "".
	CTTY string

	// UseFstab is false with rd.fstab=0: the real root's fstab says nothing
	// about the mount options of / and /usr.
	UseFstab bool
	// RootOnly asks that only the root is mounted and required, not /usr.
	RootOnly bool
	// HostOnly is false with rd.hostonly=0: what the image knows of the host
	// it was built on (crypttab, array and host names) is not used.
	HostOnly bool
	// Auto is rd.auto: assemble and unlock whatever is found, needed or not.
	Auto bool

	// Systemd are all systemd.* and rd.systemd.* parameters, in order.
	Systemd []Param
	// Unsupported are parameters that ask for something that Firstlight
	// cannot do yet (network, live images …), in order.
	Unsupported []Param

	// Params is every parameter of every source in order, as written.
	Params []Param
}

// Source is one text with parameters. A line that begins with '#' is a
// comment, except in /proc/cmdline.
type Source struct {
	Name string // for messages: "/proc/cmdline"
	Text string
}

// Param is one parameter.
type Param struct {
	Name     string // as written, without quotes
	Value    string
	HasValue bool   // an "=" follows the name
	Source   string // name of the Source
}

// Root is the root filesystem.
type Root struct {
	// Device is root=. It may be zero (not given) or of kind devspec.Other.
	Device devspec.Spec
	// FSTypes are the types of rootfstype=, in the order in which to try
	// them; nil means that the content says it.
	FSTypes []string
	// Flags is rootflags=, mount options as in fstab. The real system applies
	// those of its fstab itself, when it remounts the root.
	Flags string
	// ReadOnly is the last one of ro and rw, true by default. ReadOnlySet
	// says that one of them was given.
	ReadOnly, ReadOnlySet bool
}

// Usr is a /usr named on the command line. Device is zero if none is; then
// the real root's fstab says whether there is one.
type Usr struct {
	Device  devspec.Spec
	FSTypes []string // mount.usrfstype=, else those of the root
	Flags   string   // mount.usrflags=, else those of the root
}

// OverlayKind is what is laid over the root.
type OverlayKind uint8

// The kinds of overlays. They differ in where the root below and the changes
// are to be found in the real system.
const (
	OverlayNone    OverlayKind = iota
	OverlayRun                 // rd.overlay: dracut's places below /run
	OverlayMedia               // overlayroot=: /media/root-ro and /media/root-rw
	OverlaySystemd             // systemd.volatile=overlay
	OverlayLive                // boot=live: /run/live/rootfs/filesystem.squashfs and /run/live/overlay
	OverlayUsr                 // systemd.volatile=yes: an empty root, with the /usr of the real one
)

// Overlay is what is laid over the root so that it is not written to.
type Overlay struct {
	Kind OverlayKind
	By   string // the parameter that asks for it
	// Device is where the changes are kept, the zero Spec for memory, and Dir
	// the directory there, "" for the usual one.
	Device devspec.Spec
	Dir    string
	// Tmpfs are the options of a tmpfs of its own for the changes.
	Tmpfs string
	// ReadOnly: the changes on Device are seen, and new ones stay in memory.
	ReadOnly bool
	// Timeout is how long Device is waited for; 0 is as long as for the root.
	Timeout time.Duration
	// Recurse and Swap are overlayroot's: cover the other filesystems of the
	// root's fstab too, and leave its swap in use.
	Recurse, Swap bool
	// Cannot is what was asked for and cannot be done, "" for nothing. The
	// root is not used without it: it would be written to.
	Cannot string
}

// Loop is a root that is a file in the filesystem of root=.
type Loop struct {
	File    string   // loop=, an absolute path; "" is none
	FSTypes []string // loopfstype=
	Flags   string   // loopflags=
	Offset  uint64   // loopoffset=, bytes
}

// Resume is the hibernation image. Disabled has precedence over Device,
// wherever they stand.
type Resume struct {
	Device    devspec.Spec
	Offset    uint64 // resume_offset=, in pages from the start of the device
	OffsetSet bool
	Disabled  bool // noresume, hibernate=noresume, resume=none
	// Wait is how long resumeflags= has the device waited for; 0: not given.
	Wait time.Duration
}

// LVM is the logical volume manager.
type LVM struct {
	Enabled bool
	// VGs and LVs, where either is not empty, are all that may be activated.
	VGs []string
	LVs []LogicalVolume
	// Conf is false with rd.lvm.conf=0: what the lvm.conf of the host said when
	// the image was built is not used.
	Conf bool
	// Degraded is what becomes of RAID volumes that lack a disk.
	Degraded Degraded
}

// LogicalVolume names one logical volume.
type LogicalVolume struct{ VG, LV string }

// MD is software RAID. UUIDs, where not empty, are all that may be assembled,
// in mdadm's spelling: "01234567:89abcdef:01234567:89abcdef".
type MD struct {
	Enabled   bool
	UUIDs     []string
	Conf      bool // use an mdadm.conf of the image
	WaitClean bool // wait until the arrays are clean before going on
	IMSM, DDF bool // arrays with the metadata of these firmwares may be assembled
	// NoJournal starts an array whose journal device is missing, read-only.
	NoJournal bool
	Degraded  Degraded
}

// Degraded is what becomes of storage that lacks a member and can do without.
type Degraded struct {
	// Wait is how long a member is waited for after the last one has come;
	// timespan.Forever stands for never doing without.
	Wait time.Duration
	// Mode is how it is started then.
	Mode DegradedMode
}

// DegradedMode is how storage is started that lacks a member.
type DegradedMode uint8

// The modes of rd.md.degraded=, rd.lvm.degraded= and rd.btrfs.degraded=.
const (
	DegradedWritable DegradedMode = iota // rw: as if it were whole
	DegradedReadOnly                     // ro: nothing can be written to it
	DegradedOverlay                      // overlay: the same, and what is written to the root is kept in memory
)

// Modules is what the command line says of kernel modules. Names are spelled
// with '_', as the kernel spells them.
type Modules struct {
	Blacklist []string // never loaded by alias
	Pre       []string // loaded before devices are looked for
	Post      []string // loaded when devices have been looked for
	Load      []string // loaded at any time: rd.modules_load=, modules_load=
	// Params are the parameters of a module in order: "i915" has
	// ["enable_psr=0"]. See Options.
	Params map[string][]string
}

// FsckMode says whether filesystems are checked before they are mounted.
type FsckMode uint8

// The modes of fsck.mode=.
const (
	FsckAuto FsckMode = iota
	FsckForce
	FsckSkip
)

// FsckRepair says what a check may repair.
type FsckRepair uint8

// The values of fsck.repair=.
const (
	RepairPreen FsckRepair = iota // what is safe to repair
	RepairYes                     // everything
	RepairNo                      // nothing
)

// Fsck is the policy of filesystem checks.
type Fsck struct {
	Mode   FsckMode
	Repair FsckRepair
}

// Wait is how long things are waited for. timespan.Forever never ends.
type Wait struct {
	// Deadline of a goal that is said to have none of its own; 90 s.
	// rd.timeout= is stronger than rd.retry=, that than rootwait, and that
	// than rootdelay=, which can only lengthen the default: in its other
	// sense it is a pause, of which Firstlight has none.
	Deadline time.Duration
	// Degraded is the quiet period after the last member's event before
	// storage that may start incomplete does so; 15 s, or two thirds of a
	// Deadline that leaves no time for that.
	Degraded time.Duration
	// Explain is the quiet period after which a root that is not there is
	// explained in full; 10 s.
	Explain time.Duration
	// Progress is the time without progress after which one line says what
	// is waited for; 5 s.
	Progress time.Duration
}

// LogTarget is a place that messages go to.
type LogTarget uint8

// The targets of rd.log=, a set.
const (
	LogConsole LogTarget = 1 << iota
	LogFile
	LogKmsg
)

// Log says how much is said and where.
type Log struct {
	Quiet     bool      // quiet
	Info      bool      // rd.info: say what is done
	Debug     bool      // rd.debug, debug: record everything
	UdevDebug bool      // rd.udev.log_level=debug and older spellings
	Targets   LogTarget // rd.log=; 0: not given
	Journal   string    // rd.firstlight.journal=: a device that gets the journal too
}

// Action is what to do when the boot has failed and no shell is left.
type Action uint8

// The actions of rd.emergency=. ActionDefault: none was asked for.
const (
	ActionDefault Action = iota
	ActionReboot
	ActionPoweroff
	ActionHalt
)

// Failure says what happens when the boot cannot go on.
type Failure struct {
	// Shell is rd.shell=. Where it was not given (ShellSet is false) it is
	// false if panic= was: as Debian has it, panic= is for machines where
	// nobody may get a shell.
	Shell, ShellSet bool
	// Action is rd.emergency=.
	Action Action
	// Panic is panic=, in seconds: above 0 reboot after it, below 0 reboot
	// at once, 0 stay as it is. It counts only with PanicSet.
	Panic    int
	PanicSet bool
	// Save is rd.firstlight.save=: where the reason is kept for the next boot.
	Save Places
}

// Places are where a failure can be kept.
type Places uint8

// The places.
const (
	SavePstore Places = 1 << iota // the kernel's persistent store, where the machine has one
	SaveEFI                       // a variable of the firmware
	SaveESP                       // a file on the EFI system partition
)

// Console is one console= parameter.
type Console struct {
	Device  string // without "/dev/": "ttyS0", "tty0", "hvc0"
	Options string // what follows the first comma: "115200n8"
}

// Stage is a point of the boot at which it can be stopped for a shell, in the
// order in which they are passed.
type Stage uint8

// The stages. "Before" is what has not been done when the boot stops there.
const (
	StageCmdline    Stage = iota // before anything but this command line has been read
	StagePreUdev                 // before the device manager starts
	StagePreTrigger              // before existing devices are looked at
	StageInitqueue               // before devices are acted on
	StagePreMount                // the root device is there, before it is checked
	StageMount                   // before the root is mounted
	StagePrePivot                // the root is mounted, before the last preparations
	StageCleanup                 // before what the image started is ended
	StageSwitchRoot              // before the real init takes over
	stages
)

// String is dracut's name of the stage where it has one.
func (s Stage) String() string {
	if s < stages {
		return [...]string{"cmdline", "pre-udev", "pre-trigger", "initqueue", "pre-mount",
			"mount", "pre-pivot", "cleanup", "switch-root"}[s]
	}
	return "?"
}

// BreaksAt says whether the boot is to stop at the stage.
func (c *Config) BreaksAt(s Stage) bool {
	for _, b := range c.Break {
		if b == s {
			return true
		}
	}
	return false
}
