// Package devmapper talks to the kernel's device mapper.
//
// Mapper is the interface behind which the ioctls stand, so that handlers run
// in the simulator; Control is the real thing. Everything else here is pure:
// table lines, names, cookies and the layout of the ioctl buffers. The
// package knows nothing of what is mapped and keeps no state.
//
// Sources: the kernel's Documentation/admin-guide/device-mapper,
// include/uapi/linux/dm-ioctl.h (interface version 4), and libdevmapper(3)
// for names and cookies.
package devmapper

import (
	"errors"
	"strconv"

	"firstlight/internal/fmt"
)

// Limits of the interface, in bytes without the terminating zero.
const (
	MaxName = 127 // a device's name, as the kernel sees it (mangled)
	MaxUUID = 128 // a device's UUID
	MaxType = 15  // the name of a target
)

// Errors that callers tell apart. What the kernel answers is wrapped as it is
// (unix.EBUSY, unix.ENXIO for a device that does not exist …).
var (
	// ErrNoDriver is returned by Open and by every call when the kernel has no
	// device mapper (its module is not loaded).
	ErrNoDriver = errors.New("the kernel has no device mapper")
	// ErrVersion is returned for a kernel that speaks another interface.
	ErrVersion = errors.New("device-mapper interface is not version 4")
	// ErrTooBig is returned when an answer does not fit into MaxBuffer.
	ErrTooBig = errors.New("answer of the device mapper is too big")
	// ErrMalformed is returned for an answer that contradicts itself.
	ErrMalformed = errors.New("malformed answer of the device mapper")
)

// Devnum is a device number.
type Devnum struct{ Major, Minor uint32 }

// String returns "major:minor", the form in which tables name a device.
func (d Devnum) String() string {
	return strconv.FormatUint(uint64(d.Major), 10) + ":" + strconv.FormatUint(uint64(d.Minor), 10)
}

// decodeDev reads the kernel's huge_encode_dev form.
func decodeDev(v uint64) Devnum {
	return Devnum{uint32(v>>8) & 0xfff, uint32(v&0xff) | uint32(v>>12)&0xfff00}
}

// encodeDev is the inverse of decodeDev.
func encodeDev(d Devnum) uint64 {
	return uint64(d.Minor&0xff) | uint64(d.Major&0xfff)<<8 | uint64(d.Minor&0xfff00)<<12
}

// Ref names an existing device: by Name (as the kernel has it, mangled), by
// UUID or by Dev. The first that is not empty counts.
type Ref struct {
	Name string
	UUID string
	Dev  Devnum
}

// ByName refers to a device by its name.
func ByName(name string) Ref { return Ref{Name: name} }

// ByUUID refers to a device by its device-mapper UUID.
func ByUUID(uuid string) Ref { return Ref{UUID: uuid} }

// ByDev refers to a device by its number.
func ByDev(major, minor uint32) Ref { return Ref{Dev: Devnum{major, minor}} }

func (r Ref) String() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.UUID != "":
		return "uuid " + r.UUID
	}
	return r.Dev.String()
}

// Info is what the kernel says of a device.
type Info struct {
	Name      string // as the kernel has it; see Unmangle
	UUID      string // "" if the device has none
	Dev       Devnum
	OpenCount int    // how many have it open
	Events    uint32 // number of the last event
	Targets   uint32 // targets in the live table

	Suspended   bool
	ReadOnly    bool
	Live        bool // has a live table
	Inactive    bool // has a table loaded that is not live yet
	Deferred    bool // is removed at its last close
	UeventFired bool // this call made the kernel send a uevent
}

// Version is a version of the interface or of a target.
type Version struct{ Major, Minor, Patch uint32 }

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// AtLeast says whether v is major.minor.patch or newer.
func (v Version) AtLeast(major, minor, patch uint32) bool {
	if v.Major != major {
		return v.Major > major
	}
	if v.Minor != minor {
		return v.Minor > minor
	}
	return v.Patch >= patch
}

// TargetVersion is a target that the kernel can map with.
type TargetVersion struct {
	Name    string
	Version Version
}

