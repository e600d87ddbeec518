// Package machine is everything that the deciding core may ask of the world,
// as small interfaces. PID 1 implements them with system calls, the simulator
// with a model. The core reaches them only through ueventd.Do.
//
// Methods may block; each is called outside the core and may be called from
// several goroutines at a time.
package machine

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"firstlight/internal/askwire"
	"firstlight/internal/devmapper"
	"firstlight/internal/luks"
	"firstlight/internal/uevent"
)

// Machine is the whole of it.
type Machine interface {
	Devices
	Storage
	Modules
	Files
	Mounts
	Programs
	Console
	System
	// Mapper is the kernel's device mapper; its module is loaded first.
	Mapper() (devmapper.Mapper, error)
}

// Block is an open block device, for reading only.
type Block interface {
	io.ReaderAt
	io.Closer
	Size() int64     // bytes
	SectorSize() int // bytes of a logical sector
}

// Devices finds the devices that are there already.
type Devices interface {
	// Coldplug reads the devices in sysfs, parents first, as if each had
	// just been added.
	Coldplug() ([]*uevent.Message, error)
}

// Storage reads devices and tells the kernel of them.
type Storage interface {
	// OpenBlock opens a block device for reading. It never writes, and opens
	// without O_EXCL, so that a mounted device can be read too.
	OpenBlock(devname string) (Block, error)
	// Identify returns the 512 bytes of ATA IDENTIFY (PACKET) DEVICE.
	Identify(devname string) ([]byte, error)
	// Inquiry returns the answer to SCSI INQUIRY: the standard data, or with
	// vpd the vital product data page.
	Inquiry(devname string, vpd bool, page byte) ([]byte, error)
	// Loop makes a file, as a process with that root directory sees it, a
	// block device, and returns its node. What comes before offset, in bytes,
	// is left out. The driver must be there.
	Loop(root, file string, offset uint64, readOnly bool) (devname string, err error)
	// BtrfsScan tells the kernel of a member of a btrfs filesystem
	// (BTRFS_IOC_SCAN_DEV), loading the driver first.
	BtrfsScan(devname string) error
	// BtrfsForget has the kernel forget a member that it was told of and that is
	// not in use (BTRFS_IOC_FORGET_DEV).
	BtrfsForget(devname string) error
	// BtrfsReady says whether the kernel knows every member of the
	// filesystem that devname belongs to (BTRFS_IOC_DEVICES_READY).
	BtrfsReady(devname string) (bool, error)
}

// Modules loads kernel modules with what they need.
type Modules interface {
	// LoadAlias loads what the index has for a modalias. A blacklisted or
	// unknown one is not an error: n is how many modules matched.
	LoadAlias(modalias string) (n int, err error)
	// Load loads modules by name or alias ("ext4", "fs-ext4"). A module that
	// is built in or loaded counts as success; one that is neither in the
	// image nor built in gives ErrNoModule.
	Load(names ...string) error
}

// ErrNoModule says that a module is neither in the image nor in the kernel.
var ErrNoModule = errors.New("module is not in this image")

// FileInfo describes a file after every link was followed.
type FileInfo struct {
	Path string // where it really is, as seen from the root that was asked
	Mode fs.FileMode
	Size int64
}

// Files reaches the image's own tree, /dev, /run and what is mounted.
type Files interface {
	// ReadFile reads a file; one larger than max bytes is an error.
	ReadFile(path string, max int64) ([]byte, error)
	// InRoot resolves path inside root, as a process whose root directory
	// that is would see it: no link leads out of it.
	InRoot(root, path string) (FileInfo, error)
	// ReadInRoot is ReadFile inside root.
	ReadInRoot(root, path string, max int64) ([]byte, error)
	// WriteFile replaces a file in one step, making its directories. The
	// path must be below /run.
	WriteFile(path string, data []byte, mode fs.FileMode) error
	// WriteOnce writes data by one write to the kernel's persistent store
	// (/dev/pmsg0), its log (/dev/kmsg) or a variable of the firmware.
	WriteOnce(path string, data []byte) error
	// Link makes path (below /dev or /run) a symbolic link to target, in one step,
	// replacing a link that is there.
	Link(target, path string) error
	// Unlink removes a link below /dev and the directories that it leaves
	// empty.
	Unlink(path string) error
	// SetNode sets owner and mode of a device node; nil leaves a value.
	SetNode(devname string, uid, gid *int, mode *fs.FileMode) error
	// WriteSysfs writes to an attribute; path is that below /sys, and begins
	// with "/".
	WriteSysfs(path, value string) error
	// WaitSysfs waits until an attribute reads value. It must be one of
	// those of which the driver tells every change (sysfs_notify).
	WaitSysfs(path, value string) error
	// Mkdir makes a directory and its parents.
	Mkdir(path string, mode fs.FileMode) error
	// Empty removes everything in a directory, and nothing that is mounted in
	// it. The directory must be below /run.
	Empty(dir string) error
	// CopyFile reads a file, as it is seen inside root, to its end, and writes
	// it to target: a file below /run, or a ramdisk (/dev/ram0, /dev/zram0); ""
	// has it only read. how is a sum of the constants below. sum is the file's
	// SHA-256 in hexadecimal, where it was asked for.
	CopyFile(root, file, target string, how int) (sum string, err error)
}

