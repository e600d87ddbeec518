package overlay

import (
	"strings"

	"firstlight/internal/bootcmd"
)

// This file reads the forms of an overlay that the parser of the command line,
// which the small /init has, leaves to this package: encrypted changes, and the
// files of Debian's overlayroot.

// secret is how changes are encrypted.
type secret struct {
	name   string // of the mapped device
	pass   string // "" is a key that nobody knows, anew at each boot
	ask    bool   // a LUKS device that is there is opened by its passphrase
	fstype string
	mkfs   string // "0", "1", "2" as overlayroot.conf has it; "" is that nothing is said
}

// mkfsTypes are the filesystems that can be made.
const mkfsTypes = " ext2 ext3 ext4 "

// read reads a value of overlayroot= with what is encrypted in it. by is what
// asks for it.
func read(by, value string) (o bootcmd.Overlay, s *secret, why string) {
	options, crypted := strings.CutPrefix(value, "crypt:")
	if value == "crypt" {
		crypted = true
	}
	if crypted {
		s = &secret{name: "secure", fstype: "ext4"}
		if options, why = s.options(options); why != "" {
			return o, nil, why
		}
		value = "device:" + options
	}
	if strings.ContainsAny(value, "\"\x00\n") {
		return o, nil, "has a character that no device has"
	}
	cfg, problems := bootcmd.Parse(bootcmd.Source{Name: by, Text: `"overlayroot=` + value + `"`})
	o = cfg.Overlay
	if len(problems) > 0 {
		return o, nil, problems[0].Reason
	}
	if o.Cannot != "" {
		return o, nil, "asks for " + o.Cannot
	}
	if o.By != "" {
		o.By = by
	}
	return o, s, ""
}

// options takes its own options out of a list with commas, and returns the rest.
func (s *secret) options(list string) (rest, why string) {
	var others []string
	for word := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "mapname":
			s.name = value
		case "pass":
			s.pass = value
		case "fstype":
			s.fstype = value
		case "mkfs":
			s.mkfs = value
		case "dev":
			if value != "" && !strings.ContainsAny(value, "/=:") { // as overlayroot has it
				word = "dev=/dev/" + value
			}
			others = append(others, word)
		default:
			others = append(others, word)
		}
	}
	switch {
	case s.name == "" || strings.ContainsAny(s.name, "/") || s.name == "control" || strings.HasPrefix(s.name, "-"):
		why = "mapname= is no name of a mapped device"
	case !strings.Contains(mkfsTypes, " "+s.fstype+" "):
		why = "fstype=" + s.fstype + " is none of ext2, ext3, ext4"
	case s.mkfs != "" && s.mkfs != "0" && s.mkfs != "1" && s.mkfs != "2":
		why = "mkfs=" + s.mkfs + " is none of 0, 1, 2"
	}
	return strings.Join(others, ","), why
}

// readDracut reads rd.overlay.crypt=DEVICE[,OPTIONS] (dracut.cmdline(7)).
func readDracut(value string) (o bootcmd.Overlay, s *secret, why string) {
	const by = "rd.overlay.crypt"
	device, options, _ := strings.Cut(value, ",")
	s = &secret{name: "overlay-crypt", fstype: "ext4", ask: true}
	if options, why = s.options(options); why != "" {
		return o, nil, why
	}
	if s.pass != "" || s.mkfs == "2" {
		return o, nil, "has an option that only overlayroot= has"
	}
	device, _ = s.options("dev=" + device)
	if o, _, why = read(by, "device:"+device+","+options); why == "" {
		o.Kind, o.Recurse = bootcmd.OverlayRun, false
	}
	return o, s, why
}
