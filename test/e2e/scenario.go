// Package e2e boots real machines: a real Debian kernel in QEMU, disks made by
// the real tools, an image built by bin/firstlight, a real init in the root.
//
// A scenario is data: the disks and how they are connected, how the image is
// built, the kernel's command line, what is typed and plugged in when, and
// what must be seen. What passed is read from reports that programs in the
// guest send (firstlight/test/guest/report); text on the console counts only
// where a person is to read it.
package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// What the harness knows of Firstlight's words, in one place.
const (
	// promptText begins every prompt for a passphrase.
	promptText = "Passphrase for "
	// waitingText begins the line of progress, which comes after five seconds
	// without any. What is to come late comes after it, however busy the host.
	waitingText = "waiting for "
	// redraw begins the line of a message that is shown during a prompt,
	// after which the prompt is shown again.
	redraw = "\r\x1b[K"
	// firedKey is the line of /run/firstlight/summary that counts the
	// deadlines that passed.
	firedKey = "timers_fired"
)

// Scenario is one row of the matrix.
type Scenario struct {
	Name string
	// Full leaves the scenario to make test-full: what it shows is dear, and
	// seldom changes.
	Full bool
	// Layouts make the disks; they are attached in this order, on Bus.
	Layouts []disks.Layout
	Bus     vm.Bus
	// Detached and Absent name disks that are not there at the start, the
	// latter never.
	Detached, Absent []string
	// Protected names disks that refuse to be written.
	Protected []string
	// Unreadable are sectors of disks that answer with errors when read.
	Unreadable map[string][]vm.Sectors
	// Paths are second ways to disks, which are on VirtioSCSI then.
	Paths []Path
	// Trixie runs the scenario with that release's kernel too, TrixieOnly
	// with no other.
	Trixie, TrixieOnly bool
	// TrixieFull leaves that kernel to make test-full, where what is shown
	// does not depend on the kernel.
	TrixieFull bool
	// Packed boots the kernel as a boot loader does, from its bzImage, and
	// not from the quicker ELF file within.
	Packed bool

	// For describes the machine that the image is for; nil is any machine.
	// The buses come from the disks. Where the point of a scenario is not the
	// image, a small one saves most of the time that its boot would take.
	For      *Target
	Profile  string   // --profile, in the place of For
	Features []string // --feature
	Include  []Include
	Programs []Include // that can be executed
	Roots    []Include // files with a whole root in them; Data is how it is packed (disks.Packed)
	// Config is added to the configuration file, in which @DIR@ stands for a
	// directory with the files of ConfigFiles.
	Config      string
	Sysctl      []string // parameters of the kernel that the configuration sets
	ConfigFiles map[string]string
	Append      string // the kernel's command line after what all have
	Memory      int    // MiB; 0 is 512
	// UEFI is a machine with that firmware instead of a BIOS, Store one with
	// memory in which the kernel keeps the end of its log. What either holds
	// stays from boot to boot.
	UEFI, Store bool
	// Enrolled puts the certificate of package signing into the firmware's
	// signature database.
	Enrolled bool
	// Unified makes unified kernel images of the boots, which the firmware starts
	// from a disk of their own, with Secure Boot; nil boots as QEMU does.
	Unified *Unified
	// TPM is a machine with one.
	TPM bool
	// Net is the machine's network, with another machine that serves; nil is
	// none.
	Net *Net
	// Share is the filesystem, virtiofs or 9p, by which the machine has the tiny root
	// of its host, with the tag "root"; "" is none.
	Share string
	// Install puts files into the root, the largest partition of the first
	// disk, before the first boot.
	Install []Installed

	// HostBuild says that the guest of the first boot builds an image for
	// itself, with which the later boots start. Detects are facts that it
	// must find of itself.
	HostBuild bool
	Detects   []string

	// Boots are what happens, in order, on the same disks. Most scenarios
	// have one.
	Boots []Boot

	// Interop says that the tools of the real system must say the same after
	// the first boot and the second one, which is another system's; Differs are
	// expressions of lines that need not be the same.
	Interop bool
	Differs []string
	// PeerPackages are what the other system's image is made with besides.
	PeerPackages []string
	// SameWrites says that until the root is mounted the first boot must write to
	// the disks what the second does, in which a tool puts the storage together;
	// nothing may be written later. Masks are what need not be the same.
	SameWrites bool
	Masks      []Mask

	// Unchanged says that no disk may be written: what is on them must
	// read as it did before.
	Unchanged bool
	// Writes are expressions of what may be written to the disks before the
	// root is mounted (report.Write's text); each needs a reason. Nothing else
	// may be, in any scenario.
	Writes []string
	// Repaired names a disk with a filesystem in which e2fsck must not find
	// a fault afterwards.
	Repaired string
	// Secret says that the image holds a secret and must be private.
	Secret bool
	// NoConsole is a machine without one: the kernel is told of one that there is not.
	NoConsole bool
}

