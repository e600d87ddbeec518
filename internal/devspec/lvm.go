package devspec

import "strings"

// JoinLVM is the device-mapper name of a logical volume: both names with
// their hyphens doubled, joined by one (libdevmapper,
// dm_build_dm_name).
func JoinLVM(vg, lv string) string {
	return strings.ReplaceAll(vg, "-", "--") + "-" + strings.ReplaceAll(lv, "-", "--")
}

// SplitLVM undoes JoinLVM. layer is what follows a second single hyphen, as
// in the names of the parts of a mirror or a thin pool; it is as a rule not
// for mounting. ok is false if the name cannot be one of LVM's.
func SplitLVM(name string) (vg, lv, layer string, ok bool) {
	vg, rest, found := cutHyphen(name)
	if !found {
		return "", "", "", false
	}
	lv, layer, _ = cutHyphen(rest)
	if !ValidLVMName(vg) || !ValidLVMName(lv) {
		return "", "", "", false
	}
	return vg, lv, layer, true
}

// cutHyphen splits at the first single hyphen and un-doubles those before it.
func cutHyphen(s string) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '-' {
			i++
			continue
		}
		return strings.ReplaceAll(s[:i], "--", "-"), s[i+1:], true
	}
	return strings.ReplaceAll(s, "--", "-"), "", false
}

// ValidLVMName holds for names that LVM allows for volume groups and volumes
// (lvm(8), VALID NAMES).
func ValidLVMName(s string) bool {
	if s == "" || len(s) > 127 || s[0] == '-' || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '+' && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
