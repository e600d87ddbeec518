package devspec

import (
	"strconv"
	"strings"
)

// Info is what Matches asks of a device; *device.Device is one. Properties
// are those of udev's database.
type Info interface {
	Devname() string // "/dev/sda1", or ""
	Devnum() (major, minor uint32, ok bool)
	Property(key string) string
	HasLink(name string) bool // name without "/dev/"
}

// Matches says whether d is the device, or one of the devices, that s names.
// None, Root and Other match nothing. A PARTUUID of a GPT with PARTNROFF
// matches nothing by itself, since only the partition that the UUID names
// knows its disk: see MatchesFrom.
func (s Spec) Matches(d Info) bool {
	if s.Value == "" && s.Kind != Devnum {
		return false // not of Parse; a missing property is no match
	}
	switch s.Kind {
	case Path:
		return d.Devname() == s.Value || d.HasLink(strings.TrimPrefix(s.Value, "/dev/"))
	case UUID:
		v := encoded(d, "ID_FS_UUID_ENC", "ID_FS_UUID")
		return v != "" && foldUUID(v) == s.Value
	case Label:
		return s.isText(encoded(d, "ID_FS_LABEL_ENC", "ID_FS_LABEL"))
	case PartUUID:
		want, ok := s.partUUID()
		return ok && foldUUID(d.Property("ID_PART_ENTRY_UUID")) == want
	case PartLabel:
		return s.isText(encoded(d, "ID_PART_ENTRY_NAME", ""))
	case ID:
		return d.HasLink("disk/by-id/"+s.Value) || d.HasLink("disk/by-id/wwn-"+s.Value)
	case HWPath:
		return d.HasLink("disk/by-path/" + s.Value)
	case Devnum:
		major, minor, ok := d.Devnum()
		return ok && major == s.Major && minor == s.Minor
	case Mapper:
		return decode(d.Property("DM_NAME")) == s.Value || d.HasLink("mapper/"+mangle(s.Value))
	case LV:
		vg, lv, _ := strings.Cut(s.Value, "/")
		return d.Property("DM_NAME") == JoinLVM(vg, lv) || d.HasLink(s.Value) ||
			d.Devname() == "/dev/"+s.Value // some driver's own directory
	case MD:
		return d.HasLink("md/"+s.Value) || d.Property("MD_DEVNAME") == s.Value
	case Serial:
		// The whole disk only: its partitions have the same properties.
		return s.Value != "" && d.Property("DEVTYPE") != "partition" &&
			(d.Property("ID_SERIAL_SHORT") == s.Value || d.Property("ID_SERIAL") == s.Value)
	}
	return false
}

// Base is s without PARTNROFF: the partition that the UUID itself names.
func (s Spec) Base() Spec {
	s.PartOffset = 0
	return s
}

// MatchesFrom is Matches for a spec with PARTNROFF: d is named by s if it is
// on the same disk as base, a device that s.Base() matches, with the number
// shifted by the offset.
func (s Spec) MatchesFrom(base, d Info) bool {
	if s.Kind != PartUUID || !s.Base().Matches(base) {
		return false
	}
	disk := base.Property("ID_PART_ENTRY_DISK")
	from, err1 := strconv.Atoi(base.Property("ID_PART_ENTRY_NUMBER"))
	to, err2 := strconv.Atoi(d.Property("ID_PART_ENTRY_NUMBER"))
	return disk != "" && disk == d.Property("ID_PART_ENTRY_DISK") && err1 == nil && err2 == nil &&
		to == from+s.PartOffset
}

// partUUID is the PARTUUID of the partition that s names, with the offset
// counted in, which an MBR's id allows; ok is false if it does not.
func (s Spec) partUUID() (string, bool) {
	if s.PartOffset == 0 {
		return s.Value, true
	}
	disk, number, found := strings.Cut(s.Value, "-")
	if !found || strings.Contains(number, "-") {
		return "", false
	}
	n, err := strconv.ParseInt(number, 16, 32)
	if err != nil || int(n)+s.PartOffset < 1 {
		return "", false
	}
	hex := strconv.FormatInt(n+int64(s.PartOffset), 16)
	if len(hex) < 2 {
		hex = "0" + hex
	}
	return disk + "-" + hex, true
}

// isText compares a label. A label may have been written with %20 for a
// blank, but "100%25" may also be what it is.
func (s Spec) isText(label string) bool {
	return label != "" && (label == s.Value || label == unescape(s.Value, "%"))
}

// encoded is a property that is written with \xNN, else its plain sister,
// which udev has made safe by replacing characters.
func encoded(d Info, enc, plain string) string {
	if v := d.Property(enc); v != "" || plain == "" {
		return decode(v)
	}
	return d.Property(plain)
}

// mangle writes a device-mapper name as libdevmapper does below /dev/mapper
// (dm_udev_mangling "auto"): all but its white list as \xNN.
func mangle(name string) string {
	const ok = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#+-.:=@_"
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if strings.IndexByte(ok, name[i]) >= 0 {
			b.WriteByte(name[i])
			continue
		}
		b.WriteString(`\x`)
		b.WriteByte(digits[name[i]>>4])
		b.WriteByte(digits[name[i]&15])
	}
	return b.String()
}