// ListEntry is one device of a listing.
type ListEntry struct {
	Name string
	Dev  Devnum
}

// Target is one line of a table.
type Target struct {
	Start  uint64 // first sector, in units of 512 bytes
	Length uint64 // in units of 512 bytes
	Type   string // "crypt", "linear" …
	Params []byte // may hold a key: see Wipe
	Secret bool   // Params holds a key; the kernel is told to wipe its copy
}

// String returns the line as `dmsetup table` prints it, with a key's digits
// hidden.
func (t Target) String() string {
	p := string(t.Params)
	if t.Secret {
		p = hideKey(t.Type, p)
	}
	return strconv.FormatUint(t.Start, 10) + " " + strconv.FormatUint(t.Length, 10) + " " + t.Type + " " + p
}

// Wipe clears the parameters of every target that holds a key.
func Wipe(table []Target) {
	for i := range table {
		if table[i].Secret {
			clear(table[i].Params)
		}
	}
}

// LoadOptions qualify a table load.
type LoadOptions struct {
	ReadOnly bool
}

// SuspendOptions qualify a suspend.
type SuspendOptions struct {
	NoFlush    bool // do not write queued I/O first
	SkipLockFS bool // do not freeze a filesystem on the device
}

// RemoveOptions qualify a removal.
type RemoveOptions struct {
	Deferred bool   // if it is busy, remove it at its last close
	Cookie   Cookie // goes into the uevent
}

// ResumeOptions qualify a resume.
type ResumeOptions struct {
	Cookie     Cookie // goes into the uevent; see NewCookie
	ReadOnly   bool
	NoFlush    bool
	SkipLockFS bool
}

// Mapper is the device mapper. Every method that finds no such device returns
// an error that wraps unix.ENXIO.
type Mapper interface {
	// Version returns the kernel's version of the interface.
	Version() (Version, error)
	// Targets lists what the kernel can map with now; a target whose module
	// is not loaded is missing.
	Targets() ([]TargetVersion, error)
	// Devices lists all devices.
	Devices() ([]ListEntry, error)
	// Info describes a device.
	Info(Ref) (Info, error)
	// Create makes a device without a table. name is as the kernel shall have
	// it (see Mangle); uuid may be empty. EBUSY: name or uuid is taken.
	Create(name, uuid string) (Info, error)
	// Load loads a table into the inactive slot.
	Load(r Ref, table []Target, o LoadOptions) (Info, error)
	// Clear drops the table in the inactive slot.
	Clear(Ref) (Info, error)
	// Resume makes a loaded table live, or wakes a suspended device. The
	// kernel sends a "change" uevent.
	Resume(r Ref, o ResumeOptions) (Info, error)
	// Suspend suspends a device.
	Suspend(r Ref, o SuspendOptions) (Info, error)
	// Remove removes a device. The kernel sends a "remove" uevent.
	Remove(r Ref, o RemoveOptions) (Info, error)
	// Table returns the live table. Keys in it are not masked, if the kernel
	// gives them at all: wipe the result.
	Table(Ref) ([]Target, error)
	// Status returns the live status of each target.
	Status(Ref) ([]Target, error)
	// Deps lists the devices that the live table uses.
	Deps(Ref) ([]Devnum, error)
}

// Activate creates a device, loads its table and makes it live. If a later
// step fails, the device is removed again. The table's secrets are not wiped.
func Activate(m Mapper, name, uuid string, table []Target, readOnly bool, c Cookie) (Info, error) {
	if _, err := m.Create(name, uuid); err != nil {
		return Info{}, err
	}
	_, err := m.Load(ByName(name), table, LoadOptions{ReadOnly: readOnly})
	if err == nil {
		var info Info
		info, err = m.Resume(ByName(name), ResumeOptions{Cookie: c, ReadOnly: readOnly})
		if err == nil {
			return info, nil
		}
	}
	if _, rerr := m.Remove(ByName(name), RemoveOptions{}); rerr != nil {
		err = errors.Join(err, rerr)
	}
	return Info{}, err
}
