package devspec

import (
	"errors"
	"path"
	"strconv"
	"strings"
)

// MaxLen bounds a name, in bytes; the kernel's command line is shorter.
const MaxLen = 4096

// tags are the names before '='. Matched without regard to case, as some
// dialects have "Label=" and "uuid=".
var tags = [...]struct {
	name string
	kind Kind
}{
	{"UUID", UUID}, {"LABEL", Label}, {"PARTUUID", PartUUID}, {"PARTLABEL", PartLabel},
	{"ID", ID}, {"WWID", ID}, {"HWPATH", HWPath}, {"SERIAL", Serial},
}

// byDirs are the directories of links of systemd-udevd's 60-persistent-storage
// rules that name a device by a property.
var byDirs = [...]struct {
	dir  string
	kind Kind
}{
	{"/dev/disk/by-uuid/", UUID}, {"/dev/disk/by-label/", Label},
	{"/dev/disk/by-partuuid/", PartUUID}, {"/dev/disk/by-partlabel/", PartLabel},
	{"/dev/disk/by-id/", ID}, {"/dev/disk/by-path/", HWPath},
}

// others are the schemes ("nfs:…") of roots that are not block devices here.
const others = " nfs nfs4 iscsi nbd cifs live http https ftp tftp torrent virtiofs 9p zfs ubi ubi0 mtd" +
	" bind overlay aoe fcoe sshfs casync dhcp nvmf oci "

// otherWords are whole values of root= that name no block device: those that
// systemd's generators, dracut, make-initrd and the kernel take.
const otherWords = " gpt-auto gpt-auto-force dissect dissect-force fstab tmpfs off dhcp dhcp6 pipeline nfs nfs4" +
	" zfs cifs overlay "

// notVG are directories of /dev which are not volume groups.
const notVG = " ataraid block bsg bus cciss char cpu disk dm dri etherd fd hugepages i2o ida input loop mapper md" +
	" mqueue net nvme pts rd shm snd usb vfio zvol "

// Parse reads one spelling of a device; an empty text gives the zero Spec.
// The error says what is wrong with the text, but not which text it was.
//
// It reads: paths of /dev, with the links of /dev/disk/by-*, /dev/mapper,
// /dev/md, /dev/VG/LV and /dev/block/8:1 understood; UUID=, LABEL=,
// PARTUUID= (with /PARTNROFF=n), PARTLABEL=, ID=, WWID=, HWPATH=, SERIAL=;
// 8:1; the kernel's hexadecimal 0801; and roots that are not block devices
// ("nfs:…", "zfs:…", "gpt-auto", "mtd0"), as Other. "block:" may stand before
// the name of a device. A value may be in double
// or single quotes, and labels may have udev's \x20.
func Parse(text string) (Spec, error) {
	if len(text) > MaxLen {
		return Spec{}, errors.New("name is longer than " + strconv.Itoa(MaxLen) + " bytes")
	}
	s := unquote(text)
	if s == "" {
		return Spec{}, nil
	}
	s = unquote(strings.TrimPrefix(s, "block:")) // dracut's, for a root that is none on the network
	if strings.IndexByte(s, 0) >= 0 {
		return Spec{}, errors.New("name has a zero byte")
	}
	if strings.HasPrefix(s, "/") {
		return parsePath(s)
	}
	if name, value, ok := strings.Cut(s, "="); ok {
		for _, t := range tags {
			if strings.EqualFold(name, t.name) {
				return parseTag(t.kind, t.name, unquote(value))
			}
		}
		switch {
		case strings.EqualFold(name, "ZFS"):
			return Spec{Kind: Other, Scheme: "zfs", Value: s}, nil
		case strings.EqualFold(name, "SOURCE"): // make-initrd: a step of its pipeline
			return Spec{Kind: Other, Scheme: "pipeline", Value: s}, nil
		case !strings.ContainsAny(name, ":/"):
			return Spec{}, errors.New("unknown kind of name " + escape(name, true) + "=")
		}
	}
	if spec, ok := parseDevnum(s); ok {
		return spec, nil
	}
	if spec, ok := parseOther(s); ok {
		return spec, nil
	}
	if spec, ok := parseHex(s); ok {
		return spec, nil
	}
	return Spec{}, errors.New("neither a path below /dev nor UUID=, LABEL=, PARTUUID=, PARTLABEL= or a device number")
}