// Ways to copy a file.
const (
	CopySum  = 1 << iota // its sum is wanted
	CopyGive             // its memory is given back on the way, so that nothing is left in it
)

// Mount is one mount(2).
type Mount struct {
	Source string
	Target string
	FSType string
	Flags  uintptr // MS_*
	Data   string  // options for the filesystem
}

// Mounts mounts filesystems.
type Mounts interface {
	Mount(Mount) error
	// Unmount unmounts target; detach lets it go when nothing uses it.
	Unmount(target string, detach bool) error
}

// Program is a program of the image to be run.
type Program struct {
	Path string
	Args []string // without the program's name
	Env  []string
	// Console gives the program the console as its input and output;
	// otherwise its output is collected, up to 64 KiB.
	Console bool
	// Shown is for one that says how far it is: what it says is on
	// /dev/console as it comes, besides being collected. What stands between
	// the bytes 1 and 2 is only for a person to see.
	Shown bool
	Input []byte // wiped by the caller
	// Asks makes a program that stays one more place at which questions are asked:
	// it has a socket for that (package askwire).
	Asks bool
}

// Exit is how a program ended.
type Exit struct {
	Code   int // 128 + signal if it was killed
	Output string
}

// Programs runs helpers.
type Programs interface {
	// HasProgram says whether the image has an executable at path.
	HasProgram(path string) bool
	// Run runs a program to its end. The error is about starting it; how it
	// ended is in Exit.
	Run(Program) (Exit, error)
	// Start starts a program that stays while the boot goes on, and says on
	// its output, a line at a time, how things stand. name is what it is
	// called from then on.
	Start(name string, p Program) error
	// Listen waits until a program that was started has said something, or has
	// ended, and returns what it has said since the last call.
	Listen(name string) (Said, error)
	// End asks a program that was started to end. One that has ended is no
	// error.
	End(name string) error
}

// Said is what a program that stays has said.
type Said struct {
	Lines []string // whole lines, without their ends
	Ended bool     // it has ended: nothing more will come
	Code  int      // how, as in Exit
	// Opens says that it has found what opens something, which Secret is: a line
	// that begins with askwire.SecretMark, and is hexadecimal from there on.
	Opens  bool
	Secret []byte `inputs:"-"` // wiped by whoever has asked
}

// Prompt is a question to a person.
type Prompt struct {
	ID   string // names the prompt for Dismiss
	Text string // "Passphrase for disk sda2 (luks-1234…)"
	Echo bool   // show what is typed instead of asterisks
	// Silent shows nothing, so that nobody learns the length either.
	Silent bool
}

// ShellPrompt is the ID of the question whether somebody wants the emergency
// shell, and of that for its password.
const ShellPrompt = askwire.ShellPrompt

// Errors of Ask.
var (
	// ErrDismissed says that the question has become needless.
	ErrDismissed = errors.New("the question was withdrawn")
	// ErrNoConsole says that there is nobody to ask.
	ErrNoConsole = errors.New("no console can be read")
	// ErrCancelled says that the person refused to answer (Ctrl-D, Ctrl-C).
	ErrCancelled = errors.New("no answer was given")
)

