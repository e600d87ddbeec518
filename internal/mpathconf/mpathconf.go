// Package mpathconf reads what multipath-tools keep of disks with several paths:
// multipath.conf(5), and in /etc/multipath the files wwids and bindings. It reads
// text and decides nothing about devices that are there.
package mpathconf

import (
	"strings"
	"time"

	"firstlight/internal/fmt"
	"firstlight/internal/order"
)

// MaxText bounds each of the files, in bytes.
const MaxText = 256 << 10

// Find says which disks are used by their paths: find_multipaths of
// multipath.conf(5).
type Find uint8

// The values of find_multipaths.
const (
	FindStrict Find = iota // those that the file wwids lists
	FindOn                 // those, and each of which two paths are there
	FindSmart              // the same; a first path waits for a second one
	FindGreedy             // every disk that is not excluded; "off" is this to multipathd
)

// Conf is what multipath.conf says, as far as a boot needs it.
type Conf struct {
	// FriendlyNames: devices are named by the bindings (mpatha).
	FriendlyNames bool
	Find          Find
	// FindTimeout is how long FindSmart waits, negative for what less is enough
	// of where the disk is none of an array that is known.
	FindTimeout time.Duration
	// Alias are the names of devices by their WWIDs.
	Alias map[string]string
	// Blacklist and Exceptions say which disks have no paths.
	Blacklist, Exceptions List

	defaults, overrides settings
	devices             []section
	multipaths          map[string]settings // by WWID
}

// settings are keys with their values.
type settings map[string]string

// section is what is said of the disks of a model.
type section struct {
	Model
	settings
}

// List is a list of disks, by patterns.
type List struct {
	WWID, Devnode, Property, Protocol []string
	Device                            []Model
}

// Model is a vendor and a product, patterns of which "" fits all.
type Model struct{ Vendor, Product string }

// Default is the configuration where nothing is said.
func Default() *Conf {
	return &Conf{FindTimeout: -10 * time.Second, Alias: map[string]string{}, defaults: settings{}, overrides: settings{}, multipaths: map[string]settings{}}
}

// maxDepth bounds how deep sections lie in each other.
const maxDepth = 4

// Parse reads a multipath.conf. Problems are for a person; what they are about
// is left out.
func Parse(text string) (c *Conf, problems []string) {
	c = Default()
	if len(text) > MaxText {
		return c, []string{fmt.Sprintf("multipath.conf: longer than %d bytes", MaxText)}
	}
	var at []string
	here := settings{} // of the section that is being read
	line := 0
	bad := func(why string) { problems = append(problems, fmt.Sprintf("multipath.conf:%d: %s", line, why)) }
	for raw := range strings.Lines(text) {
		line++
		words := split(raw)
		for len(words) > 0 {
			switch {
			case words[0] == "}":
				if len(at) == 0 {
					bad("a brace that closes nothing")
				} else {
					c.section(strings.Join(at, " "), here)
					here = settings{}
					at = at[:len(at)-1]
				}
				words = words[1:]
			case len(words) > 1 && words[1] == "{":
				if len(at) == maxDepth {
					bad("too many sections in each other")
					return c, problems
				}
				at, here = append(at, words[0]), settings{}
				words = words[2:]
			case len(words) < 2:
				bad(words[0] + " has no value")
				words = nil
			default:
				c.set(strings.Join(at, " "), here, words[0], words[1])
				words = words[2:]
			}
		}
	}
	if len(at) > 0 {
		bad("the section " + at[len(at)-1] + " is not closed")
	}
	return c, problems
}

// section takes a section of which all was read.
func (c *Conf) section(path string, s settings) {
	model := Model{s["vendor"], s["product"]}
	switch path {
	case "multipaths multipath":
		if id := s["wwid"]; id != "" {
			c.multipaths[id] = s
			if s["alias"] != "" {
				c.Alias[id] = s["alias"]
			}
		}
	case "devices device":
		c.devices = append(c.devices, section{model, s})
	case "blacklist device":
		c.Blacklist.Device = append(c.Blacklist.Device, model)
	case "blacklist_exceptions device":
		c.Exceptions.Device = append(c.Exceptions.Device, model)
	}
}

// set takes one line of a section.
func (c *Conf) set(path string, here settings, key, value string) {
	here[key] = value
	switch path {
	case "defaults":
		c.defaults[key] = value
		c.setDefault(key, value)
	case "overrides":
		c.overrides[key] = value
	case "blacklist":
		c.Blacklist.add(key, value)
	case "blacklist_exceptions":
		c.Exceptions.add(key, value)
	}
}

func (c *Conf) setDefault(key, value string) {
	switch key {
	case "user_friendly_names":
		c.FriendlyNames = value == "yes" || value == "1"
	case "find_multipaths":
		switch value {
		case "strict":
			c.Find = FindStrict
		case "yes", "on", "1":
			c.Find = FindOn
		case "smart":
			c.Find = FindSmart
		case "no", "off", "0", "greedy":
			c.Find = FindGreedy
		}
	case "find_multipaths_timeout":
		digits, negative := strings.CutPrefix(value, "-")
		n := 0
		for _, d := range []byte(digits) {
			if d < '0' || d > '9' || n > 3600 {
				return
			}
			n = 10*n + int(d-'0')
		}
		if c.FindTimeout = time.Duration(n) * time.Second; negative {
			c.FindTimeout = -c.FindTimeout
		}
	}
}

