package oci

import (
	"errors"
	"strings"
)

// What an entry of a layer does to what the layers below it have made (image-spec,
// layer.md).
type Mark uint8

// The kinds of entries.
const (
	// Thing is a file, or whatever else is to be there.
	Thing Mark = iota
	// Whiteout takes away what is of that name.
	Whiteout
	// Opaque takes away all that the directory has.
	Opaque
	// Nothing means nothing: what aufs has for itself.
	Nothing
)

// Bounds of names, in bytes, of the parts of a path, and of the links that lead to
// a directory.
const (
	maxPath  = 4096
	maxParts = 256
	maxLinks = 255
)

// Entry is a name in an archive: the directory, by its parts, and the name in it, ""
// for the root itself.
type Entry struct {
	Mark Mark
	Dir  []string
	Name string
}

// ParseEntry reads the name of an entry. None leads out of the root: one with ".." is
// refused.
func ParseEntry(name string) (e Entry, err error) {
	parts, err := split(name)
	if err != nil || len(parts) == 0 {
		return e, err
	}
	e.Dir, e.Name = parts[:len(parts)-1], parts[len(parts)-1]
	rest, ok := strings.CutPrefix(e.Name, ".wh.")
	switch {
	case !ok:
	case rest == ".wh..opq":
		e.Mark, e.Name = Opaque, ""
	case strings.HasPrefix(rest, ".wh."):
		e.Mark = Nothing
	case rest == "" || rest == "." || rest == "..":
		return e, errors.New("a layer takes away what has no name: " + printable(name))
	default:
		e.Mark, e.Name = Whiteout, rest
	}
	for _, d := range e.Dir {
		if strings.HasPrefix(d, ".wh.") {
			return e, errors.New("a layer has something in what it takes away: " + printable(name))
		}
	}
	return e, nil
}

// split takes a path apart.
func split(name string) (parts []string, err error) {
	if len(name) > maxPath || strings.Contains(name, "\x00") {
		return nil, errors.New("a layer has a name that no file can have: " + printable(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			return nil, errors.New("a layer has a name that leads upwards: " + printable(name))
		}
		if len(part) > 255 {
			return nil, errors.New("a layer has a name that no file can have: " + printable(name))
		}
		parts = append(parts, part)
	}
	if len(parts) > maxParts {
		return nil, errors.New("a layer has a path of more than " + "256 parts: " + printable(name))
	}
	return parts, nil
}

// Resolve is where a directory is whose path may lead over links, as if the root were
// that of the system: its parts, none of which is a link. look returns where the link
// of a path leads, "" where it is none or nothing is there.
func Resolve(parts []string, look func(path string) (string, error)) ([]string, error) {
	var at []string
	links := 0
	rest := parts
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..": // only a link has it
			if len(at) > 0 {
				at = at[:len(at)-1]
			}
			continue
		}
		next := append(at[:len(at):len(at)], part)
		to, err := look(strings.Join(next, "/"))
		if err != nil {
			return nil, err
		}
		if to == "" {
			if at = next; len(at) > maxParts {
				return nil, errors.New("a layer has a path of more than 256 parts")
			}
			continue
		}
		if links++; links > maxLinks || len(to) > maxPath {
			return nil, errors.New("links lead from one to the other without end: " + printable(strings.Join(parts, "/")))
		}
		if to[0] == '/' {
			at = nil
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return at, nil
}