// Path is a second way to a disk. Attach calls it by the disk's name with a "+".
type Path struct {
	Disk     string
	Fails    bool // every read is an error
	Detached bool
}

// Target describes what the root is on, as the builder's configuration does.
type Target struct {
	FS     string
	Layers []string
	Needs  []string
	Omit   []string // modules that are left out
	// Modules and Programs are taken besides.
	Modules, Programs []string
	// Keymap and Font are the text console's.
	Keymap, Font string
}

// small is an image for a filesystem on layers of block devices.
func small(fs string, layers ...string) *Target { return &Target{FS: fs, Layers: layers} }

// config is the configuration file of an image for the target.
func (t Target) config(b vm.Bus) string {
	bus := map[vm.Bus]string{"": "virtio_blk", vm.VirtioBlk: "virtio_blk", vm.VirtioSCSI: "virtio_scsi", vm.NVMe: "nvme",
		vm.AHCI: "ahci", vm.USB: "usb-storage"}[b]
	return fmt.Sprintf("compression = \"zstd:3\"\nomit_modules = %s\nmodules = %s\nprograms = %s\n[root]\nbus = %q\nfstype = %q\nlayers = %s\nneeds = %s\n[console]\nkeymap = %q\nfont = %q\n", list(t.Omit), list(t.Modules), list(t.Programs), bus, t.FS, list(t.Layers), list(t.Needs), t.Keymap, t.Font)
}

// How a machine ends, in QEMU's words.
const (
	poweredOff = "guest-shutdown"
	rebooted   = "guest-reset"
)

// keys are those of a keyboard that type a text of small letters.
func keys(text string) []string {
	var list []string
	for _, c := range text {
		switch c {
		case ' ':
			list = append(list, "spc")
		case '\r':
			list = append(list, "ret")
		default:
			list = append(list, string(c))
		}
	}
	return list
}

// list is an array in TOML.
func list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Include puts a file into the image.
type Include struct {
	Path string // in the image
	Data string
}

// Installed is a file of the real root.
type Installed struct {
	Path string
	From string // the file in the checkout that it is a copy of
	Text string // or what is in it
	// Guest is the program of test/guest that it is.
	Guest string
	Link  string // or where it leads to
}

// Boot is one start of the machine until it powers off.
type Boot struct {
	// Append is added to the scenario's command line. swapOffset in it is the
	// page that an earlier boot's swap file begins with.
	Append string
	// Kernel is the release whose kernel this boot has, if another one than
	// the boots before.
	Kernel string
	// Memory is the machine's from this boot on, in MiB, if it changes.
	Memory int
	// By is whose image the boot has, if not Firstlight's.
	By string
	// Tampered is what was done to a unified image after it was signed.
	Tampered tampering
	// Fresh says that the disks are again as they were before the first boot.
	Fresh bool
	Do    []Action
	Want  Want
	// Limit is how long the machine may take; 0 is defaultLimit.
	Limit time.Duration
}

// swapOffset stands for a number that is not known before the boots.
const swapOffset = "SWAPOFFSET"

// defaultLimit is generous: it ends what hangs, it does not measure.
const defaultLimit = 8 * time.Minute

// Action is something done to a running machine. The actions of a boot are
// done in order.
type Action struct {
	// When is text on the console to wait for, after what the actions before
	// saw. Empty: do it as soon as the one before is done.
	When string
	// After is time to let pass after that. It is part of what is tested (a
	// disk that appears late), never a way to wait for something.
	After time.Duration

	Type string // to type on the console
	// Second says that When and Type are of the second console, ttyS1, which
	// the scenario's command line names.
	Second bool
	Press  []string // keys of the keyboard, as vm.VM.Press takes them
	Attach string   // the disk to plug in
	Detach string   // the disk to pull out
	Quit   bool     // switch the machine off
}

