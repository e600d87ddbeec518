// Package integritytab reads integritytab(5) of systemd: devices of dm-integrity
// without encryption. It is pure: it says what the text says, and what is wrong
// with it.
package integritytab

import (
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/timespan"
)

// Limits of what is read.
const (
	MaxText    = 1 << 20 // bytes of the file
	maxEntries = 1024
)

// Entry is one line: a device.
type Entry struct {
	Name   string // of the mapped device
	Device devspec.Spec
	// KeyFile holds the key of an algorithm with one; "" for none.
	KeyFile string

	Algorithm     string // in the kernel's words: "crc32c", "hmac(sha256)"
	Mode          byte   // 'J' journal, 'B' bitmap, 'D' neither
	Data          devspec.Spec
	AllowDiscards bool
	Watermark     int // journal-watermark=, percent; 0 is the kernel's own
	CommitTime    int // journal-commit-time=, milliseconds; 0 is the kernel's own
}

// Keyed says whether the algorithm has a key.
func (e *Entry) Keyed() bool { return strings.HasPrefix(e.Algorithm, "hmac(") }

// Parse reads the file. Lines that cannot be used are left out; what is wrong is
// in the second result, for a person.
func Parse(file, text string) (list []Entry, problems []string) {
	if len(text) > MaxText {
		return nil, []string{fmt.Sprintf("%s: more than %d bytes", file, MaxText)}
	}
	line := 0
	names := map[string]bool{}
	for l := range strings.SplitSeq(text, "\n") {
		line++
		f := strings.Fields(l)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		say := func(what string) { problems = append(problems, fmt.Sprintf("%s:%d: %s", file, line, what)) }
		if len(list) == maxEntries {
			say("too many devices")
			break
		}
		e, err := entry(f, say)
		switch {
		case err != nil:
			say(err.Error())
		case names[e.Name]:
			say("the device " + e.Name + " is named twice")
		default:
			names[e.Name] = true
			list = append(list, e)
		}
	}
	return list, problems
}

func entry(f []string, say func(string)) (Entry, error) {
	e := Entry{Algorithm: "crc32c", Mode: 'J'}
	if len(f) < 2 || len(f) > 4 {
		return e, fmt.Errorf("it has %d fields, not a name, a device, a key file and options", len(f))
	}
	e.Name = f[0]
	if strings.ContainsAny(e.Name, "/\x00\\") || e.Name == "." || e.Name == ".." || len(e.Name) > 127 {
		return e, fmt.Errorf("%q cannot be a name in /dev/mapper", e.Name)
	}
	var err error
	if e.Device, err = devspec.Parse(f[1]); err != nil || !e.Device.IsDevice() {
		return e, fmt.Errorf("%q is no device", f[1])
	}
	if len(f) > 2 && f[2] != "-" && f[2] != "none" {
		if !strings.HasPrefix(f[2], "/") {
			return e, fmt.Errorf("the key file %q is not an absolute path", f[2])
		}
		e.KeyFile = f[2]
	}
	if len(f) > 3 && f[3] != "-" {
		for o := range strings.SplitSeq(f[3], ",") {
			if err := e.option(o, say); err != nil {
				return e, err
			}
		}
	}
	if e.Keyed() != (e.KeyFile != "") {
		return e, fmt.Errorf("the algorithm %s and the key file %q do not go together", e.Algorithm, e.KeyFile)
	}
	return e, nil
}

func (e *Entry) option(o string, say func(string)) error {
	name, value, _ := strings.Cut(o, "=")
	switch name {
	case "", "auto", "nofail", "_netdev", "x-initrd.attach":
	case "allow-discards":
		e.AllowDiscards = true
	case "mode":
		switch value {
		case "journal", "bitmap", "direct":
			e.Mode = strings.ToUpper(value)[0]
		default:
			return fmt.Errorf("option %s: not journal, bitmap or direct", o)
		}
	case "journal-watermark":
		n, err := strconv.ParseUint(strings.TrimSuffix(value, "%"), 10, 7)
		if err != nil || n > 100 {
			return fmt.Errorf("option %s: not a percentage", o)
		}
		e.Watermark = int(n)
	case "journal-commit-time":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			d, derr := timespan.Parse(value)
			if derr != nil || d.Milliseconds() > 1<<31 {
				return fmt.Errorf("option %s: not a number of milliseconds", o)
			}
			n = uint64(d.Milliseconds())
		}
		e.CommitTime = int(n)
	case "data-device":
		spec, err := devspec.Parse(value)
		if err != nil || !spec.IsDevice() {
			return fmt.Errorf("option %s: not a device", o)
		}
		e.Data = spec
	case "integrity-algorithm":
		switch value {
		case "crc32", "crc32c", "sha1", "sha256", "xxhash64":
			e.Algorithm = value
		case "hmac-sha1", "hmac-sha256", "hmac-sha512":
			e.Algorithm = "hmac(" + strings.TrimPrefix(value, "hmac-") + ")"
		default:
			return fmt.Errorf("option %s: not crc32, crc32c, xxhash64, sha1, sha256, hmac-sha1, hmac-sha256 or hmac-sha512", o)
		}
	default:
		if !strings.HasPrefix(name, "x-") {
			say("unknown option " + o)
		}
	}
	return nil
}
