package live

import (
	"path"
	"sort"
	"strings"

	"firstlight/internal/fmt"
)

// This file reads what a medium for persistence says of itself:
// persistence.conf(5) of Debian's live-boot.

// how is the way in which a directory of the root gets what was kept.
type how uint8

// The ways, by the names of persistence.conf(5).
const (
	bind  how = iota // the directory that was kept is in its place
	union            // changes to it are kept
	link             // each file that was kept is linked to
)

// kept is one line of persistence.conf.
type kept struct {
	dir    string // in the root: an absolute, clean path
	source string // on the medium, relative to where it is mounted; "" is all of it
	how    how
	store  *store // the medium
	rw     string // where the changes of a union are below source
}

// maxConf bounds persistence.conf, in bytes, and maxKept its lines.
const (
	maxConf = 64 << 10
	maxKept = 256
)

// parseConf reads the lines of persistence.conf: a directory and options, with
// commas. A line that is not safe or not understood is left out, and told.
func parseConf(text string) (list []kept, wrong []string) {
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(list) == maxKept {
			wrong = append(wrong, fmt.Sprintf("line %d and what follows: more than %d directories", number, maxKept))
			break
		}
		k := kept{rw: "rw"}
		why := k.read(f)
		if why != "" {
			wrong = append(wrong, fmt.Sprintf("line %d (%s): %s", number, f[0], why))
			continue
		}
		list = append(list, k)
	}
	return list, wrong
}

// read reads the fields of a line, and says what is wrong with them.
func (k *kept) read(f []string) string {
	if !strings.HasPrefix(f[0], "/") || dotted(f[0]) {
		return "is no absolute path without . and .."
	}
	k.dir = path.Clean(f[0])
	if k.dir == "/lib" || strings.HasPrefix(k.dir, "/lib/") || k.dir == "/run/live" || strings.HasPrefix(k.dir, "/run/live/") {
		return "cannot be kept"
	}
	k.source = strings.TrimPrefix(k.dir, "/")
	for word := range strings.SplitSeq(strings.Join(f[1:], ","), ",") {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "":
		case "bind":
			k.how = bind
		case "union":
			k.how = union
		case "link":
			k.how = link
		case "source":
			k.source = strings.TrimPrefix(path.Clean("/"+value), "/")
			if value != "." && (value == "" || value[0] == '/' || dotted(value)) {
				return "source=" + value + " is neither . nor a relative path without . and .."
			}
		default:
			return "nobody knows the option " + name
		}
	}
	if k.dir == "/" && k.how != union {
		return "the root itself can be kept as a union only"
	}
	return ""
}

// dotted says whether a path has . or .. in it.
func dotted(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// arrange puts what is kept into the order in which it can be mounted: what is
// above first, and links, which no mount may hide, last. It says why the lines
// contradict each other.
func arrange(list []kept) (ordered []kept, why string) {
	sort.SliceStable(list, func(i, j int) bool {
		if a, b := list[i].how == link, list[j].how == link; a != b {
			return b
		}
		return list[i].dir < list[j].dir
	})
	for i := range list {
		for j := range list[:i] {
			a, b := &list[j], &list[i]
			if a.dir == b.dir {
				return nil, fmt.Sprintf("%s is kept twice, on %s and on %s", a.dir, a.store.node, b.store.node)
			}
			if a.store == b.store && (within(a.place(), b.place()) || within(b.place(), a.place())) {
				return nil, fmt.Sprintf("what is kept of %s and of %s is in one place of %s: one of the directories %q and %q is the other or in it",
					a.dir, b.dir, a.store.node, "/"+a.place(), "/"+b.place())
			}
		}
	}
	return list, ""
}

// place is the directory of the medium that is used. That of the whole root's
// changes is not the top of the medium, in which everything else is.
func (k *kept) place() string {
	if k.how == union {
		return path.Join(k.source, k.rw)
	}
	return k.source
}

// within says whether a directory is another one or in it; "" is the top.
func within(dir, above string) bool {
	return above == "" || dir == above || strings.HasPrefix(dir, above+"/")
}
