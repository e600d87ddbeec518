package rules

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/rules/tab"
)

var opText = [tab.NumOps]string{"==", "!=", "+=", "-=", "=", ":="}

var errTooLong = errors.New("the value is too long after substitution")

// closed says whether an earlier := closed what k assigns, and closes it if
// k does.
func (e *eval) closed(bit uint8, k token) bool {
	if e.final&bit != 0 {
		return true
	}
	if k.op == tab.Final {
		e.final |= bit
	}
	return false
}

// assign makes one assignment.
func (e *eval) assign(k token) {
	switch k.kind {
	case tab.ADump:
		e.out.Dump = true
		e.note(Decision{What: DidOption, Key: "dump", Op: opText[k.op]})
	case tab.AEscapeNone:
		e.escape = escapeNone
	case tab.AEscapeReplace:
		e.escape = escapeReplace
	case tab.ADBPersist:
		e.out.DBPersist = true
		e.note(Decision{What: DidOption, Key: "db_persist", Op: opText[k.op]})
	case tab.AWatch:
		if e.closed(finalWatch, k) {
			return
		}
		e.out.Watch = Value{k.attr, true, e.t.where(e.line)}
		e.note(Decision{What: DidOption, Key: "watch", Value: strconv.FormatUint(uint64(k.attr), 10), Op: opText[k.op]})
	case tab.ALinkPriority:
		e.out.LinkPriority = int(int32(k.attr))
		e.note(Decision{What: DidOption, Key: "link_priority", Value: strconv.Itoa(e.out.LinkPriority), Op: opText[k.op]})
	case tab.ALogLevel:
		e.out.LogLevel, e.out.LogLevelSet = int(int32(k.attr)), true
		e.note(Decision{What: DidOption, Key: "log_level", Value: strconv.Itoa(e.out.LogLevel), Op: opText[k.op]})
	case tab.AOwner, tab.AOwnerID:
		e.account(k, finalOwner, DidOwner, tab.AOwnerID, &e.out.UID)
	case tab.AGroup, tab.AGroupID:
		e.account(k, finalGroup, DidGroup, tab.AGroupID, &e.out.GID)
	case tab.AMode, tab.AModeID:
		e.account(k, finalMode, DidMode, tab.AModeID, &e.out.Mode)
	case tab.ASeclabel:
		e.seclabel(k)
	case tab.AEnv:
		e.setEnv(k)
	case tab.ATag:
		e.tag(k)
	case tab.AName:
		e.name(k)
	case tab.ASymlink:
		e.symlink(k)
	case tab.AAttr:
		e.setAttr(k)
	case tab.ASysctl:
		e.setSysctl(k)
	case tab.ARunBuiltin, tab.ARunProgram:
		e.run(k)
	case tab.AStaticNode: // says nothing about an event
	}
}

// account sets an owner, a group or a mode.
func (e *eval) account(k token, bit uint8, what string, number tab.Kind, to *Value) {
	if e.closed(bit, k) {
		return
	}
	d := Decision{What: what, Op: opText[k.op]}
	n := k.attr
	if k.kind != number {
		s, ok := e.expand(k, maxName)
		d.Value = s
		if !ok {
			d.Err = errTooLong
			e.note(d)
			return
		}
		if n, d.Err = e.resolve(what, s); d.Err != nil {
			e.note(d)
			return
		}
	}
	*to = Value{n, true, e.t.where(e.line)}
	if d.Value == "" {
		base := 10
		if what == DidMode {
			base = 8
		}
		d.Value = strconv.FormatUint(uint64(n), base)
	}
	e.note(d)
}

// resolve turns the text of an owner, group or mode into its number.
func (e *eval) resolve(what, s string) (uint32, error) {
	switch what {
	case DidMode:
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n > 0o7777 {
			return 0, fmt.Errorf("%q is no octal mode", s)
		}
		return uint32(n), nil
	default:
		if n, err := strconv.ParseUint(s, 10, 32); err == nil && n != tab.NoID {
			return uint32(n), nil
		}
		ask := e.env.User
		if what == DidGroup {
			ask = e.env.Group
		}
		n, ok := ask(s)
		if !ok {
			return 0, fmt.Errorf("unknown %s %q", strings.ToLower(what), s)
		}
		return n, nil
	}
}

func (e *eval) seclabel(k token) {
	s, ok := e.expand(k, maxLine)
	module := e.t.str(k.attr)
	if !ok {
		e.note(Decision{What: DidSeclabel, Key: module, Op: opText[k.op], Err: errTooLong})
		return
	}
	if k.op == tab.Assign {
		e.out.Labels = nil
	}
	e.out.Labels = slices.DeleteFunc(e.out.Labels, func(l Label) bool { return l.Module == module })
	e.out.Labels = append(e.out.Labels, Label{module, s, e.t.where(e.line)})
	e.note(Decision{What: DidSeclabel, Key: module, Value: s, Op: opText[k.op]})
}

func (e *eval) setEnv(k token) {
	key := e.t.str(k.attr)
	if k.n == 0 {
		if k.op != tab.Add {
			e.dev.SetProperty(key, "")
			e.note(Decision{What: DidEnv, Key: key, Op: opText[k.op]})
		}
		return
	}
	value, ok := e.expand(k, maxName)
	if e.escape == escapeReplace {
		value = escape.Chars(value, "")
	}
	if k.op == tab.Add {
		if old, has := e.property(key); has {
			value = old + " " + value
		}
	}
	if !ok || len(value) > maxName {
		e.note(Decision{What: DidEnv, Key: key, Value: value, Op: opText[k.op], Err: errTooLong})
		return
	}
	e.dev.SetProperty(key, value)
	e.note(Decision{What: DidEnv, Key: key, Value: value, Op: opText[k.op]})
}

