package rules

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/glob"
	"firstlight/internal/udevd/rules/tab"
	"firstlight/internal/udevd/sysdev"
)

// sysMount is where sysfs stands in the paths that rules write.
const sysMount = "/sys"

func matchPattern(kind uint32, pattern, s string, fold bool) bool {
	switch kind {
	case tab.Exact:
		if fold {
			return glob.EqualFold(pattern, s)
		}
		return pattern == s
	case tab.Prefix:
		return strings.HasPrefix(s, pattern)
	}
	if fold {
		return glob.MatchFold(pattern, s)
	}
	return glob.Match(pattern, s)
}

// text says whether s is what k asks for.
func (e *eval) text(k token, s string) bool {
	return e.found(k, s) == (k.op == tab.Match)
}

// found is text without regard to the operator.
func (e *eval) found(k token, s string) bool {
	switch k.match {
	case tab.MatchEmpty:
		return s == ""
	case tab.MatchSubsystem:
		return isSubsystemWord(s, k.flags&tab.Fold != 0)
	case tab.MatchAnyEmpty:
		if s == "" {
			return true
		}
	}
	return e.t.patterns(k, s)
}

// any says whether one of a set is what k asks for.
func (e *eval) any(k token, set []string) bool {
	for _, s := range set {
		if e.found(k, s) {
			return k.op == tab.Match
		}
	}
	return k.op == tab.NoMatch
}

// match looks at one condition; dev is the event's device, or the one on the
// way up that is being tried.
func (e *eval) match(k token, dev *device.Device) bool {
	switch k.kind {
	case tab.MAction:
		return e.text(k, e.ev.Action)
	case tab.MDevpath:
		return e.text(k, dev.Devpath())
	case tab.MKernel, tab.MKernels:
		return e.text(k, dev.Sysname())
	case tab.MSymlink:
		return e.any(k, dev.Links())
	case tab.MName:
		return e.text(k, e.out.Name)
	case tab.MEnv:
		v, _ := e.property(e.t.str(k.attr))
		return e.text(k, v)
	case tab.MConst:
		return e.text(k, e.env.Const(e.t.str(k.attr)))
	case tab.MTag, tab.MTags:
		return e.any(k, dev.Tags())
	case tab.MSubsystem, tab.MSubsystems:
		return e.text(k, dev.Subsystem())
	case tab.MDriver, tab.MDrivers:
		return e.text(k, dev.Driver())
	case tab.MAttr, tab.MAttrs:
		return e.attr(k, dev)
	case tab.MSysctl:
		return e.sysctl(k)
	case tab.MTest:
		return e.test(k)
	case tab.MProgram:
		return e.program(k)
	case tab.MImportFile, tab.MImportProgram, tab.MImportBuiltin, tab.MImportDB, tab.MImportCmdline, tab.MImportParent:
		return e.imports(k)
	case tab.MResult:
		return e.text(k, e.result)
	}
	return false
}

// attr looks at an attribute. One that is not there holds for nothing, "!="
// included.
func (e *eval) attr(k token, dev *device.Device) bool {
	var value string
	var ok bool
	if k.flags&tab.AttrSubsys != 0 {
		value, ok = e.subsysAttr(e.t.str(k.attr))
	} else {
		var name string
		if name, ok = e.attrName(k, maxName); ok {
			value, ok = dev.Attr(name)
		}
	}
	if !ok {
		return false
	}
	if k.flags&tab.StripSpace != 0 {
		value = trimRight(value)
	}
	return e.text(k, value)
}

// attrName gives what stands in {} with its substitutions made.
func (e *eval) attrName(k token, limit int) (string, bool) {
	if k.flags&tab.AttrFormat == 0 {
		return e.t.str(k.attr), true
	}
	return e.segments(k.attr, uint32(k.extra), limit, false)
}

