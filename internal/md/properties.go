package md

import (
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/mdsuper"
)

// Property is a udev property.
type Property struct{ Key, Value string }

// Properties are those that `mdadm --detail --no-devices --export` gives of
// an array to the udev rules, in its order: the links in /dev/md and
// /dev/disk/by-id are made from them. s is the superblock of a member in use,
// name what the array was called.
func Properties(s *mdsuper.Super, name mdsuper.Name) []Property {
	list := []Property{
		{"MD_LEVEL", s.Level.String()},
		{"MD_DEVICES", strconv.Itoa(s.RaidDisks)},
		{"MD_METADATA", s.Version.String()},
		{"MD_UUID", s.UUID.String()},
	}
	if name.Link != "" {
		list = append(list, Property{"MD_DEVNAME", name.Link})
	}
	if s.Name != "" {
		list = append(list, Property{"MD_NAME", exportSafe(s.Name)})
	}
	return list
}

// MemberProperties are the lines that --detail adds for each member without
// --no-devices. devname is the member's node, "/dev/sda1".
func MemberProperties(devname string, role mdsuper.Role) []Property {
	key := []byte("MD_DEVICE_" + strings.TrimPrefix(devname, "/"))
	for i, c := range key {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			key[i] = '_'
		}
	}
	value := role.String()
	if role == mdsuper.Failed {
		value = "spare"
	}
	return []Property{{string(key) + "_ROLE", value}, {string(key) + "_DEV", devname}}
}

// exportSafe keeps a name from becoming two lines or ending early.
func exportSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

// MapLine is an array's line in /run/mdadm/map, by which mdadm in the real
// system knows the name that was given here. The UUID stands there as four
// numbers of the host's byte order; version 1 UUIDs are bytes, and so appear
// turned on a little-endian machine.
func MapLine(s *mdsuper.Super, name mdsuper.Name) string {
	var words [4]uint32
	for i := range words {
		b := s.UUID[4*i : 4*i+4]
		if s.Version.Major == 0 {
			words[i] = binary.BigEndian.Uint32(b)
		} else {
			words[i] = binary.NativeEndian.Uint32(b)
		}
	}
	return fmt.Sprintf("%s %v %08x:%08x:%08x:%08x %s\n", path.Base(name.Kernel), s.Version, words[0], words[1], words[2], words[3], name.Path)
}
