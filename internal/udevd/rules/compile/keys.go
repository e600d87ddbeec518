package compile

import (
	"fmt"
	"strconv"
	"strings"

	"firstlight/internal/udevd/rules/tab"
)

// What may stand in {} after a key.
const (
	attrNone     = iota // nothing
	attrMust            // any name
	attrFormat          // a name that may hold substitutions
	attrOptional        // TEST's mode, RUN's type
)

// spec says how a key may be written. The operators that it takes are those
// of ops; those of lenient are read as "=" with a warning.
type spec struct {
	name    string
	attr    int
	match   tab.Kind // none: tab.NumKinds
	assign  tab.Kind
	ops     uint8
	lenient uint8
	value   int
	noFold  bool
}

// What the value of an assignment, or of a key that does something, may be.
const (
	anyValue   = iota
	format     // may hold substitutions
	fullFormat // the same, and is not empty
)

const (
	none     = tab.NumKinds
	opMatch  = 1<<tab.Match | 1<<tab.NoMatch
	opAdd    = 1 << tab.Add
	opRemove = 1 << tab.Remove
	opAssign = 1 << tab.Assign
	opFinal  = 1 << tab.Final
	opNoLess = opMatch | opAdd | opAssign | opFinal // all but -=
	opSet    = opAdd | opAssign | opFinal
)

// specs are the keys of the language.
var specs = [...]spec{
	{name: "ACTION", match: tab.MAction, assign: none, ops: opMatch},
	{name: "DEVPATH", match: tab.MDevpath, assign: none, ops: opMatch},
	{name: "KERNEL", match: tab.MKernel, assign: none, ops: opMatch},
	{name: "SYMLINK", match: tab.MSymlink, assign: tab.ASymlink, ops: opMatch | opSet | opRemove, value: format},
	{name: "NAME", match: tab.MName, assign: tab.AName, ops: opMatch | opAssign | opFinal, lenient: opAdd, value: format},
	{name: "ENV", attr: attrMust, match: tab.MEnv, assign: tab.AEnv, ops: opMatch | opAdd | opAssign, lenient: opFinal, value: format},
	{name: "CONST", attr: attrMust, match: tab.MConst, assign: none, ops: opMatch},
	{name: "TAG", match: tab.MTag, assign: tab.ATag, ops: opMatch | opAdd | opAssign | opRemove, lenient: opFinal, value: fullFormat},
	{name: "SUBSYSTEM", match: tab.MSubsystem, assign: none, ops: opMatch},
	{name: "DRIVER", match: tab.MDriver, assign: none, ops: opMatch},
	{name: "ATTR", attr: attrFormat, match: tab.MAttr, assign: tab.AAttr, ops: opMatch | opAssign, lenient: opAdd | opFinal, value: format},
	{name: "SYSCTL", attr: attrFormat, match: tab.MSysctl, assign: tab.ASysctl, ops: opMatch | opAssign, lenient: opAdd | opFinal, value: format},
	{name: "KERNELS", match: tab.MKernels, assign: none, ops: opMatch},
	{name: "SUBSYSTEMS", match: tab.MSubsystems, assign: none, ops: opMatch},
	{name: "DRIVERS", match: tab.MDrivers, assign: none, ops: opMatch},
	{name: "ATTRS", attr: attrFormat, match: tab.MAttrs, assign: none, ops: opMatch},
	{name: "TAGS", match: tab.MTags, assign: none, ops: opMatch},
	{name: "TEST", attr: attrOptional, match: tab.MTest, assign: none, ops: opMatch, value: fullFormat, noFold: true},
	{name: "PROGRAM", match: tab.MProgram, assign: tab.MProgram, ops: opNoLess, value: fullFormat, noFold: true},
	{name: "IMPORT", attr: attrMust, match: tab.MImportFile, assign: tab.MImportFile, ops: opNoLess, value: fullFormat, noFold: true},
	{name: "RESULT", match: tab.MResult, assign: none, ops: opMatch},
	{name: "OPTIONS", match: none, assign: tab.ADump, ops: opSet},
	{name: "OWNER", match: none, assign: tab.AOwner, ops: opAssign | opFinal, lenient: opAdd, value: fullFormat},
	{name: "GROUP", match: none, assign: tab.AGroup, ops: opAssign | opFinal, lenient: opAdd, value: fullFormat},
	{name: "MODE", match: none, assign: tab.AMode, ops: opAssign | opFinal, lenient: opAdd, value: fullFormat},
	{name: "SECLABEL", attr: attrMust, match: none, assign: tab.ASeclabel, ops: opAdd | opAssign, lenient: opFinal, value: fullFormat},
	{name: "RUN", attr: attrOptional, match: none, assign: tab.ARunProgram, ops: opSet, value: fullFormat},
}

