// Package sysctl reads sysctl.d(5), settings of the kernel's parameters, and puts
// them in the order in which they are applied. Pure; for the builder.
//
// The format, and which setting counts, are those of systemd-sysctl(8): of one
// parameter the last one; what a pattern stands for counts less than what is named;
// "-NAME" keeps patterns away from a parameter; "-NAME = VALUE" may fail.
package sysctl

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Setting is one parameter, or several by a pattern.
type Setting struct {
	// Path is that below /proc/sys; path.Match's special characters make it a pattern.
	Path  string
	Value string
	// Skip says that patterns leave the parameter alone; it has no value.
	Skip bool
	// MayFail says that it does not matter whether the value is taken.
	MayFail bool
}

// pattern says whether a path is one.
func pattern(p string) bool { return strings.ContainsAny(p, "*?[") }

// Parse reads the text of a file. An error names file and line; the other lines count
// all the same.
func Parse(name string, text []byte) (list []Setting, errs []error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		s, err := ParseLine(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, n, err))
			continue
		}
		list = append(list, s)
	}
	return list, errs
}

// ParseLine reads one setting.
func ParseLine(line string) (Setting, error) {
	key, value, ok := strings.Cut(line, "=")
	s := Setting{Value: strings.TrimSpace(value)}
	key = strings.TrimSpace(key)
	if rest, minus := strings.CutPrefix(key, "-"); minus {
		key, s.MayFail = strings.TrimSpace(rest), ok
		s.Skip = !ok
	} else if !ok {
		return Setting{}, fmt.Errorf("%q has no value", line)
	}
	s.Path = pathOf(key)
	if !clean(s.Path) || strings.ContainsAny(s.Value, "\n\x00") {
		return Setting{}, fmt.Errorf("%q names no parameter of the kernel", line)
	}
	if _, err := path.Match(s.Path, ""); err != nil {
		return Setting{}, fmt.Errorf("%q: %w", key, err)
	}
	return s, nil
}

// pathOf turns a name into a path: of '.' and '/' the first one in it divides, and the
// other one stands for itself.
func pathOf(name string) string {
	i := strings.IndexAny(name, "./")
	if i < 0 || name[i] == '/' {
		return strings.Trim(name, "/")
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(name)
}

func clean(p string) bool {
	return p != "" && p != "." && p == path.Clean(p) && p[0] != '/' && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "= \t\x00")
}

// Order returns the settings as they are to be applied, one after the other: what
// patterns stand for first.
func Order(list []Setting) []Setting {
	var out []Setting
	for i, s := range list {
		if !slices.ContainsFunc(list[i+1:], func(later Setting) bool { return later.Path == s.Path }) {
			out = append(out, s)
		}
	}
	rank := func(s Setting) int {
		switch {
		case s.Skip:
			return 0
		case pattern(s.Path):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Setting) int { return rank(a) - rank(b) })
	return out
}

// Table is what /init reads: a line for each setting, in the order of Order. It begins
// with "!" for a parameter that patterns leave alone, "-" for one that may fail, "*"
// for a pattern, "=" for the rest; "*-" is a pattern that may fail.
func Table(list []Setting) []byte {
	var b strings.Builder
	for _, s := range list {
		switch {
		case s.Skip:
			fmt.Fprintf(&b, "!%s\n", s.Path)
			continue
		case pattern(s.Path):
			b.WriteByte('*')
		}
		if s.MayFail {
			b.WriteByte('-')
		} else if !pattern(s.Path) {
			b.WriteByte('=')
		}
		fmt.Fprintf(&b, "%s=%s\n", s.Path, s.Value)
	}
	return []byte(b.String())
}
