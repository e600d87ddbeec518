package rules

import (
	"encoding/binary"
	"strconv"
	"strings"

	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/rules/tab"
)

// expand gives the value of k with its substitutions made. ok is false if it
// would be longer than limit.
func (e *eval) expand(k token, limit int) (string, bool) {
	return e.segments(k.value, uint32(k.n), limit, false)
}

// expandLinks is expand for SYMLINK: white space in what is substituted
// would make several links of one, so it becomes '_', unless the rule says
// string_escape=none. $result is meant to give several.
func (e *eval) expandLinks(k token) (string, bool) {
	return e.segments(k.value, uint32(k.n), maxPath, e.escape != escapeNone)
}

func (e *eval) segments(first, n uint32, limit int, underscore bool) (string, bool) {
	if n == 0 {
		return "", true
	}
	if n == 1 {
		s := e.segment(e.t.rec(tab.Segments, first), underscore)
		return s, len(s) <= limit
	}
	var b strings.Builder
	for i := range n {
		s := e.segment(e.t.rec(tab.Segments, first+i), underscore)
		if b.Len()+len(s) > limit {
			return b.String(), false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// segment gives one part of a value.
func (e *eval) segment(r []byte, underscore bool) string {
	v := binary.LittleEndian.Uint32(r[4:])
	switch r[0] {
	case tab.Literal:
		return e.t.str(v)
	case tab.SubResult:
		return e.part(v, r[1] != 0)
	}
	s := e.substitute(r[0], v)
	if underscore {
		s = escape.Whitespace(s)
	}
	return s
}

func (e *eval) substitute(kind byte, v uint32) string {
	switch kind {
	case tab.SubDevnode:
		return e.dev.Devname()
	case tab.SubAttr:
		return e.attrValue(e.t.str(v))
	case tab.SubEnv:
		s, _ := e.property(e.t.str(v))
		return s
	case tab.SubKernel:
		return e.dev.Sysname()
	case tab.SubNumber:
		return e.dev.Sysnum()
	case tab.SubDriver:
		if e.parent != nil {
			return e.parent.Driver()
		}
	case tab.SubDevpath:
		return e.dev.Devpath()
	case tab.SubID:
		if e.parent != nil {
			return e.parent.Sysname()
		}
	case tab.SubMajor:
		major, _, _ := e.dev.Devnum()
		return strconv.FormatUint(uint64(major), 10)
	case tab.SubMinor:
		_, minor, _ := e.dev.Devnum()
		return strconv.FormatUint(uint64(minor), 10)
	case tab.SubParent:
		if p := e.dev.Parent(); p != nil {
			return strings.TrimPrefix(p.Devname(), "/dev/")
		}
	case tab.SubName:
		switch {
		case e.out.Name != "":
			return e.out.Name
		case e.dev.Devname() != "":
			return strings.TrimPrefix(e.dev.Devname(), "/dev/")
		}
		return e.dev.Sysname()
	case tab.SubLinks:
		return strings.Join(e.dev.Links(), " ")
	case tab.SubRoot:
		return "/dev"
	case tab.SubSys:
		return sysMount
	}
	return ""
}

// attrValue is $attr{name}: of the device, else of the one that KERNELS and
// the like found. Characters that are unsafe in a name become '_'.
func (e *eval) attrValue(name string) string {
	value, ok := e.subsysAttr(name)
	if !ok {
		value, ok = e.dev.Attr(name)
	}
	if !ok && e.parent != nil && e.parent != e.dev {
		value, _ = e.parent.Attr(name)
	}
	if len(value) > maxName {
		value = value[:maxName]
	}
	return escape.Chars(trimRight(value), escape.Input)
}

// part is $result{n}: word n of the result, with plus all from there on, for
// 0 the whole.
func (e *eval) part(n uint32, plus bool) string {
	s := e.result
	if n == 0 {
		return s
	}
	for {
		for s != "" && escape.Space(s[0]) {
			s = s[1:]
		}
		if n--; n == 0 || s == "" {
			break
		}
		for s != "" && !escape.Space(s[0]) {
			s = s[1:]
		}
	}
	if !plus {
		if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x80 && escape.Space(byte(r)) }); i >= 0 {
			s = s[:i]
		}
	}
	return s
}