func parsePath(s string) (Spec, error) {
	for _, d := range byDirs {
		if rest, ok := strings.CutPrefix(s, d.dir); ok && (rest == "" || d.kind != ID && d.kind != HWPath) {
			// Before path.Clean: "//" cannot be in these names, udev writes
			// a '/' as \x2f.
			if strings.Contains(rest, "/") && d.kind != PartUUID {
				return Spec{}, errors.New("path goes below " + d.dir + "NAME")
			}
			return parseTag(d.kind, strings.TrimSuffix(d.dir, "/"), rest)
		}
	}
	if s == "/dev/nfs" || s == "/dev/cifs" || s == "/dev/sshfs" {
		return Spec{Kind: Other, Scheme: s[len("/dev/"):], Value: s}, nil
	}
	if i := strings.Index(s, ":/dev/"); i > 0 && strings.HasPrefix(s, "/dev/") {
		// bcachefs names a filesystem by all its devices.
		return Spec{Kind: Other, Scheme: "bcachefs", Value: s}, nil
	}
	p := path.Clean(s)
	rel, ok := strings.CutPrefix(p, "/dev/")
	if !ok {
		if p == "/dev" {
			return Spec{}, errors.New("a directory, not a device")
		}
		return Spec{}, errors.New("path is not below /dev")
	}
	if strings.HasSuffix(s, "/") {
		return Spec{}, errors.New("path ends in /")
	}
	dir, name, nested := strings.Cut(rel, "/")
	switch {
	case rel == "root":
		return Spec{Kind: Root}, nil
	case !nested:
		return Spec{Kind: Path, Value: p}, nil
	case dir == "mapper":
		v := decode(name)
		if v == "control" || strings.Contains(name, "/") {
			return Spec{}, errors.New("not the name of a device-mapper device")
		}
		return Spec{Kind: Mapper, Value: v}, nil
	case dir == "md" && !strings.Contains(name, "/"):
		return Spec{Kind: MD, Value: name}, nil
	case dir == "block":
		if spec, ok := parseDevnum(name); ok {
			return spec, nil
		}
		return Spec{}, errors.New("/dev/block has names such as 8:1")
	case dir == "disk":
		for _, d := range byDirs {
			if v, ok := strings.CutPrefix(p, d.dir); ok {
				return parseTag(d.kind, strings.TrimSuffix(d.dir, "/"), v)
			}
		}
		return Spec{Kind: Path, Value: p}, nil
	case strings.Contains(notVG, " "+dir+" ") || strings.Contains(name, "/"):
		return Spec{Kind: Path, Value: p}, nil
	case ValidLVMName(dir) && ValidLVMName(name):
		return Spec{Kind: LV, Value: dir + "/" + name}, nil
	}
	return Spec{Kind: Path, Value: p}, nil
}

func parseTag(kind Kind, tag, v string) (Spec, error) {
	if v == "" {
		return Spec{}, errors.New("nothing follows " + tag)
	}
	spec := Spec{Kind: kind}
	if kind == PartUUID {
		if base, off, ok := cutOffset(v); ok {
			n, err := strconv.Atoi(off)
			if err != nil || n < -maxPartition || n > maxPartition {
				return Spec{}, errors.New("PARTNROFF is not a number of partitions")
			}
			v, spec.PartOffset = base, n
		}
	}
	switch kind {
	case ID, HWPath: // the link's own spelling, escapes and all
		if strings.HasSuffix(v, "/") || path.Clean("/"+v) != "/"+v {
			return Spec{}, errors.New("not the name of a link in " + tag)
		}
		spec.Value = v
		return spec, nil
	}
	v = decode(v)
	switch kind {
	case UUID:
		v = foldUUID(v)
		if err := checkUUID(v); err != nil {
			return Spec{}, err
		}
	case PartUUID:
		v = foldUUID(v)
		if err := checkPartUUID(v); err != nil {
			return Spec{}, err
		}
	}
	spec.Value = v
	return spec, nil
}

// maxPartition bounds PARTNROFF; GPT tables hold 128 entries as a rule, the
// kernel has DISK_MAX_PARTS of 256.
const maxPartition = 256

// cutOffset splits "…/PARTNROFF=n". The kernel wants it in upper case.
func cutOffset(v string) (base, off string, ok bool) {
	i := strings.Index(v, "/")
	if i < 0 {
		return v, "", false
	}
	off, ok = strings.CutPrefix(v[i+1:], "PARTNROFF=")
	if !ok {
		return v, "", false
	}
	return v[:i], off, true
}

