package mdsuper

import (
	"crypto/sha1"
	"path"
	"strconv"
	"strings"
)

// Matches says whether an ARRAY line is about the array of a superblock.
// device is the path of the member, for devices=; homehost is this host's
// name, for a name= without one. Every word of the line must match.
func (l *ArrayLine) Matches(s *Super, device, homehost string) bool {
	if l.Container != "" || l.Member != "" {
		return false // a part of a container, which native metadata has not
	}
	if l.UUID != nil && *l.UUID != s.UUID {
		return false
	}
	if l.Name != "" {
		host, name := s.Host()
		if l.Name != s.Name && !(l.Name == name && (host == "" || host == homehost || host == "any")) {
			return false
		}
	}
	if l.SuperMinor >= 0 && (s.Version.Major != 0 || uint32(l.SuperMinor) != s.PreferredMinor) {
		return false
	}
	if l.Level != "" && l.Level != s.Level.String() {
		return false
	}
	if l.NumDevices != 0 && l.NumDevices != s.RaidDisks {
		return false
	}
	if l.Metadata != "" && !metadataMatches(l.Metadata, s.Version) {
		return false
	}
	if len(l.Devices) > 0 {
		for _, pattern := range l.Devices {
			if ok, err := path.Match(pattern, device); ok && err == nil {
				return true
			}
		}
		return false
	}
	return true
}

// metadataMatches compares a configured metadata type with a version.
func metadataMatches(word string, v Version) bool {
	switch word = strings.ToLower(word); word {
	case "0", "0.90", "0.91":
		return v.Major == 0
	case "1", "1.x", "default":
		return v.Major == 1
	}
	return word == v.String()
}

// Match returns the ARRAY line for a superblock, or nil. Of several the one
// with a UUID wins, then the first.
func (c *Conf) Match(s *Super, device, homehost string) *ArrayLine {
	var found *ArrayLine
	for i := range c.Arrays {
		l := &c.Arrays[i]
		if l.Matches(s, device, homehost) && (found == nil || found.UUID == nil && l.UUID != nil) {
			found = l
		}
	}
	return found
}

// MayAssemble says whether the AUTO lines let an array be assembled that no
// ARRAY line names.
func (c *Conf) MayAssemble(s *Super, local bool) bool {
	for _, w := range c.Auto {
		yes := true
		switch w = strings.ToLower(w); {
		case w == "yes":
			w = "all"
		case w == "no":
			yes, w = false, "all"
		case strings.HasPrefix(w, "+"):
			w = w[1:]
		case strings.HasPrefix(w, "-"):
			yes, w = false, w[1:]
		}
		if w == "all" || w == "homehost" && local || metadataMatches(w, s.Version) {
			return yes
		}
	}
	return true
}

// Local says whether the superblock says that the array is of the host: by
// the name's prefix in version 1, and by a hash in the UUID in 0.90. The host
// "any" in a name stands for every host.
func (s *Super) Local(homehost string) bool {
	if s.Version.Major == 0 {
		if homehost == "" {
			return false
		}
		// mdadm copies the hash's bytes over two words; UUID has each word
		// with its most significant byte first, whatever the host has.
		h := sha1.Sum([]byte(homehost))
		var want [8]byte
		for i := range want {
			want[i] = h[nativeByte(i)]
		}
		return string(s.UUID[8:]) == string(want[:])
	}
	host, _ := s.Host()
	return host != "" && (host == homehost || host == "any")
}

// Home resolves HOMEHOST: hostname is this machine's. require says that an
// array of another host is not to get a plain name.
func (c *Conf) Home(hostname string) (homehost string, require bool) {
	switch strings.ToLower(c.HomeHost) {
	case "", "<system>":
		return hostname, true
	case "<none>":
		return "", true
	case "<ignore>":
		return hostname, false
	}
	return c.HomeHost, true
}

// Name is what an array is to be called.
type Name struct {
	// Kernel is the kernel's name of the device: "md127", "md_root".
	Kernel string
	// Link is the name in /dev/md, without the directory, or "".
	Link string
	// Path is the device's name as mdadm's map and MD_DEVNAME have it:
	// "/dev/md/root", or "/dev/md0" if there is no link.
	Path string
}

// Taken says which names are in use: kernel names and links (without
// "/dev/md/").
type Taken struct {
	Kernel func(name string) bool
	Link   func(name string) bool
}

