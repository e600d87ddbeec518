package lvmmeta

import (
	"slices"
	"strings"
)

// Settings are those of lvm.conf(5): one text, or several of which the later
// count before the earlier.
type Settings struct{ texts []node }

// Add reads one more text in the format of lvm.conf. Errors are *SyntaxError.
func (s *Settings) Add(text []byte) error {
	n, err := parseConfig(string(text))
	if err == nil {
		s.texts = append(s.texts, n)
	}
	return err
}

// Strings returns the value of a setting, of which a single string is a list
// of one. Numbers in it are left out. ok is false where it is not set.
func (s *Settings) Strings(section, name string) (list []string, ok bool) {
	for i := len(s.texts) - 1; i >= 0; i-- {
		n := s.texts[i].setting(section, name)
		if n == nil {
			continue
		}
		switch n.kind {
		case kindString:
			return []string{n.str}, true
		case kindArray:
			for _, e := range n.sub {
				if e.kind == kindString {
					list = append(list, e.str)
				}
			}
			return list, true
		}
	}
	return nil, false
}

// String is Strings for a setting with one value; "" where it is not set.
func (s *Settings) String(section, name string) string {
	if list, ok := s.Strings(section, name); ok && len(list) == 1 {
		return list[0]
	}
	return ""
}

// Bool is the value of a setting that is 0 or 1, or unset where it is neither.
func (s *Settings) Bool(section, name string, unset bool) bool {
	for i := len(s.texts) - 1; i >= 0; i-- {
		if n := s.texts[i].setting(section, name); n != nil && n.kind == kindInt {
			return n.num != 0
		}
	}
	return unset
}

// DevicesFile reads a file of lvmdevices(8) and gives the PVIDs of the
// physical volumes that LVM may use: their UUIDs without hyphens. Entries
// without one are of devices that hold no physical volume.
func DevicesFile(text []byte) []string {
	var list []string
	for line := range strings.Lines(string(text)) {
		for _, word := range strings.Fields(line) {
			if word[0] == '#' {
				break
			}
			if id, ok := strings.CutPrefix(word, "PVID="); ok && len(plainUUID(id)) == 32 {
				list = append(list, plainUUID(id))
			}
		}
	}
	return list
}

// ListedIn says whether the PV is one of those of a devices file.
func (p *PV) ListedIn(pvids []string) bool {
	return slices.Contains(pvids, plainUUID(p.UUID))
}

// setting finds "section { name = … }" or "section/name = …"; a section may
// be opened more than once. The last one counts.
func (n *node) setting(section, name string) *node {
	var found *node
	for i := range n.sub {
		switch e := &n.sub[i]; {
		case e.name == section && e.kind == kindSection:
			if f := e.find(name); f != nil {
				found = f
			}
		case e.name == section+"/"+name:
			found = e
		}
	}
	return found
}

// maxSystemID bounds a system ID, in bytes (NAME_LEN of LVM2).
const maxSystemID = 128

// CleanSystemID makes a system ID of a text, as lvmsystemid(7) says: only
// letters, digits and "._-+" are kept, it begins with a letter or digit, and
// what begins with "localhost" is none.
func CleanSystemID(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if b.Len() < maxSystemID && (word || b.Len() > 0 && strings.IndexByte("._-+", c) >= 0) {
			b.WriteByte(c)
		}
	}
	if id := b.String(); !strings.HasPrefix(id, "localhost") {
		return id
	}
	return ""
}