// Want is what must be seen of a boot.
type Want struct {
	// Root and Usr are "source type" of what is mounted there; an expression
	// that has to match from start to end. Empty: not looked at.
	Root, Usr string
	// Mounts are expressions of which each must match one of the mounts of the
	// real system, "directory source type options".
	Mounts []string
	// RootOptions must be among the options of the root's mount.
	RootOptions []string
	// RootDir is the directory of the filesystem that is mounted as the root.
	RootDir string

	// NoBoot says that the real system must not be started; the machine ends
	// by itself all the same.
	NoBoot bool
	// Debian says that a whole system boots and reports.
	Debian bool
	// Builds says that the boot ends when the guest has built an image.
	Builds bool
	// Resumed says that this boot brings back an earlier one's memory.
	Resumed bool
	// Hibernates says that this boot ends by writing its memory to disk.
	Hibernates bool

	// Prompts is how often a passphrase is asked for.
	Prompts int
	// Timers allows deadlines to pass.
	Timers bool
	// Console are expressions of which each must be on the console, Second
	// those of the second one, ttyS1.
	Console, Second []Seen
	// Ends is how the machine ends, in QEMU's words; empty: not looked at.
	Ends string
	// Arrays and Mapped are expressions of which each must match one of the
	// arrays ("md127 raid1 clean 0") or mapped devices ("name uuid").
	Arrays, Mapped []string
	// Daemons are expressions of which each must match the command line of a
	// process that holds the root's storage and was left to the real system.
	Daemons []string
	// Links must lead to block devices, NoLinks must not be there.
	Links, NoLinks []string
	// Trace are expressions of which each must be in what firstlight trace
	// says in the real system, NoTrace of which none may be.
	Trace, NoTrace []string
	// Hidden says that the disks are below one that the kernel makes of them: the
	// numbers of the requests that they are sent are nobody's.
	Hidden bool
	// Journal are expressions of which each must be in the journal of the boot.
	Journal []string
	// Tables says that the first layout's encrypted devices must have the
	// tables that the field's own tools gave them.
	Tables bool
	// Handed are expressions of which each must match a line of what test/guest/handed
	// says, NoHanded of which none may.
	Handed, NoHanded []string
	// Measured is the point of the boot (firstlight uki measure --phase) that PCR 11
	// stands for when test/guest/handed looks.
	Measured string
	// Argv are the arguments of the real init beyond its name.
	Argv []string
	// Env are variables that it must have beyond those of every init.
	Env []string

	writes []string // the scenario's
	peer   bool     // it is another system's boot
}

// Seen is text on the console. It may be bound to a time since the start of
// /init, on the host's clock.
type Seen struct {
	Text      *regexp.Regexp
	NotBefore time.Duration
}

// see is text on the console at any time.
func see(pattern string) Seen { return Seen{Text: regexp.MustCompile("(?i)" + pattern)} }

// patient keeps Firstlight from saying how things stand while nothing is
// wrong: a busy host makes an emulated machine so slow that the first line,
// after five seconds without progress, is due on a boot that only computes.
const patient = " rd.firstlight.progress=300 rd.firstlight.explain=300"

// eventful says that nothing but events may move the boot.
func (s Scenario) eventful() bool {
	for _, b := range s.Boots {
		w := b.Want
		if w.Timers || w.NoBoot || w.Resumed {
			return false
		}
	}
	return true
}

// cmdline is the scenario's kernel command line.
func (s Scenario) cmdline() string {
	line := commonArgs
	if s.NoConsole {
		line = strings.Replace(line, "console=ttyS0", "console=none0", 1)
	}
	if s.eventful() {
		line += patient
	}
	return strings.TrimSpace(line + " " + s.Append)
}

// debian says whether a whole system boots, which has the modules of its own kernel
// and of no other.
func (s Scenario) debian() bool {
	return slices.ContainsFunc(s.Boots, func(b Boot) bool { return b.Want.Debian })
}

// Suites are the releases whose kernels the scenario runs with. A root that is not
// on this machine's disks depends on more of the kernel than others: those of the full
// matrix run with both.
func (s Scenario) Suites() []string {
	switch {
	case s.TrixieOnly:
		return []string{"trixie"}
	case s.Trixie, s.TrixieFull, s.Full && (s.Net != nil || s.Share != "") && !s.debian():
		return []string{"bookworm", "trixie"}
	}
	return []string{"bookworm"}
}