// NameArray gives an array its name as `mdadm --incremental` does. line is the
// array's ARRAY line or nil; hostname is this machine's.
//
// A configured device is used as it is. Otherwise the name in the superblock
// is used: without its host if that is this one, with it if it is another,
// and with "_0" after a name that has no host. Numbers that nothing asks for
// are given out from 127 down.
func (c *Conf) NameArray(s *Super, line *ArrayLine, hostname string, taken Taken) Name {
	homehost, require := c.Home(hostname)
	if line != nil && line.Device != "" && !strings.HasPrefix(line.Device, "<") {
		if n, ok := c.configured(line.Device, taken); ok {
			return n
		}
	}
	full, local := s.Name, s.Local(homehost) || line != nil
	if s.Version.Major == 0 {
		full = strconv.FormatUint(uint64(s.PreferredMinor), 10)
	}
	host, short, hasHost := strings.Cut(full, ":")
	if !hasHost {
		short = full
	}
	if !local && !require && short != "" && c.free(short, taken) {
		local = true
	}
	name := full
	if local || host == "any" && hasHost {
		name = short
	}
	if name == "" {
		return c.numbered("", taken)
	}
	if local {
		if n, ok := numberOf(name); ok && !taken.Kernel(kernelNumber(n)) {
			k := kernelNumber(n)
			link := strconv.Itoa(n)
			return Name{Kernel: k, Link: link, Path: "/dev/md/" + link}
		}
	}
	return c.numbered(freeLink(cleanLink(name), local || strings.Contains(name, ":"), taken), taken)
}

// configured is the name of an ARRAY line's device.
func (c *Conf) configured(dev string, taken Taken) (Name, bool) {
	if link, ok := strings.CutPrefix(dev, "/dev/md/"); ok {
		link = cleanLink(link)
		if n, ok := numberOf(link); ok && !taken.Kernel(kernelNumber(n)) {
			return Name{Kernel: kernelNumber(n), Link: link, Path: "/dev/md/" + link}, true
		}
		if link == "" || taken.Link(link) {
			return Name{}, false
		}
		n := c.numbered(link, taken)
		return n, true
	}
	base := strings.TrimPrefix(dev, "/dev/")
	switch {
	case isNumbered(base):
		if n, ok := numberOf(base); ok && !taken.Kernel(kernelNumber(n)) {
			return Name{Kernel: kernelNumber(n), Path: "/dev/" + kernelNumber(n)}, true
		}
	case strings.HasPrefix(base, "md_") && len(base) > 3 && len(base) < 32 && !strings.Contains(base, "/"):
		if !taken.Kernel(base) {
			return Name{Kernel: base, Link: base[3:], Path: "/dev/md/" + base[3:]}, true
		}
	}
	return Name{}, false
}

// numbered gives a link a kernel name: the first free number from 127 down
// that no ARRAY line asks for, or md_NAME if the configuration says
// CREATE names=yes.
func (c *Conf) numbered(link string, taken Taken) Name {
	path := "/dev/md/" + link
	if v := c.Create["names"]; link != "" && strings.EqualFold(v, "yes") && len(link) < 28 && !taken.Kernel("md_"+link) {
		return Name{Kernel: "md_" + link, Link: link, Path: path}
	}
	for n := 127; n != 128; n-- {
		if n < 0 {
			n = 1<<20 - 1
		}
		k := kernelNumber(n)
		if taken.Kernel(k) || c.asked(n) {
			continue
		}
		if link == "" {
			path = "/dev/" + k
		}
		return Name{Kernel: k, Link: link, Path: path}
	}
	return Name{}
}

// asked says whether an ARRAY line wants the number.
func (c *Conf) asked(n int) bool {
	for i := range c.Arrays {
		d := strings.TrimPrefix(strings.TrimPrefix(c.Arrays[i].Device, "/dev/md/"), "/dev/")
		if m, ok := numberOf(d); ok && m == n {
			return true
		}
	}
	return false
}

// free says whether neither a device nor an ARRAY line has the name.
func (c *Conf) free(name string, taken Taken) bool {
	for i := range c.Arrays {
		if l := &c.Arrays[i]; strings.TrimPrefix(l.Device, "/dev/md/") == name || l.Name == name {
			return false
		}
	}
	return !taken.Link(name)
}

// freeLink makes a link's name distinct: a name that may be trusted is tried
// bare, then "_0" and so on are added.
func freeLink(name string, bare bool, taken Taken) string {
	if bare && !taken.Link(name) {
		return name
	}
	for n := 0; ; n++ {
		if s := name + "_" + strconv.Itoa(n); !taken.Link(s) {
			return s
		}
	}
}

// cleanLink makes a name out of a superblock fit for a directory entry.
func cleanLink(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c == '/' || c < ' ' || c == 0x7f {
			b[i] = '-'
		}
	}
	if s := string(b); s != "." && s != ".." {
		return s
	}
	return "md" + strings.Repeat("-", len(b))
}

// numberOf reads "5", "md5".
func numberOf(s string) (int, bool) {
	s = strings.TrimPrefix(s, "md")
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 20)
	return int(n), err == nil
}

func kernelNumber(n int) string { return "md" + strconv.Itoa(n) }
