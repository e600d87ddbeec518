// Package devspec reads the ways in which people name a block device, for
// root=, resume=, fstab and the others, and decides whether a device is the
// one that was named.
//
// It is pure: it never looks a name up. Whoever knows the devices asks
// Spec.Matches for each. Two devices may match one Spec; that is for the
// caller to report (a duplicate UUID is never settled by who came first).
package devspec

import (
	"strconv"
	"strings"
)

// Kind says by which property a Spec names its device.
type Kind uint8

// The kinds of names. Each says what Spec.Value holds.
const (
	None      Kind = iota // nothing is named; the zero Spec
	Path                  // a node or link of /dev by its path: "/dev/sda1"
	UUID                  // content's UUID; lower case where it is hexadecimal
	Label                 // content's label, plain text
	PartUUID              // partition's UUID (GPT) or disk id and number (MBR: "1234abcd-01"), lower case
	PartLabel             // GPT partition's name, plain text
	ID                    // name below /dev/disk/by-id
	HWPath                // name below /dev/disk/by-path
	Devnum                // Major and Minor; Value is empty
	Mapper                // device-mapper name: NAME of /dev/mapper/NAME, plain text
	LV                    // "VG/LV" of /dev/VG/LV
	MD                    // NAME of /dev/md/NAME
	Serial                // disk's serial number
	Root                  // /dev/root: whatever the root turns out to be
	Other                 // not a block device of this machine ("nfs:…"); Value is the text, Scheme its sort
)

// Spec names a device. It is comparable; two spellings of one name give equal
// Specs. The zero Spec names nothing.
type Spec struct {
	Kind  Kind
	Value string // see Kind
	// Scheme is the sort of an Other: "nfs", "live", "zfs", "gpt-auto" …
	Scheme string
	// Major and Minor belong to Devnum.
	Major, Minor uint32
	// PartOffset belongs to PartUUID: PARTNROFF, added to the number of the
	// partition that the UUID names (kernel, block/early-lookup.c).
	PartOffset int
}

// IsZero says whether s names nothing.
func (s Spec) IsZero() bool { return s.Kind == None }

// IsDevice says whether s names a block device, one that may appear as an
// event; false for None, Root and Other.
func (s Spec) IsDevice() bool { return s.Kind != None && s.Kind != Root && s.Kind != Other }

// String is the canonical spelling, which Parse reads back to an equal Spec:
// "UUID=…", "/dev/mapper/root", "8:1". The zero Spec gives "". It is fit for
// messages: the password of an Other's URL is left out, Value has it.
func (s Spec) String() string {
	switch s.Kind {
	case Path:
		return s.Value
	case Other:
		return Redact(s.Value)
	case UUID:
		return "UUID=" + escape(s.Value, false)
	case Label:
		return "LABEL=" + escape(s.Value, false)
	case PartUUID:
		v := "PARTUUID=" + escape(s.Value, false)
		if s.PartOffset != 0 {
			v += "/PARTNROFF=" + strconv.Itoa(s.PartOffset)
		}
		return v
	case PartLabel:
		return "PARTLABEL=" + escape(s.Value, false)
	case ID:
		return "/dev/disk/by-id/" + s.Value
	case HWPath:
		return "/dev/disk/by-path/" + s.Value
	case Devnum:
		return strconv.FormatUint(uint64(s.Major), 10) + ":" + strconv.FormatUint(uint64(s.Minor), 10)
	case Mapper:
		return "/dev/mapper/" + mangle(s.Value)
	case LV:
		return "/dev/" + s.Value
	case MD:
		return "/dev/md/" + s.Value
	case Serial:
		return "SERIAL=" + escape(s.Value, false)
	case Root:
		return "/dev/root"
	}
	return ""
}

// Topic is a key for "this device has appeared": as String, except that
// names which mean one device by construction share a key: /dev/VG/LV and
// the /dev/mapper name of the same logical volume.
func (s Spec) Topic() string {
	if s.Kind == LV {
		vg, lv, _ := strings.Cut(s.Value, "/")
		return Spec{Kind: Mapper, Value: JoinLVM(vg, lv)}.String()
	}
	return s.String()
}

// Describe says in words for a sentence what is named: "the filesystem with
// UUID 0a1b…", "the logical volume root of the volume group vg0".
func (s Spec) Describe() string {
	switch s.Kind {
	case None:
		return "no device"
	case UUID:
		return "the filesystem with UUID " + escape(s.Value, false)
	case Label:
		return "the filesystem labelled " + quote(s.Value)
	case PartUUID:
		d := "the partition with PARTUUID " + escape(s.Value, false)
		switch {
		case s.PartOffset > 0:
			return "the partition " + strconv.Itoa(s.PartOffset) + " after " + d
		case s.PartOffset < 0:
			return "the partition " + strconv.Itoa(s.PartOffset)[1:] + " before " + d
		}
		return d
	case PartLabel:
		return "the partition named " + quote(s.Value)
	case ID:
		return "the disk with the id " + s.Value
	case HWPath:
		return "the disk at the hardware path " + s.Value
	case Devnum:
		return "the block device with the number " + s.String()
	case Mapper:
		return "the device-mapper device " + escape(s.Value, true)
	case LV:
		vg, lv, _ := strings.Cut(s.Value, "/")
		return "the logical volume " + lv + " of the volume group " + vg
	case MD:
		return "the RAID array " + s.Value
	case Serial:
		return "the disk with the serial number " + escape(s.Value, false)
	case Root:
		return "the root device"
	}
	return escape(s.String(), true)
}

// Redact replaces what stands before the '@' of a URL or of an iSCSI root,
// user and password, by "…". A digest behind one stays.
func Redact(text string) string {
	end := strings.LastIndexByte(text, '@')
	if end > 0 && strings.HasPrefix(text[end:], "@sha256:") { // of root=oci:
		end = strings.LastIndexByte(text[:end], '@')
	}
	start := strings.Index(text, "://")
	if start >= 0 {
		start += len("://")
	} else if i := strings.Index(text, "iscsi:"); i >= 0 {
		start = i + len("iscsi:")
	}
	if start < 0 || end <= start {
		return text
	}
	return text[:start] + "…" + text[end:]
}

// LogicalVolume says which logical volume the name implies: for /dev/VG/LV
// that one, for /dev/mapper/VG-LV the one that device-mapper's spelling
// stands for. A mapper name is no proof ("luks-root" may be either), hence
// it is a hint about what to activate, never about what a device is.
func (s Spec) LogicalVolume() (vg, lv string, ok bool) {
	switch s.Kind {
	case LV:
		return strings.Cut(s.Value, "/")
	case Mapper:
		vg, lv, layer, ok := SplitLVM(s.Value)
		if ok && layer == "" {
			return vg, lv, true
		}
	}
	return "", "", false
}

func quote(s string) string { return `"` + escape(s, true) + `"` }