// checkUUID accepts the forms that superblocks have: letters, digits and
// dashes. LVM's are not hexadecimal, hence no more can be asked.
func checkUUID(v string) error {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return errors.New("UUID has the character " + quote(string(rune(c))))
		}
	}
	if dashed(v) && !hexDashed(v) {
		return errors.New("UUID has the length of a hexadecimal one, but other letters in it")
	}
	return nil
}

// checkPartUUID accepts a GPT UUID, and an MBR disk id with the partition's
// number, both hexadecimal: "1234abcd-01".
func checkPartUUID(v string) error {
	if !hexDashed(v) {
		return errors.New("PARTUUID is not hexadecimal")
	}
	if dashed(v) || len(v) >= 10 && len(v) <= 12 && v[8] == '-' && strings.Count(v, "-") == 1 {
		return nil
	}
	return errors.New("PARTUUID is neither a UUID nor a disk id and number such as 1234abcd-01")
}

// foldUUID gives hexadecimal ids their canonical form: lower case, and the
// dashes of a UUID that was written without them. Others (LVM's have both
// cases) stay as they are.
func foldUUID(v string) string {
	if !hexDashed(v) {
		return v
	}
	v = strings.ToLower(v)
	if len(v) == 32 && !strings.Contains(v, "-") {
		v = v[:8] + "-" + v[8:12] + "-" + v[12:16] + "-" + v[16:20] + "-" + v[20:]
	}
	return v
}

// FoldUUID is the canonical form of a UUID as a Spec holds it, for comparing
// two of any spelling: hexadecimal ones in lower case with dashes.
func FoldUUID(v string) string { return foldUUID(v) }

func hexDashed(v string) bool {
	for i := 0; i < len(v); i++ {
		if _, ok := hexDigit(v[i]); !ok && v[i] != '-' {
			return false
		}
	}
	return v != "" && strings.Trim(v, "-") != ""
}

// dashed says whether v has the shape of a UUID of RFC 9562.
func dashed(v string) bool {
	return len(v) == 36 && v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-' && strings.Count(v, "-") == 4
}

// parseDevnum reads "8:1", and "8:1:OFFSET" of which the kernel, too, takes
// the first two.
func parseDevnum(s string) (Spec, bool) {
	ma, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Spec{}, false
	}
	mi, off, more := strings.Cut(rest, ":")
	if more {
		if _, err := strconv.ParseUint(strings.TrimSuffix(off, ":"), 10, 32); err != nil {
			return Spec{}, false
		}
	}
	// Twelve and twenty bits: the kernel's dev_t.
	major, err1 := strconv.ParseUint(ma, 10, 12)
	minor, err2 := strconv.ParseUint(mi, 10, 20)
	if err1 != nil || err2 != nil || major == 0 && minor == 0 {
		return Spec{}, false
	}
	return Spec{Kind: Devnum, Major: uint32(major), Minor: uint32(minor)}, true
}

// parseHex reads a device number as boot loaders once wrote it: "0801",
// "0x0801", or with more digits the kernel's new_decode_dev layout, in which
// bits 8 to 19 are the major number and the rest the minor.
func parseHex(s string) (Spec, bool) {
	h := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	v, err := strconv.ParseUint(h, 16, 32)
	if err != nil || v == 0 || strings.ContainsAny(h, "+-_") {
		return Spec{}, false
	}
	return Spec{Kind: Devnum, Major: uint32(v&0xfff00) >> 8, Minor: uint32(v&0xff | v>>12&0xfff00)}, true
}

func parseOther(s string) (Spec, bool) {
	if strings.Contains(otherWords, " "+s+" ") {
		return Spec{Kind: Other, Scheme: s, Value: s}, true
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if ok && scheme != "" {
		if strings.Contains(others, " "+scheme+" ") {
			if scheme == "ubi0" {
				scheme = "ubi"
			}
			return Spec{Kind: Other, Scheme: scheme, Value: s}, true
		}
		// "server:/dir" is NFS to dracut and the kernel.
		if strings.HasPrefix(rest, "/") && !strings.ContainsAny(scheme, "/=") {
			return Spec{Kind: Other, Scheme: "nfs", Value: s}, true
		}
	}
	for _, flash := range [...]string{"mtd", "ubi"} {
		if n, ok := strings.CutPrefix(s, flash); ok && n != "" && strings.Trim(n, "0123456789_") == "" &&
			n[0] != '_' {
			return Spec{Kind: Other, Scheme: flash, Value: s}, true
		}
	}
	return Spec{}, false
}
