package netfile

import (
	"bytes"
	"slices"
	"strings"

	"firstlight/internal/udevd/glob"
)

// Device is a link as a [Match] section sees it. Functions are called only where a
// file asks.
type Device struct {
	Name               string
	Address, Permanent []byte
	Kind               string // of a link that software has made
	Type               string // "ether", "wlan", "infiniband" …
	Renamed            bool   // the name is none of the kernel's
	Path               func() string
	Driver             func() string
	// Property is a property of udev's, "" if it is not known.
	Property func(name string) string
	// Parameter says whether the kernel command line has a word.
	Parameter func(word string) bool
}

// Link is what a .link file makes of a link.
type Link struct {
	File string
	// Policy are the ways to a name, in their order ("keep", "kernel", "database",
	// "onboard", "slot", "path", "mac"), Name is the name if none has one.
	Policy []string
	Name   string
	// Addresses is what becomes of the hardware address: "persistent", "random",
	// "none" or "". Address is one that is given.
	Addresses string
	Address   []byte
	MTU       uint32 // bytes; 0: nothing is said
	Alias     string
}

// Links are the .link files of an image.
type Links struct{ rules []rule }

type rule struct {
	match match
	link  Link
}

// Default is what systemd's own 99-default.link says, for images without one.
const Default = "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel database onboard slot path\nMACAddressPolicy=persistent\n"

// ParseLinks reads files, which Choose has put in order. What is wrong with them is
// reported.
func ParseLinks(files []File) (*Links, []string) {
	l := &Links{}
	var problems []string
	for _, f := range files {
		sections := parse(f.Text)
		m, err := parseMatch(sections)
		if err != "" {
			problems = append(problems, f.Path+": "+err+": it is not used")
			continue
		}
		r := rule{match: m, link: Link{File: f.Path}}
		s := joined(sections, "Link")
		r.link.Policy = s.list("NamePolicy")
		r.link.Name, r.link.Alias, r.link.Addresses = s.get("Name"), s.get("Alias"), s.get("MACAddressPolicy")
		if v := s.get("MACAddress"); v != "" {
			if r.link.Address = hardware(v); len(r.link.Address) == 0 {
				problems = append(problems, f.Path+": MACAddress: "+v+" is not a hardware address")
			}
		}
		if v := s.get("MTUBytes"); v != "" {
			n, ok := size(v)
			if !ok || n < 68 {
				problems = append(problems, f.Path+": MTUBytes: "+v+" is not a size of packets")
			} else {
				r.link.MTU = n
			}
		}
		l.rules = append(l.rules, r)
	}
	return l, problems
}

// For is the first file that is for a device, nil for none.
func (l *Links) For(d *Device) *Link {
	for i := range l.rules {
		if l.rules[i].match.fits(d) {
			return &l.rules[i].link
		}
	}
	return nil
}

// match is a [Match] section.
type match struct {
	tests []test
}

type test struct {
	key   string
	words []string
	not   bool
}

// parseMatch reads the section. err says what of it cannot be judged here.
func parseMatch(sections []section) (m match, err string) {
	s := joined(sections, "Match")
	var done []string
	for _, p := range s.pairs {
		if slices.Contains(done, p.key) {
			continue
		}
		done = append(done, p.key)
		t := test{key: p.key, words: words(&s, p.key)}
		if len(t.words) == 0 {
			continue
		}
		if w, ok := strings.CutPrefix(t.words[0], "!"); ok {
			t.not, t.words[0] = true, w
			if w == "" {
				t.words = t.words[1:]
			}
		}
		switch p.key {
		case "MACAddress", "PermanentMACAddress":
			for _, w := range t.words {
				if hardware(w) == nil {
					return m, p.key + ": " + w + " is not a hardware address"
				}
			}
		case "OriginalName", "Name", "Path", "Driver", "Type", "Kind", "Property", "KernelCommandLine":
		default:
			return m, p.key + "= cannot be judged in an initramfs"
		}
		m.tests = append(m.tests, t)
	}
	return m, ""
}

// words are those of a key; those of properties may be quoted.
func words(s *section, key string) []string {
	if key != "Property" {
		return s.list(key)
	}
	var list []string
	for _, p := range s.pairs {
		if p.key != key {
			continue
		}
		if p.value == "" {
			list = nil
		}
		list = append(list, quoted(p.value)...)
	}
	return list
}

// quoted splits a text into words; '"' keeps blanks together, and '\' takes what
// follows it as it is.
func quoted(s string) (list []string) {
	word, in, any := "", false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			word, any = word+s[i:i+1], true
		case c == '"':
			in, any = !in, true
		case c == ' ' && !in || c == '\t' && !in:
			if any {
				list = append(list, word)
			}
			word, any = "", false
		default:
			word, any = word+s[i:i+1], true
		}
	}
	if any {
		list = append(list, word)
	}
	return list
}

func (m *match) fits(d *Device) bool {
	for _, t := range m.tests {
		if t.holds(d) == t.not {
			return false
		}
	}
	return true
}

func (t *test) holds(d *Device) bool {
	some := func(f func(w string) bool) bool { return slices.ContainsFunc(t.words, f) }
	globs := func(value string) bool { return some(func(w string) bool { return glob.Match(w, value) }) }
	switch t.key {
	case "MACAddress":
		return some(func(w string) bool { return bytes.Equal(hardware(w), d.Address) })
	case "PermanentMACAddress":
		return len(d.Permanent) > 0 && some(func(w string) bool { return bytes.Equal(hardware(w), d.Permanent) })
	case "OriginalName":
		return !d.Renamed && globs(d.Name)
	case "Name":
		return globs(d.Name)
	case "Path":
		p := d.Path()
		return p != "" && globs(p)
	case "Driver":
		p := d.Driver()
		return p != "" && globs(p)
	case "Type":
		return globs(d.Type)
	case "Kind":
		return globs(d.Kind)
	case "KernelCommandLine":
		return some(d.Parameter)
	}
	for _, w := range t.words { // all of them
		name, value, ok := strings.Cut(w, "=")
		if is := d.Property(name); !ok || is != value || is == "" {
			return false
		}
	}
	return true
}