func (l *List) add(key, value string) {
	switch key {
	case "wwid":
		l.WWID = append(l.WWID, value)
	case "devnode":
		l.Devnode = append(l.Devnode, value)
	case "property":
		l.Property = append(l.Property, value)
	case "protocol":
		l.Protocol = append(l.Protocol, value)
	}
}

// split takes a line apart into words, of which those in quotes may have
// blanks. A comment ends it.
func split(line string) (words []string) {
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		switch {
		case line == "" || line[0] == '#' || line[0] == '!':
			return words
		case line[0] == '"':
			end := strings.IndexByte(line[1:], '"')
			if end < 0 {
				return append(words, line[1:])
			}
			words = append(words, line[1:1+end])
			line = line[2+end:]
		case line[0] == '{' || line[0] == '}':
			words, line = append(words, line[:1]), line[1:]
		default:
			end := strings.IndexAny(line, " \t\r\n{}\"")
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
	}
}

// Disk is what a disk says of itself, and where it is.
type Disk struct {
	WWID, Devnode, Vendor, Product string
	Protocol                       string   // "scsi:fcp", "nvme:tcp" …
	Properties                     []string // names of what the device database has of it
}

// identity are the properties that a disk must have one of, if nothing else is
// said: those of disks that are the same on every path.
const identity = "(SCSI_IDENT_|ID_WWN)"

// Excluded says by what the configuration keeps a disk from being used by its
// paths, "" if it does not. Each of the five is a question of its own, and an
// exception counts only for what it is about.
func (c *Conf) Excluded(d Disk) string {
	required := c.Exceptions.Property
	if len(required) == 0 {
		required = []string{identity}
	}
	switch {
	case !anyMatches(required, d.Properties...) || anyMatches(c.Blacklist.Property, d.Properties...) && len(c.Exceptions.Property) == 0:
		return "property"
	case anyMatches(c.Blacklist.Devnode, d.Devnode) && !anyMatches(c.Exceptions.Devnode, d.Devnode):
		return "devnode"
	case hasModel(c.Blacklist.Device, d) && !hasModel(c.Exceptions.Device, d):
		return "device"
	case anyMatches(c.Blacklist.Protocol, d.Protocol) && !anyMatches(c.Exceptions.Protocol, d.Protocol):
		return "protocol"
	case anyMatches(c.Blacklist.WWID, d.WWID) && !anyMatches(c.Exceptions.WWID, d.WWID):
		return "wwid"
	}
	return ""
}

func anyMatches(patterns []string, texts ...string) bool {
	for _, p := range patterns {
		for _, text := range texts {
			if matches(p, text) {
				return true
			}
		}
	}
	return false
}

func hasModel(models []Model, d Disk) bool {
	for _, m := range models {
		if m.has(d) {
			return true
		}
	}
	return false
}

func (m Model) has(d Disk) bool {
	return (m.Vendor == "" || matches(m.Vendor, d.Vendor)) && (m.Product == "" || matches(m.Product, d.Product))
}

// WWIDs reads the file wwids: the disks that were used by their paths before,
// each between slashes.
func WWIDs(text string) map[string]bool {
	list := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "/"); ok {
			if id, ok := strings.CutSuffix(rest, "/"); ok && Proper(id) {
				list[id] = true
			}
		}
	}
	return list
}

// Proper says whether a text can be the WWID of a disk, and a name.
func Proper(id string) bool {
	if id == "" || len(id) > 127 {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return true
}

// Bindings reads the file bindings: the names of devices by their WWIDs. A name
// or a WWID that is there twice counts for nothing.
func Bindings(text string) map[string]string {
	names, taken := map[string]string{}, map[string]int{}
	var order [][2]string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 || strings.HasPrefix(f[0], "#") || !Proper(f[0]) || !Proper(f[1]) {
			continue
		}
		order = append(order, [2]string{f[0], f[1]})
		taken[f[0]]++
		taken["/"+f[1]]++
	}
	for _, b := range order {
		if taken[b[0]] == 1 && taken["/"+b[1]] == 1 {
			names[b[1]] = b[0]
		}
	}
	return names
}

// Name is what the device of a disk is called. A name that two disks are given
// is neither's.
func (c *Conf) Name(wwid string, bindings map[string]string) string {
	if alias := c.Alias[wwid]; Proper(alias) {
		for _, other := range order.Keys(c.Alias) {
			if other != wwid && c.Alias[other] == alias {
				return wwid
			}
		}
		return alias
	}
	friendly := c.FriendlyNames
	if said := c.multipaths[wwid]["user_friendly_names"]; said != "" {
		friendly = said == "yes" || said == "1"
	}
	if name := bindings[wwid]; friendly && name != "" {
		return name
	}
	return wwid
}
