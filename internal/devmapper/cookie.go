package devmapper

import "strconv"

// Cookie is the number that the kernel hands from the ioctl to the uevent as
// DM_COOKIE: an identifier in the low 16 bits, flags for the rules in the
// high 16 bits. libdevmapper uses the identifier to find a semaphore on which
// it waits for udev; whoever sees the uevents himself needs none. Zero means
// no cookie: the uevent then has no DM_COOKIE.
type Cookie uint32

// UdevFlags are the flags in a cookie (libdevmapper's DM_UDEV_*).
type UdevFlags uint16

// The flags, as libdevmapper.h names them. Bits 8 to 15 belong to the
// subsystem that made the device.
const (
	DisableDMRules        UdevFlags = 1 << iota // no links in /dev/mapper
	DisableSubsystemRules                       // none of the rules of LVM, crypt …
	DisableDiskRules                            // no probing, no links in /dev/disk
	DisableOtherRules                           // nothing later at all
	LowPriority                                 // its links yield to others'
	DisableFallback                             // libdevmapper makes no nodes itself
	PrimarySource                               // sent by an ioctl, not by a rule or by hand
)

// Temporary are the flags of a device that nobody else shall look at, as
// cryptsetup sets them for its helpers.
const Temporary = DisableSubsystemRules | DisableDiskRules | DisableOtherRules

// NewCookie makes the cookie of a resume or a removal as libdevmapper does:
// PrimarySource is always set. id must not be 0.
func NewCookie(id uint16, flags UdevFlags) Cookie {
	return Cookie(uint32(flags|PrimarySource)<<16 | uint32(id))
}

// ParseCookie reads a DM_COOKIE property. A missing or malformed one is the
// zero cookie.
func ParseCookie(s string) Cookie {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return Cookie(v)
}

// ID is the identifier in the low 16 bits.
func (c Cookie) ID() uint16 { return uint16(c) }

// Flags are the flags in the high 16 bits.
func (c Cookie) Flags() UdevFlags { return UdevFlags(c >> 16) }

func (c Cookie) String() string { return strconv.FormatUint(uint64(c), 10) }

// Properties calls set for each udev property that the cookie's flags mean,
// in the order of the bits, as `dmsetup udevflags` prints them.
func (c Cookie) Properties(set func(key, value string)) {
	for bit := range 16 {
		if c.Flags()&(1<<bit) != 0 {
			set(flagName(bit), "1")
		}
	}
}

func flagName(bit int) string {
	switch UdevFlags(1) << bit {
	case DisableDMRules:
		return "DM_UDEV_DISABLE_DM_RULES_FLAG"
	case DisableSubsystemRules:
		return "DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG"
	case DisableDiskRules:
		return "DM_UDEV_DISABLE_DISK_RULES_FLAG"
	case DisableOtherRules:
		return "DM_UDEV_DISABLE_OTHER_RULES_FLAG"
	case LowPriority:
		return "DM_UDEV_LOW_PRIORITY_FLAG"
	case DisableFallback:
		return "DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG"
	case PrimarySource:
		return "DM_UDEV_PRIMARY_SOURCE_FLAG"
	}
	if bit < 8 {
		return "DM_UDEV_FLAG" + strconv.Itoa(bit)
	}
	return "DM_SUBSYSTEM_UDEV_FLAG" + strconv.Itoa(bit-8)
}

// Properties returns the udev properties of a device as the rules of
// device-mapper leave them after an event that an ioctl caused: DM_NAME,
// DM_UUID, DM_SUSPENDED, the flags of the cookie and the marks of the rules
// (version 2). A device whose cookie says DisableDMRules keeps all of them;
// only its links are not made.
func (i Info) Properties(c Cookie) map[string]string {
	p := map[string]string{
		"DM_NAME":           i.Name,
		"DM_SUSPENDED":      "0",
		"DM_UDEV_RULES":     "1",
		"DM_UDEV_RULES_VSN": "2",
	}
	if i.UUID != "" {
		p["DM_UUID"] = i.UUID
	}
	c.Properties(func(k, v string) { p[k] = v })
	if c.Flags()&PrimarySource != 0 {
		p["DM_ACTIVATION"] = "1"
	}
	if i.Suspended {
		p["DM_SUSPENDED"] = "1"
		p["DM_UDEV_DISABLE_OTHER_RULES_FLAG"] = "1"
	}
	return p
}
