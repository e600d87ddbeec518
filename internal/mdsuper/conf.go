package mdsuper

import (
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// Conf is what mdadm.conf(5) says.
type Conf struct {
	Arrays []ArrayLine
	// Devices are the words of the DEVICE lines: patterns of paths,
	// "partitions", "containers". None means both of the latter.
	Devices []string
	// HomeHost is "", "<system>", "<none>", "<ignore>" or a name.
	HomeHost string
	// Auto are the words of the AUTO lines: "+1.x", "-all", "homehost" ….
	Auto []string
	// Create are the key=value words of the CREATE lines, keys in lower case.
	Create map[string]string
}

// ArrayLine is one ARRAY line. Every value that is given must match.
type ArrayLine struct {
	Line int
	// Device is the path to be used, "/dev/md0", "/dev/md/root"; "" if none
	// is given; "<ignore>" for an array that is not to be assembled.
	Device     string
	UUID       *UUID
	Name       string
	SuperMinor int      // -1 if not given
	Level      string   // "raid1" …, "" if not given
	NumDevices int      // 0 if not given
	Devices    []string // patterns of member paths
	Metadata   string   // "1.2", "0.90", "1.x", "imsm", "ddf" …
	Container  string
	Member     string
}

// Ignored says that the line names an array that is not to be assembled.
func (l *ArrayLine) Ignored() bool { return strings.EqualFold(l.Device, "<ignore>") }

// ConfError is a line that is not understood.
type ConfError struct {
	File string
	Line int
	Msg  string
}

// Error implements error.
func (e *ConfError) Error() string { return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Msg }

// keywords are the words that start a line. mdadm takes them in any case and
// cut off after at least three letters.
var keywords = [...]string{
	"device", "array", "mailaddr", "mailfrom", "program", "create", "homehost", "homecluster", "auto",
	"policy", "part-policy", "sysfs", "monitordelay", "encryption_no_verify",
}

// ParseConf reads the text of an mdadm.conf. What is not understood is
// reported, with file as the file's name, and the rest is used: a bad line
// must not keep the other arrays from being assembled.
func ParseConf(file, text string) (*Conf, []error) {
	c := &Conf{Create: map[string]string{}}
	var errs []error
	for _, l := range confLines(text) {
		fail := func(format string, a ...any) {
			errs = append(errs, &ConfError{file, l.number, fmt.Sprintf(format, a...)})
		}
		if l.open {
			fail("quote is not closed")
		}
		key, args := strings.ToLower(l.words[0]), l.words[1:]
		word := ""
		if len(key) >= 3 {
			for _, k := range keywords {
				if strings.HasPrefix(k, key) {
					word = k
					break
				}
			}
		}
		switch word {
		case "":
			fail("unknown keyword %q", l.words[0])
		case "device":
			c.Devices = append(c.Devices, args...)
		case "auto":
			c.Auto = append(c.Auto, args...)
		case "homehost":
			switch {
			case len(args) != 1:
				fail("HOMEHOST has %d words, not one", len(args))
			case c.HomeHost == "":
				c.HomeHost = args[0]
			case c.HomeHost != args[0]:
				fail("HOMEHOST is given twice; %q stays", c.HomeHost)
			}
		case "create":
			for _, a := range args {
				k, v, ok := strings.Cut(a, "=")
				if !ok {
					fail("CREATE: %q is not key=value", a)
					continue
				}
				c.Create[strings.ToLower(k)] = v
			}
		case "sysfs":
			fail("SYSFS is left to the real system: write the attributes there, with tmpfiles.d(5)")
		case "array":
			a := arrayLine(l.number, args, fail)
			if a != nil {
				c.Arrays = append(c.Arrays, *a)
			}
		}
	}
	return c, errs
}

// arrayLine reads the words of an ARRAY line; nil if nothing of it would be
// safe to use.
func arrayLine(number int, words []string, fail func(string, ...any)) *ArrayLine {
	a := &ArrayLine{Line: number, SuperMinor: -1}
	identity, bad := false, false
	wrong := func(format string, args ...any) { bad = true; fail(format, args...) }
	for _, w := range words {
		key, val, ok := strings.Cut(w, "=")
		if !ok || strings.HasPrefix(w, "/") {
			if a.Device != "" {
				wrong("ARRAY names two devices, %q and %q", a.Device, w)
				continue
			}
			if a.Device = confDevice(w); a.Device == "" {
				wrong("ARRAY: %q is not a name of an MD device", w)
			}
			continue
		}
		switch key = strings.ReplaceAll(strings.ToLower(key), "_", "-"); key {
		case "uuid":
			u, err := ParseUUID(val)
			if err != nil {
				wrong("ARRAY: %v", err)
				continue
			}
			a.UUID, identity = &u, true
		case "name":
			if len(val) > 32 {
				wrong("ARRAY: name %q is longer than 32 bytes", val)
			}
			a.Name, identity = val, true
		case "super-minor":
			n, err := strconv.ParseUint(val, 10, 20)
			if err != nil {
				wrong("ARRAY: super-minor %q is not a number", val)
				continue
			}
			a.SuperMinor, identity = int(n), true
		case "devices":
			a.Devices, identity = strings.Split(val, ","), true
		case "level":
			a.Level = normalLevel(val)
		case "num-devices", "disks", "raid-disks":
			n, err := strconv.ParseUint(val, 10, 16)
			if err != nil || n == 0 {
				wrong("ARRAY: %s=%q is not a number of devices", key, val)
			}
			a.NumDevices = int(n)
		case "metadata":
			a.Metadata = val
		case "container":
			a.Container, identity = val, true
		case "member":
			a.Member, identity = val, true
		case "spares", "spare-group", "bitmap", "auto":
			// For monitoring, and for kernels before 2.6: of no matter here.
		default:
			fail("ARRAY: unknown word %q", w)
		}
	}
	if bad {
		return nil
	}
	if !identity {
		fail("ARRAY says nothing by which its members are known (uuid=, name= …)")
		return nil
	}
	return a
}

// confDevice turns the device of an ARRAY line into a path.
func confDevice(w string) string {
	switch {
	case strings.EqualFold(w, "<ignore>"), strings.EqualFold(w, "<none>"):
		return strings.ToLower(w)
	case strings.HasPrefix(w, "/dev/md/"), strings.HasPrefix(w, "/dev/md"):
		return w
	case strings.HasPrefix(w, "/"):
		return w // a link of the administrator's
	case w == "" || strings.Contains(w, "/"):
		return ""
	case isNumbered(w) || strings.HasPrefix(w, "md_"):
		return "/dev/" + w
	}
	return "/dev/md/" + w
}

// isNumbered says whether a word is "md" and digits.
func isNumbered(w string) bool {
	rest, ok := strings.CutPrefix(w, "md")
	return ok && allDigits(rest)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func normalLevel(s string) string {
	s = strings.ToLower(s)
	if allDigits(s) {
		return "raid" + s
	}
	switch s {
	case "mirror":
		return "raid1"
	case "stripe":
		return "raid0"
	case "raid1e":
		return "raid10"
	}
	return s
}

type confLine struct {
	number int
	words  []string
	open   bool // a quote is not closed
}

// confLines splits a text into lines of words. A line that starts with white
// space goes on with the one before; a word that starts with '#' starts a
// comment; quotes of either kind may stand anywhere in a word.
func confLines(text string) []confLine {
	var lines []confLine
	number := 0
	for raw := range strings.SplitSeq(text, "\n") {
		number++
		raw = strings.TrimSuffix(raw, "\r")
		goesOn := raw != "" && (raw[0] == ' ' || raw[0] == '\t')
		words, open := confWords(raw)
		if len(words) == 0 {
			continue
		}
		if goesOn && len(lines) > 0 {
			l := &lines[len(lines)-1]
			l.words = append(l.words, words...)
			l.open = l.open || open
			continue
		}
		lines = append(lines, confLine{number, words, open})
	}
	return lines
}

func confWords(s string) (words []string, open bool) {
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' {
			i++
			continue
		}
		if s[i] == '#' {
			return words, false
		}
		var b []byte
		var quote byte
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case quote != 0 && c == quote:
				quote = 0
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case quote == 0 && (c == ' ' || c == '\t'):
			default:
				b = append(b, c)
				continue
			}
			break
		}
		words = append(words, string(b))
		open = quote != 0
	}
	return words, open
}

// ConfFiles are where mdadm looks for its configuration, the first that is there
// counting. Beside each is a directory, with ".d" after the name, whose files
// that end in ".conf" are read after it, in the order of their names.
var ConfFiles = [...]string{"/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"}

// ConfText puts the text of a configuration together. read gives that of a file,
// "" if it is not there, and list the names in a directory, sorted.
func ConfText(read func(path string) string, list func(dir string) []string) string {
	text := ""
	for _, file := range ConfFiles {
		if text = read(file); text != "" {
			break
		}
	}
	for _, file := range ConfFiles {
		names := list(file + ".d")
		for _, name := range names {
			if strings.HasSuffix(name, ".conf") && name[0] != '.' {
				text += "\n" + read(file+".d/"+name)
			}
		}
		if len(names) > 0 {
			break
		}
	}
	return text
}