func (e *eval) tag(k token) {
	tag, ok := e.expand(k, maxPath)
	d := Decision{What: DidTag, Value: tag, Op: opText[k.op]}
	switch {
	case !ok:
		d.Err = errTooLong
	case k.op == tab.Remove:
		e.dev.SetTag(tag, false)
	default:
		if k.op == tab.Assign || k.op == tab.Final {
			for _, old := range e.dev.Tags() {
				e.dev.SetTag(old, false)
			}
		}
		if tag == "" || strings.ContainsAny(tag, ": /") {
			d.Err = errors.New("a tag must not be empty nor hold ':', '/' or a space")
			break
		}
		e.dev.SetTag(tag, true)
	}
	e.note(d)
}

func (e *eval) name(k token) {
	if e.closed(finalName, k) {
		return
	}
	d := Decision{What: DidName, Op: opText[k.op]}
	if !e.dev.HasProperty("IFINDEX") {
		d.Err = errors.New("only network interfaces can be renamed")
		e.note(d)
		return
	}
	name, ok := e.expand(k, maxPath)
	if !ok {
		d.Err = errTooLong
		e.note(d)
		return
	}
	if e.escape != escapeNone {
		name = interfaceName(name)
	}
	e.out.Name, d.Value = name, name
	e.note(d)
}

// interfaceName replaces what an interface's name cannot hold: anything but
// printable ASCII, and ":", "/" and "%".
func interfaceName(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == ':' || r == '/' || r == '%' {
			return '_'
		}
		return r
	}, s)
}

func (e *eval) symlink(k token) {
	if e.closed(finalLinks, k) || !e.dev.HasProperty("MAJOR") {
		return
	}
	e.links = true
	if k.op == tab.Assign || k.op == tab.Final {
		for _, old := range e.dev.Links() {
			e.dev.RemoveLink(old)
		}
	}
	s, ok := e.expandLinks(k)
	if !ok {
		e.note(Decision{What: DidSymlink, Value: s, Op: opText[k.op], Err: errTooLong})
		return
	}
	switch e.escape {
	case escapeDefault:
		s = escape.Chars(s, "/ ")
	case escapeReplace:
		s = escape.Chars(s, "/")
	}
	for path := range strings.FieldsSeq(s) {
		d := Decision{What: DidSymlink, Op: opText[k.op]}
		d.Value, d.Err = linkName(path)
		switch {
		case d.Err != nil:
		case k.op == tab.Remove:
			e.dev.RemoveLink(d.Value)
		case "/dev/"+d.Value == e.dev.Devname():
			d.Err = errors.New("it is the name of the node itself")
		default:
			e.dev.AddLink(d.Value, e.out.LinkPriority)
		}
		e.note(d)
	}
}

// linkName gives a link's path below /dev without "/dev/". It must not lead
// out of it.
func linkName(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "/dev/"); ok {
		path = rest
	} else if strings.HasPrefix(path, "/") {
		return path, errors.New("a link has to be below /dev")
	}
	clean := make([]string, 0, 4)
	for elem := range strings.SplitSeq(path, "/") {
		switch elem {
		case "", ".":
		case "..":
			return path, errors.New("a link must not hold \"..\"")
		default:
			clean = append(clean, elem)
		}
	}
	if len(clean) == 0 {
		return path, errors.New("the link's name is empty")
	}
	return strings.Join(clean, "/"), nil
}

func (e *eval) setAttr(k token) {
	key := e.t.str(k.attr)
	d := Decision{What: DidAttr, Key: key, Op: opText[k.op]}
	defer func() { e.note(d) }()
	path, ok := "", false
	if k.flags&tab.AttrSubsys != 0 {
		path, ok = e.subsysPath(key)
	}
	if !ok {
		path = e.dev.Devpath() + "/" + key
	}
	path, d.Err = e.anyDir(sysMount + path)
	if d.Err != nil {
		return
	}
	if d.Value, ok = e.expand(k, maxName); !ok {
		d.Err = errTooLong
		return
	}
	clean, inside := sysfsPath(path)
	if !inside {
		d.Err = errors.New("the attribute lies outside sysfs")
		return
	}
	d.Err = e.env.SetAttr(clean, d.Value)
	e.check(d.Err)
}

func (e *eval) setSysctl(k token) {
	d := Decision{What: DidSysctl, Op: opText[k.op]}
	defer func() { e.note(d) }()
	key, ok1 := e.attrName(k, maxPath)
	value, ok2 := e.expand(k, maxName)
	d.Key, d.Value = key, value
	if !ok1 || !ok2 {
		d.Err = errTooLong
		return
	}
	path, err := sysctlPath(key)
	if d.Err = err; err == nil {
		d.Err = e.env.SetSysctl(path, value)
		e.check(d.Err)
	}
}

func (e *eval) run(k token) {
	if e.closed(finalRun, k) {
		return
	}
	if k.op == tab.Assign || k.op == tab.Final {
		e.out.Run = nil
	}
	s, ok := e.expand(k, maxLine)
	d := Decision{What: DidRun, Key: "program", Value: s, Op: opText[k.op]}
	if k.kind == tab.ARunBuiltin {
		d.Key = "builtin"
	}
	if !ok {
		d.Err = errTooLong
	} else if args := SplitArgs(s); len(args) == 0 {
		d.Err = errors.New("the command is empty after substitution")
	} else {
		e.out.Run = append(e.out.Run, Command{k.kind == tab.ARunBuiltin, args, e.t.where(e.line)})
	}
	e.note(d)
}
