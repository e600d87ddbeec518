package devmapper

import (
	"strings"

	"firstlight/internal/fmt"
)

// Mangle turns a name into the one that the kernel gets: every byte outside
// A-Z a-z 0-9 and #+-.:=@_ becomes \xNN, as libdevmapper does it by default.
// A name that holds such a sequence already is kept; one that mixes both is
// an error, as it is there. The result is checked as Create checks it.
func Mangle(name string) (string, error) {
	coded, plain := false, false
	for i := 0; i < len(name); i++ {
		switch {
		case plainByte(name[i]):
		case isCode(name[i:]):
			coded = true
			i += 3
		default:
			plain = true
		}
	}
	if coded && plain {
		return "", fmt.Errorf("device-mapper name %q: mixes \\x sequences with bytes that need one", name)
	}
	if plain {
		const digits = "0123456789abcdef"
		var b strings.Builder
		for i := range len(name) {
			if c := name[i]; plainByte(c) {
				b.WriteByte(c)
			} else {
				b.WriteString(`\x`)
				b.WriteByte(digits[c>>4])
				b.WriteByte(digits[c&15])
			}
		}
		name = b.String()
	}
	return name, checkName(name)
}

// Unmangle turns the kernel's name into the one that people see: \xNN
// becomes the byte.
func Unmangle(name string) string {
	if !strings.Contains(name, `\x`) {
		return name
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if isCode(name[i:]) {
			b = append(b, unhex(name[i+2])<<4|unhex(name[i+3]))
			i += 3
			continue
		}
		b = append(b, name[i])
	}
	return string(b)
}

func plainByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		strings.IndexByte("#+-.:=@_", c) >= 0
}

func isCode(s string) bool {
	return len(s) >= 4 && s[0] == '\\' && s[1] == 'x' && unhex(s[2]) < 16 && unhex(s[3]) < 16
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// checkName says what the kernel would refuse, and what could not be a name
// in /dev/mapper.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("device-mapper name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("device-mapper name %q: %d bytes, at most %d are allowed", name, len(name), MaxName)
	case name == "." || name == ".." || name == "control":
		return fmt.Errorf("device-mapper name %q is reserved", name)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("device-mapper name %q holds a slash or a zero byte", name)
	}
	return nil
}

func checkUUID(uuid string) error {
	if len(uuid) > MaxUUID || strings.IndexByte(uuid, 0) >= 0 {
		return fmt.Errorf("device-mapper uuid %q: at most %d bytes, no zero byte", uuid, MaxUUID)
	}
	return nil
}

// LVName is the device-mapper name of a logical volume: volume group, volume
// and, for a device below the volume, layer ("real", "cow" …), each with its
// hyphens doubled, joined by single ones.
func LVName(vg, lv, layer string) string {
	s := strings.ReplaceAll(vg, "-", "--")
	if lv != "" {
		s += "-" + strings.ReplaceAll(lv, "-", "--")
	}
	if layer != "" {
		s += "-" + strings.ReplaceAll(layer, "-", "--")
	}
	return s
}

// SplitLVName is the inverse of LVName. ok is false for a name without a
// volume: such a device is not LVM's.
func SplitLVName(name string) (vg, lv, layer string, ok bool) {
	var parts [3]string
	n := 0
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '-' && n < 2 {
			if i+1 < len(name) && name[i+1] == '-' {
				b.WriteByte('-')
				i++
				continue
			}
			parts[n] = b.String()
			b.Reset()
			n++
			continue
		}
		if name[i] == '-' && i+1 < len(name) && name[i+1] == '-' {
			i++
		}
		b.WriteByte(name[i])
	}
	parts[n] = b.String()
	return parts[0], parts[1], parts[2], parts[0] != "" && parts[1] != ""
}