// gone are keys of udev's past, with what took their place.
var gone = map[string]string{
	"BUS": "SUBSYSTEMS", "SYSFS": "ATTRS", "ID": "KERNELS", "PLACE": "KERNELS", "MODALIAS": "ENV{MODALIAS}",
	"WAIT_FOR": "nothing; attributes are there when the event comes", "WAIT_FOR_SYSFS": "nothing; attributes are there when the event comes",
}

// fixed are properties that no rule can set.
var fixed = []string{"ACTION", "DEVLINKS", "DEVNAME", "DEVPATH", "DEVTYPE", "DRIVER", "IFINDEX",
	"MAJOR", "MINOR", "SEQNUM", "SUBSYSTEM", "TAGS"}

var opText = [tab.NumOps]string{"==", "!=", "+=", "-=", "=", ":="}

// verdict is what becomes of a key: ok is false if the rule has to be left
// out because of it; skip if the key is; why is the message, if any.
type verdict struct {
	ok   bool
	skip bool
	why  string
}

func bad(format string, args ...any) (Key, verdict) {
	return Key{}, verdict{why: fmt.Sprintf(format, args...)}
}

// key turns an item into a key.
func (f *File) key(line int, it item) (Key, verdict) {
	var s *spec
	for i := range specs {
		if specs[i].name == it.key {
			s = &specs[i]
		}
	}
	name := it.key
	if it.hasAttr {
		name += "{" + it.attr + "}"
	}
	if s == nil {
		if now, ok := gone[it.key]; ok {
			return bad("%s is no longer a key of the language; what took its place is %s", it.key, now)
		}
		names := []string{"GOTO", "LABEL"}
		for _, s := range specs {
			names = append(names, s.name)
		}
		if n := nearest(it.key, names); n != "" {
			return bad("there is no key %q; is %s meant?", it.key, n)
		}
		return bad("there is no key %q", it.key)
	}
	switch {
	case it.hasAttr && s.attr == attrNone:
		return bad("%s takes nothing in braces; remove {%s}", it.key, it.attr)
	case it.attr == "" && (s.attr == attrMust || s.attr == attrFormat):
		return bad("%s needs a name in braces, %s{name}", it.key, it.key)
	}
	v := verdict{ok: true}
	isMatch := it.op == tab.Match || it.op == tab.NoMatch
	switch {
	case s.ops>>it.op&1 != 0:
	case s.lenient>>it.op&1 != 0:
		v.why = fmt.Sprintf("%s does not take %s, which is read as =; write =", it.key, opText[it.op])
		it.op = tab.Assign
	default:
		return bad("%s does not take %s; it takes %s", it.key, opText[it.op], opList(s.ops))
	}
	if it.fold && (!isMatch || s.noFold) {
		return bad("%s does not take the prefix i, which is for comparing strings with == and != only", name)
	}
	k := Key{Kind: s.match, Op: it.op, Value: it.value, Attr: it.attr, Name: name}
	if !isMatch {
		k.Kind = s.assign
	}
	if it.fold {
		k.Flags |= tab.Fold
	}
	if s.attr == attrFormat {
		if why := checkFormat(it.attr); why != "" {
			f.problem(line, Error, "%s: %s", name, why)
		}
		if strings.ContainsAny(it.attr, "$%") {
			k.Flags |= tab.AttrFormat
		}
	}
	if k.Kind != tab.MName && k.Kind != tab.MSymlink && k.Kind != tab.MEnv && k.Kind != tab.MTag && k.Kind != tab.MAttr && k.Kind != tab.MSysctl {
		if s.value == fullFormat && it.value == "" {
			f.problem(line, Error, "%s: the value is empty; give one, or remove the key", name)
		} else if s.value != anyValue {
			if why := checkFormat(it.value); why != "" {
				f.problem(line, Error, "%s: %s", name, why)
			}
		}
	}
	if k.Kind.IsMatch() && k.Kind.HasPatterns() {
		k.setPatterns()
	}
	k, special := f.special(line, k, it)
	if !special.ok || special.why != "" || special.skip {
		return k, special
	}
	return k, v
}