// Console talks to a person.
type Console interface {
	// Ask asks on every console and returns the line that was typed on the
	// first that answers. The caller wipes it.
	Ask(Prompt) ([]byte, error)
	// Dismiss withdraws a question: its Ask returns ErrDismissed.
	Dismiss(id string)
	// OfferShell says on every console that there is a shell, and returns
	// when a person wants it and has given the password, where one is asked
	// for. The offer is the question ShellPrompt: when that is withdrawn it
	// returns ErrDismissed.
	OfferShell() error
	// Shell gives the consoles a shell and returns when it ends. It asks for
	// the password first, as ShellPrompt, unless OfferShell has let the
	// person in.
	Shell() error
}

// SwitchRoot is how the real system starts.
type SwitchRoot struct {
	Root string   // where its root is mounted
	Init string   // as seen from that root
	Args []string // without the program's name
}

// Power is a way to stop.
type Power string

// Ways to stop.
const (
	Reboot   Power = "reboot"
	PowerOff Power = "poweroff"
	Halt     Power = "halt"
)

func (p Power) String() string { return string(p) }

// ErrNoKeyring says that the kernel was built without keyrings.
var ErrNoKeyring = errors.New("the kernel has no keyring")

// ErrNoImage says that the kernel found no hibernation image.
var ErrNoImage = errors.New("no hibernation image")

// Signatures is of a Machine whose kernel may check signatures.
type Signatures interface {
	// WithSignature is System.WithKey for what dm-verity is to check and anybody
	// may read: the signature of a root hash, as a key of the type "user".
	WithSignature(description string, signature []byte, f func() error) error
	// Certificates returns those that the image has for signatures of root hashes
	// (/etc/verity.d/*.crt and so on, as systemd has it), as they are in the files.
	Certificates() ([]Certificate, error)
	// VerifySignature has the kernel verify the signature of a sum with the key
	// of a certificate (X.509 in DER); encoding and hash are in its words.
	VerifySignature(certificate []byte, encoding, hash string, sum, signature []byte) error
}

// HandoverOf returns what only the full /init asks of a machine. It is apart from
// Machine so that the small one has none of it.
func HandoverOf(m Machine) (h Handover, ok bool) {
	o, ok := m.(interface{ Handover() Handover })
	if ok {
		h = o.Handover()
	}
	return h, ok
}

// Handover is what systemd-stub may have left, what the real system is to be told
// besides files and mounts, and what of the kernel is set for it.
type Handover interface {
	// ListDir returns the names of what is in a directory, sorted; one that is not
	// there is an error.
	ListDir(dir string) ([]string, error)
	// SetEnv gives the real init a variable of the environment.
	SetEnv(name, value string) error
	// SetSysctl sets a parameter of the kernel; path is that below SysctlDir.
	SetSysctl(path, value string) error
	// TPM sends a command to the TPM (TPM 2.0 Part 1, 18) and returns its answer.
	// Without one the error is fs.ErrNotExist.
	TPM(command []byte) (answer []byte, err error)
}

// SysctlDir is where the kernel's parameters are.
const SysctlDir = "/proc/sys/"

// CertificateDirs are where the files of Signatures.Certificates are: the first
// of a name counts.
func CertificateDirs() [3]string {
	return [...]string{"/etc/verity.d", "/run/verity.d", "/usr/lib/verity.d"}
}

// Certificate is a file with one or several certificates.
type Certificate struct {
	File string
	Text []byte
}

// System is what ends or suspends the initramfs.
type System interface {
	// Resume hands the image on a swap device to the kernel; offset is in
	// pages. It returns only when the kernel did not resume; ErrNoImage says
	// that it found no image there.
	Resume(major, minor uint32, offset uint64) error
	// SwitchRoot starts the real system. It returns only an error that left
	// everything in place.
	SwitchRoot(SwitchRoot) error
	// Stop reboots, powers off or halts.
	Stop(Power) error
	// WithKey puts a key into the kernel's keyring under a description, calls
	// f, and takes the key out again. Where the kernel has none it returns
	// ErrNoKeyring, and f was not called.
	WithKey(description string, key []byte, f func() error) error
	// Memory returns the memory that is available now, in bytes.
	Memory() (uint64, error)
	// Now is a monotonic clock. Nothing that is done depends on it but which of
	// two equal ways is the quicker one; where time does not pass it may stand.
	Now() time.Duration
	// FreeMemory gives memory that is no longer used back to the kernel.
	FreeMemory()
	// Ciphers are the kernel's, for what Go lacks.
	Ciphers() luks.Ciphers
}
