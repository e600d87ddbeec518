package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/rules/tab"
)

// Bounds of what a substitution may give, in bytes, as udev has them. A
// condition whose value would be longer fails; an assignment is not made.
const (
	maxName = 511
	maxPath = 1023
	maxLine = 16383
)

// escaping is what OPTIONS="string_escape=" said in the rule at hand.
type escaping uint8

const (
	escapeDefault escaping = iota
	escapeNone
	escapeReplace
)

// eval is one evaluation.
type eval struct {
	t        *Table
	dev      *device.Device
	ev       Event
	env      Env
	out      *Outcome
	parent   *device.Device // the one that KERNELS and the like found last
	result   string         // of PROGRAM
	escape   escaping
	line     uint32
	builtins uint64 // bits of those that run once and have run
	failed   uint64 // of these, those that failed
	final    uint8  // what := has closed
	links    bool   // SYMLINK was touched
	stop     error
}

const (
	finalName = 1 << iota
	finalOwner
	finalGroup
	finalMode
	finalLinks
	finalRun
	finalWatch
)

// Evaluate applies the rules of t to dev, which carries the properties of the
// event and none of the links and tags that an earlier event gave it. It
// changes dev's properties, links and tags. The error is that of an Env which
// wants the evaluation to stop (ErrStop); dev and the Outcome then are as far
// as they came.
func Evaluate(t *Table, dev *device.Device, ev Event, env Env) (*Outcome, error) {
	e := eval{t: t, dev: dev, ev: ev, env: env, out: &Outcome{}}
	mask := uint16(tab.HasGoto | tab.HasUpdate)
	if ev.Action != "remove" {
		if dev.HasProperty("MAJOR") {
			mask |= tab.HasDevlink
		}
		if dev.HasProperty("IFINDEX") {
			mask |= tab.HasName
		}
	}
	first, n := t.candidates(dev.Subsystem(), ev.Action)
	for i := range n {
		at := t.u32(tab.Index, first+i)
		if at < e.line { // passed over by a GOTO
			continue
		}
		l := t.line(at)
		if l.flags&mask == 0 {
			continue
		}
		e.line = at
		if e.rule(l) && l.target != tab.NoLine {
			e.line = l.target
		}
		if e.stop != nil {
			return e.out, fmt.Errorf("rules: %s: %w", t.where(at), e.stop)
		}
	}
	if e.links && e.out.LinkPriority != 0 {
		for _, name := range dev.Links() {
			dev.AddLink(name, e.out.LinkPriority)
		}
	}
	return e.out, nil
}

// rule applies one rule; ok is false if a condition did not hold.
func (e *eval) rule(l line) (ok bool) {
	e.escape = escapeDefault
	parents := false
	for i := range uint32(l.n) {
		k := e.t.token(l.token + i)
		switch {
		case k.kind.OfParents():
			if parents {
				continue
			}
			parents = true
			if !e.parents(l, i) {
				return false
			}
		case k.kind.IsMatch():
			if !e.match(k, e.dev) {
				return false
			}
		default:
			e.assign(k)
		}
		if e.stop != nil {
			return false
		}
	}
	return true
}

// parents looks for the device, from the event's own upwards, for which all
// conditions of the rule on parents hold.
func (e *eval) parents(l line, from uint32) bool {
	for e.parent = e.dev; e.parent != nil; e.parent = e.parent.Parent() {
		all := true
		for i := from; all && i < uint32(l.n); i++ {
			if k := e.t.token(l.token + i); k.kind.OfParents() {
				all = e.match(k, e.parent)
			}
		}
		if all {
			return true
		}
	}
	return false
}

// note records a decision.
func (e *eval) note(d Decision) {
	d.From = e.t.where(e.line)
	e.out.Decisions = append(e.out.Decisions, d)
}

// check keeps an error that asks to stop.
func (e *eval) check(err error) {
	if err != nil && errors.Is(err, ErrStop) {
		e.stop = err
	}
}

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

// property gives a property as ENV{} and $env{} see it: with those that are
// made up of the device's links and tags.
func (e *eval) property(key string) (string, bool) {
	if e.dev.HasProperty(key) {
		return e.dev.Property(key), true
	}
	switch key {
	case "ACTION":
		return e.ev.Action, true
	case "DEVLINKS":
		links := e.dev.Links()
		for i := range links {
			links[i] = "/dev/" + links[i]
		}
		return strings.Join(links, " "), len(links) > 0
	case "TAGS", "CURRENT_TAGS":
		if tags := e.dev.Tags(); len(tags) > 0 {
			return ":" + strings.Join(tags, ":") + ":", true
		}
	}
	return "", false
}

// patterns says whether one of the patterns of k matches s.
func (t *Table) patterns(k token, s string) bool {
	for i := range uint32(k.n) {
		r := t.rec(tab.Patterns, k.value+i)
		p := t.str(binary.LittleEndian.Uint32(r[4:]))
		if matchPattern(binary.LittleEndian.Uint32(r), p, s, k.flags&tab.Fold != 0) {
			return true
		}
	}
	return false
}

// isSubsystemWord: the three words are one to SUBSYSTEM.
var subsystemWords = [...]string{"subsystem", "bus", "class"}

func isSubsystemWord(s string, fold bool) bool {
	return slices.ContainsFunc(subsystemWords[:], func(w string) bool {
		return matchPattern(tab.Exact, w, s, fold)
	})
}