// special does what only some keys need.
func (f *File) special(line int, k Key, it item) (Key, verdict) {
	ok := verdict{ok: true}
	switch k.Kind {
	case tab.AName:
		if it.value == "%k" {
			return bad("NAME=\"%%k\" gives the device the name that it has; remove it")
		}
		if it.value == "" {
			return bad("NAME=\"\" would remove the device, which no rule can do; remove it")
		}
	case tab.AEnv:
		for _, name := range fixed {
			if it.attr == name {
				return bad("the property %s is the kernel's and cannot be set; use a name of your own", name)
			}
		}
	case tab.MConst:
		if it.attr != "arch" && it.attr != "virt" && it.attr != "cvm" {
			return bad("there is no CONST{%s}; there are arch, virt and cvm", it.attr)
		}
	case tab.MSubsystem:
		if it.value == "bus" || it.value == "class" {
			return k, verdict{ok: true, why: fmt.Sprintf("SUBSYSTEM%s%q means buses and classes alike; write \"subsystem\"", opText[it.op], it.value)}
		}
	case tab.MAttr, tab.MAttrs:
		if k.Value != "" && !isBlank(k.Value[len(k.Value)-1]) {
			k.Flags |= tab.StripSpace
		}
		if k.Attr[0] == '[' {
			k.Flags = k.Flags&^tab.AttrFormat | tab.AttrSubsys
		}
		if k.Kind == tab.MAttrs {
			switch {
			case strings.HasPrefix(k.Attr, "device/"):
				return k, verdict{ok: true, why: fmt.Sprintf("ATTRS{%s} goes through the link \"device\", which newer kernels may not have; ATTRS looks at the parents by itself", k.Attr)}
			case strings.Contains(k.Attr, "../"):
				return k, verdict{ok: true, why: fmt.Sprintf("ATTRS{%s} names a parent directory, which newer kernels may move; ATTRS looks at the parents by itself", k.Attr)}
			}
		}
	case tab.AAttr:
		k.Flags &^= tab.AttrFormat // the name is taken as it is, but for [subsystem/sysname]
		if k.Attr[0] == '[' {
			k.Flags |= tab.AttrSubsys
		}
	case tab.MTest:
		k.Flags |= tab.NoMode
		if it.attr != "" {
			m, err := parseMode(it.attr)
			if err != nil {
				return bad("TEST{%s}: the mode mask has to be an octal number of at most four digits", it.attr)
			}
			k.Number, k.Flags = m, k.Flags&^tab.NoMode
		}
	case tab.MProgram:
		if it.op != tab.NoMatch {
			k.Op = tab.Match
		}
	case tab.MImportFile:
		if it.op != tab.NoMatch {
			k.Op = tab.Match
		}
		switch it.attr {
		case "file":
		case "program":
			k.Kind = tab.MImportProgram
			if udevBuiltin(it.value) {
				k.Kind = tab.MImportBuiltin
			}
		case "builtin":
			k.Kind = tab.MImportBuiltin
		case "db":
			k.Kind = tab.MImportDB
		case "cmdline":
			k.Kind = tab.MImportCmdline
		case "parent":
			k.Kind = tab.MImportParent
		default:
			return bad("there is no IMPORT{%s}; there are program, builtin, file, db, cmdline and parent", it.attr)
		}
		k.Attr = ""
	case tab.ARunProgram:
		switch it.attr {
		case "":
			if it.hasAttr {
				return bad("RUN{} says nothing in its braces; write RUN, RUN{program} or RUN{builtin}")
			}
		case "program":
		case "builtin":
			k.Kind = tab.ARunBuiltin
		default:
			return bad("there is no RUN{%s}; there are program and builtin", it.attr)
		}
		k.Attr = ""
	case tab.ADump:
		return option(k, it)
	case tab.AOwner, tab.AGroup:
		if n, err := strconv.ParseUint(it.value, 10, 32); err == nil && n != 1<<32-1 && n != 1<<16-1 {
			k.Number = uint32(n)
			k.Kind += tab.AOwnerID - tab.AOwner
		}
	case tab.AMode:
		if m, err := parseMode(it.value); err == nil {
			k.Kind, k.Number = tab.AModeID, m
		} else if !strings.ContainsAny(it.value, "$%") {
			return bad("MODE=%q: the mode has to be an octal number of at most four digits, as in MODE=\"0660\"", it.value)
		}
	}
	return k, ok
}

