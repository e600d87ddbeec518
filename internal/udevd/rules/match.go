package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/glob"
	"firstlight/internal/udevd/rules/tab"
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
	dir, ok = Find(e.dev.Sys(), subsystem, name)
	return dir, strings.TrimPrefix(attr, "/"), ok
}

// Find looks for a device by its subsystem and name and returns its devpath.
// The subsystems "subsystem", "module" and "drivers" (with a name
// "bus:driver") are those of the kernel's own objects, as libudev has them.
func Find(sys sysfs.FS, subsystem, name string) (string, bool) {
	if subsystem == "" || name == "" || strings.Contains(subsystem, "/") {
		return "", false
	}
	name = strings.ReplaceAll(name, "/", "!")
	var try [4]string
	switch subsystem {
	case "subsystem":
		try = [4]string{"/subsystem/" + name, "/bus/" + name, "/class/" + name}
	case "module":
		try = [4]string{"/module/" + name}
	case "drivers":
		bus, driver, ok := strings.Cut(name, ":")
		if !ok {
			return "", false
		}
		try = [4]string{"/subsystem/" + bus + "/drivers/" + driver, "/bus/" + bus + "/drivers/" + driver}
	default:
		try = [4]string{"/subsystem/" + subsystem + "/devices/" + name, "/bus/" + subsystem + "/devices/" + name,
			"/class/" + subsystem + "/" + name, "/firmware/" + subsystem + "/" + name}
	}
	for _, p := range try {
		if p == "" || !sys.Exists(p) {
			continue
		}
		if dir, err := sys.Resolve(p); err == nil {
			return dir, true
		}
	}
	return "", false
}

func (e *eval) program(k token) bool {
	e.result = ""
	command, ok := e.expand(k, maxLine)
	if !ok {
		return false
	}
	out, err := e.runProgram(command)
	d := Decision{What: DidProgram, Value: command, Op: "ok", Err: err}
	if err != nil {
		d.Op = "failed"
		e.note(d)
		return k.op == tab.NoMatch
	}
	e.note(d)
	e.result = escape.Chars(strings.TrimRight(out, "\n"), escape.Input)
	return k.op == tab.Match
}

func (e *eval) runProgram(command string) (string, error) {
	args := SplitArgs(command)
	if len(args) == 0 {
		return "", errors.New("the command is empty after substitution")
	}
	out, err := e.env.Program(e.dev, args)
	e.check(err)
	if len(out) > maxLine {
		out = out[:maxLine]
	}
	return out, err
}

// imports runs one of the IMPORTs.
func (e *eval) imports(k token) bool {
	d := Decision{What: DidImport}
	found := false
	switch k.kind {
	case tab.MImportDB:
		d.Key, d.Value = "db", e.t.str(k.value)
		var v string
		if v, found = e.env.Stored(e.dev, d.Value); found {
			e.dev.SetProperty(d.Value, v)
		}
	case tab.MImportCmdline:
		d.Key, d.Value = "cmdline", e.t.str(k.value)
		var v string
		if v, found = e.env.Cmdline(d.Value); found {
			if v == "" {
				v = "1"
			}
			e.dev.SetProperty(d.Value, v)
		}
	default:
		limit := maxLine
		if k.kind == tab.MImportFile || k.kind == tab.MImportParent {
			limit = maxPath
		}
		var ok bool
		if d.Value, ok = e.expand(k, limit); !ok {
			return false
		}
		switch k.kind {
		case tab.MImportFile:
			d.Key = "file"
			found, d.Err = e.importFile(d.Value)
		case tab.MImportProgram:
			d.Key = "program"
			var out string
			if out, d.Err = e.runProgram(d.Value); d.Err == nil {
				found = true
				e.importLines(out)
			}
		case tab.MImportBuiltin:
			d.Key = "builtin"
			if k.extra > 0 && e.builtins>>(k.extra-1)&1 != 0 {
				return (e.failed>>(k.extra-1)&1 == 0) == (k.op == tab.Match)
			}
			d.Err = e.builtin(d.Value, k.extra)
			found = d.Err == nil
		case tab.MImportParent:
			d.Key = "parent"
			found = e.importParent(d.Value)
		}
	}
	d.Op = "failed"
	if found {
		d.Op = "ok"
	}
	e.check(d.Err)
	e.note(d)
	return found == (k.op == tab.Match)
}

func (e *eval) builtin(command string, bit uint16) error {
	args := SplitArgs(command)
	err := errors.New("the command is empty after substitution")
	if len(args) > 0 {
		err = e.env.Builtin(e.dev, args)
	}
	if bit > 0 {
		e.builtins |= 1 << (bit - 1)
		if err != nil {
			e.failed |= 1 << (bit - 1)
		}
	}
	return err
}

func (e *eval) importFile(p string) (bool, error) {
	text, err := e.env.ReadFile(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	e.importLines(text)
	return true, nil
}

// importLines takes properties from lines of the form KEY=value, the value
// in quotes of either kind or without. Other lines are passed over.
func (e *eval) importLines(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		line = trim(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = trim(key), trim(value)
		if !ok || key == "" || value == "" {
			continue
		}
		if c := value[0]; c == '"' || c == '\'' {
			if len(value) == 1 || value[len(value)-1] != c {
				continue
			}
			value = value[1 : len(value)-1]
		}
		e.dev.SetProperty(key, value)
	}
}

// importParent copies the properties of the parent whose names match.
func (e *eval) importParent(pattern string) bool {
	parent := e.dev.Parent()
	if parent == nil {
		return false
	}
	if !glob.Meta(pattern) {
		if !parent.HasProperty(pattern) {
			return false
		}
		e.dev.SetProperty(pattern, parent.Property(pattern))
		return true
	}
	found := false
	for key, value := range parent.Properties() {
		if glob.Match(pattern, key) {
			e.dev.SetProperty(key, value)
			found = true
		}
	}
	return found
}

// SplitArgs splits a command into words at white space. Quotes of either
// kind keep what is between them together and are removed; a quote without
// its end goes to the end of the command. A backslash outside single quotes
// stays, and keeps the byte after it from being a quote or a space.
func SplitArgs(command string) []string {
	var args []string
	var word []byte
	in := false
	quote := byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && quote != '\'':
			in = true
			word = append(word, c)
			if i+1 < len(command) {
				i++
				word = append(word, command[i])
			}
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case escape.Space(c):
			if in {
				args = append(args, string(word))
				word, in = word[:0], false
			}
		default:
			in = true
			word = append(word, c)
		}
	}
	if in {
		args = append(args, string(word))
	}
	return args
}