func trimRight(s string) string {
	for len(s) > 0 && escape.Space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func trim(s string) string {
	for len(s) > 0 && escape.Space(s[0]) {
		s = s[1:]
	}
	return trimRight(s)
}

func (e *eval) sysctl(k token) bool {
	key, ok := e.attrName(k, maxPath)
	if !ok {
		return false
	}
	p, err := sysctlPath(key)
	value := ""
	if err == nil {
		value, err = e.env.Sysctl(p)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.check(err)
		e.note(Decision{What: DidSysctl, Key: key, Op: opText[k.op], Err: err})
		return false
	}
	return e.text(k, trim(value))
}

// sysctlPath turns a parameter's name into its path below /proc/sys. As
// sysctl(8) has it, the first of '.' and '/' in it is the separator and the
// other one stands for itself.
func sysctlPath(key string) (string, error) {
	p := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		b := []byte(key)
		for j, c := range b {
			switch c {
			case '.':
				b[j] = '/'
			case '/':
				b[j] = '.'
			}
		}
		p = string(b)
	}
	clean := strings.Trim(path.Clean(p), "/")
	if clean == "" || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%q names no kernel parameter", key)
	}
	return clean, nil
}

// test looks for a file.
func (e *eval) test(k token) bool {
	p, ok := e.expand(k, maxPath)
	if !ok {
		return false
	}
	if !strings.HasPrefix(p, "/") {
		if dir, ok := e.subsysPath(p); ok {
			p = sysMount + dir
		} else {
			p = sysMount + e.dev.Devpath() + "/" + p
		}
	}
	p, err := e.anyDir(p)
	if err == nil {
		inside, ok := sysfsPath(p)
		switch {
		case k.flags&tab.NoMode == 0:
			var mode uint32
			mode, err = e.env.Mode(p)
			if err == nil && mode&k.attr == 0 {
				return k.op == tab.NoMatch
			}
		case ok:
			if !e.dev.Sys().Exists(inside) {
				err = fs.ErrNotExist
			}
		default:
			_, err = e.env.Mode(p)
		}
	}
	e.check(err)
	return (err == nil) == (k.op == tab.Match)
}

// sysfsPath gives the path of a file of sysfs without "/sys".
func sysfsPath(p string) (string, bool) {
	p = path.Clean(p)
	if rest, ok := strings.CutPrefix(p, sysMount); ok && strings.HasPrefix(rest, "/") {
		return rest, true
	}
	return p, false
}

// anyDir resolves the first "/*/" of a path: the first directory, by name,
// below which the rest is there.
func (e *eval) anyDir(p string) (string, error) {
	head, tail, ok := strings.Cut(p, "/*/")
	if !ok {
		return p, nil
	}
	var names []string
	var err error
	inside, ok := sysfsPath(head)
	if ok {
		names, err = e.dev.Sys().List(inside)
	} else {
		names, err = e.env.List(head)
	}
	if err != nil {
		return p, err
	}
	for _, n := range names {
		if strings.HasPrefix(n, ".") {
			continue
		}
		if ok {
			if e.dev.Sys().Exists(inside + "/" + n + "/" + tail) {
				return head + "/" + n + "/" + tail, nil
			}
		} else if _, err := e.env.Mode(head + "/" + n + "/" + tail); err == nil {
			return head + "/" + n + "/" + tail, nil
		}
	}
	return p, fs.ErrNotExist
}

// subsysPath resolves "[subsystem/sysname]attribute" to a path in sysfs. ok
// is false if it has another form or there is no such device.
func (e *eval) subsysPath(s string) (string, bool) {
	dir, attr, ok := e.subsysDevice(s)
	if ok && attr != "" {
		dir += "/" + attr
	}
	return dir, ok
}

// subsysAttr reads "[subsystem/sysname]attribute". An attribute that is not
// there is empty; ok is false if the device is not there.
func (e *eval) subsysAttr(s string) (string, bool) {
	dir, attr, ok := e.subsysDevice(s)
	if !ok || attr == "" {
		return "", false
	}
	value, _ := device.New(e.dev.Sys(), dir, map[string]string{}).Attr(attr)
	return value, true
}

func (e *eval) subsysDevice(s string) (dir, attr string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return "", "", false
	}
	in, attr, ok1 := strings.Cut(s[1:], "]")
	subsystem, name, ok2 := strings.Cut(in, "/")
	if !ok1 || !ok2 {
		return "", "", false
	}
	dir, ok = sysdev.Find(e.dev.Sys(), subsystem, name)
	return dir, strings.TrimPrefix(attr, "/"), ok
}