// option reads the value of OPTIONS.
func option(k Key, it item) (Key, verdict) {
	k.Op = it.op
	if it.op == tab.Add {
		k.Op = tab.Assign
	}
	ok := verdict{ok: true}
	name, value, _ := strings.Cut(it.value, "=")
	switch it.value {
	case "dump":
		return k, ok
	case "string_escape=none":
		k.Kind = tab.AEscapeNone
		return k, ok
	case "string_escape=replace":
		k.Kind = tab.AEscapeReplace
		return k, ok
	case "db_persist":
		k.Kind = tab.ADBPersist
		return k, ok
	case "watch", "nowatch":
		k.Kind = tab.AWatch
		if it.value == "watch" {
			k.Number = 1
		}
		return k, ok
	}
	switch name {
	case "static_node":
		k.Kind, k.Value = tab.AStaticNode, value
		if value == "" {
			return bad("OPTIONS=\"static_node=\" names no node; give its path below /dev")
		}
		return k, ok
	case "link_priority":
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
		if err != nil {
			return bad("OPTIONS=%q: the priority has to be a whole number, as in link_priority=10", it.value)
		}
		k.Kind, k.Number = tab.ALinkPriority, uint32(int32(n))
		return k, ok
	case "log_level":
		n := logLevel(value)
		if n < -1 {
			return bad("OPTIONS=%q: the level has to be emerg, alert, crit, err, warning, notice, info, debug, 0 to 7, or reset", it.value)
		}
		k.Kind, k.Number = tab.ALogLevel, uint32(int32(n))
		return k, ok
	}
	all := []string{"link_priority=", "string_escape=none", "string_escape=replace", "static_node=", "watch", "nowatch", "db_persist", "log_level=", "dump"}
	hint := "there are " + strings.Join(all, ", ")
	if n := nearest(it.value, all); n != "" {
		hint = "is " + n + " meant?"
	} else if strings.Contains(it.value, ",") {
		hint = "write one OPTIONS for each option"
	}
	return k, verdict{ok: true, skip: true, why: fmt.Sprintf("OPTIONS=%q is unknown and ignored; %s", it.value, hint)}
}

// logLevel gives the number of a syslog level, -1 for "reset", -2 for what
// is none.
func logLevel(s string) int {
	for i, n := range [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"} {
		if s == n || len(s) == 1 && s[0] == byte('0'+i) {
			return i
		}
	}
	if s == "reset" {
		return -1
	}
	return -2
}

// parseMode reads an octal mode of at most 07777.
func parseMode(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0, err
	}
	if n > 0o7777 {
		return 0, strconv.ErrRange
	}
	return uint32(n), nil
}

func opList(ops uint8) string {
	var l []string
	for op, text := range opText {
		if ops>>op&1 != 0 {
			l = append(l, text)
		}
	}
	return strings.Join(l, " ")
}

// builtins are those of udev, with whether one runs at most once for an event.
var builtins = map[string]bool{
	"blkid": true, "btrfs": false, "dissect_image": true, "factory_reset": true, "hwdb": false, "input_id": true,
	"keyboard": false, "kmod": false, "net_driver": true, "net_id": true, "net_setup_link": false,
	"path_id": true, "tpm2_id": true, "uaccess": false, "usb_id": true,
}

// udevBuiltin says whether a command line is that of one of udev's builtins.
func udevBuiltin(command string) bool {
	_, ok := builtins[firstWord(command)]
	return ok
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, blank); i >= 0 {
		return s[:i]
	}
	return s
}
