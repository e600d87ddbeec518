// Package netfile reads the files with which systemd's udevd and networkd are
// told of network links: .link (systemd.link(5)), as far as it is about names,
// addresses and sizes; .netdev (systemd.netdev(5)) and what .network
// (systemd.network(5)) says of links that are made of others.
//
// It is pure: texts come in, what they say and what is wrong with them comes out.
// What a file says and is not known here is reported and has no effect; a file
// whose conditions cannot be judged is not used.
package netfile

import (
	"sort"
	"strconv"
	"strings"
)

// File is one file by its path.
type File struct{ Path, Text string }

// Limits of what is read.
const (
	maxFiles = 512
	maxText  = 64 << 10 // bytes of a file
	maxPairs = 1024     // keys of a file
)

// section is a part of a file. The same name may come several times.
type section struct {
	name  string
	pairs []pair
}

type pair struct{ key, value string }

// get is the last value of a key that is not repeated.
func (s *section) get(key string) (value string) {
	for _, p := range s.pairs {
		if p.key == key {
			value = p.value
		}
	}
	return value
}

// list are the words of all values of a key; an empty value forgets those before.
func (s *section) list(key string) (words []string) {
	for _, p := range s.pairs {
		switch {
		case p.key != key:
		case p.value == "":
			words = nil
		default:
			words = append(words, strings.Fields(p.value)...)
		}
	}
	return words
}

// parse reads the syntax (systemd.syntax(7)): sections, KEY=VALUE, comments, and
// lines that go on after a backslash.
func parse(text string) (list []section) {
	if len(text) > maxText {
		text = text[:maxText]
	}
	n, open := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if open == "" && line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		line, open = open+line, ""
		if l, ok := strings.CutSuffix(line, "\\"); ok {
			open = l + " "
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			list = append(list, section{name: line[1 : len(line)-1]})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if n++; !ok || len(list) == 0 || n > maxPairs {
			continue
		}
		s := &list[len(list)-1]
		s.pairs = append(s.pairs, pair{strings.TrimSpace(key), strings.TrimSpace(value)})
	}
	return list
}

// joined are the sections of a name as one.
func joined(list []section, name string) section {
	s := section{name: name}
	for _, x := range list {
		if x.name == name {
			s.pairs = append(s.pairs, x.pairs...)
		}
	}
	return s
}

// Choose puts the files of several directories into the order in which they are
// looked at: by their names, whatever directory they are in. Of two with the same
// name the one that comes first in files counts, and an empty one hides all of
// them. What stands in a directory NAME.d belongs to the file NAME, and comes after
// it; files that end otherwise than in suffix are left out.
func Choose(files []File, suffix string) []File {
	texts, more := map[string]string{}, map[string]map[string]string{}
	var names []string
	for i, f := range files {
		dir, name, ok := cutLast(f.Path)
		if i == maxFiles || !ok {
			break
		}
		if _, parent, ok := cutLast(dir); ok && strings.HasSuffix(name, ".conf") && strings.HasSuffix(parent, suffix+".d") {
			of := strings.TrimSuffix(parent, ".d")
			if more[of] == nil {
				more[of] = map[string]string{}
			}
			if _, there := more[of][name]; !there {
				more[of][name] = f.Text
			}
			continue
		}
		if _, there := texts[name]; there || !strings.HasSuffix(name, suffix) {
			continue
		}
		texts[name] = f.Text
		names = append(names, name)
	}
	sort.Strings(names)
	var out []File
	for _, name := range names {
		text := texts[name]
		if strings.TrimSpace(text) == "" {
			continue
		}
		var parts []string
		for part := range more[name] {
			parts = append(parts, part)
		}
		sort.Strings(parts)
		for _, part := range parts {
			text += "\n" + more[name][part]
		}
		out = append(out, File{name, text})
	}
	return out
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// yes reads a boolean.
func yes(s string) (v, ok bool) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

// size reads a number of bytes, with K, M or G for powers of 1024.
func size(s string) (uint32, bool) {
	unit := uint64(1)
	for suffix, n := range map[string]uint64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if v, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = v, n
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n * unit), err == nil && n*unit <= 1<<31
}

// hardware reads an address with colons, hyphens or dots.
func hardware(s string) []byte {
	var hex string
	switch {
	case strings.ContainsRune(s, ':') || strings.ContainsRune(s, '-'):
		for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ':' || r == '-' }) {
			if len(w) > 2 {
				return nil
			}
			hex += strings.Repeat("0", 2-len(w)) + w
		}
	default:
		for w := range strings.SplitSeq(s, ".") {
			if len(w) != 4 {
				return nil
			}
			hex += w
		}
	}
	if len(hex) != 12 && len(hex) != 40 {
		return nil
	}
	var out []byte
	for i := 0; i < len(hex); i += 2 {
		n, err := strconv.ParseUint(hex[i:i+2], 16, 8)
		if err != nil {
			return nil
		}
		out = append(out, byte(n))
	}
	return out
}
