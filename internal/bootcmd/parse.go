package bootcmd

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/timespan"
)

// The defaults of Wait.
const (
	defaultDeadline = 90 * time.Second
	defaultDegraded = 15 * time.Second
	defaultExplain  = 10 * time.Second
	defaultProgress = 5 * time.Second
)

// unset is a span that nothing was said of.
const unset = time.Duration(-1)

// maxText bounds a source, in bytes. The kernel's command line has at most
// 4096 on most architectures; files of the image may be longer.
const maxText = 64 << 10

// parser is the state of one Parse. Its methods that set something read the
// current parameter, arg.
type parser struct {
	c        *Config
	arg      Param
	known    string // the table's name of arg
	problems []Problem
	reported map[string]bool
	guesses  int // searches for a nearest name so far
	deadline rank
	// root and usr are read at the end: what they may be depends on the
	// filesystem's type.
	root, usr, zfs Param
	dataset        bool // root= may name one of a pool (boot=zfs)
	usrFlags       bool // mount.usrflags= is given
}

// rank orders the parameters that set Wait.Deadline.
type rank uint8

const (
	byDefault rank = iota
	byRootdelay
	byRootwait
	byRetry
	byTimeout
)

// Parse reads the sources in order, later ones winning for single values and
// adding to lists, and returns a complete configuration with everything that
// was wrong, in order. The same texts always give the same result.
func Parse(sources ...Source) (*Config, []Problem) {
	p := &parser{reported: map[string]bool{}, c: &Config{
		Root:          Root{ReadOnly: true},
		Luks:          Luks{Enabled: true, Crypttab: true, Timeout: timespan.Forever},
		Verity:        Verity{Enabled: true},
		LVM:           LVM{Enabled: true, Conf: true, Degraded: Degraded{Wait: unset}},
		BtrfsDegraded: Degraded{Wait: unset},
		MD:            MD{Enabled: true, Conf: true, IMSM: true, DDF: true, Degraded: Degraded{Wait: unset}},
		Wait:          Wait{defaultDeadline, unset, defaultExplain, defaultProgress},
		Failure:       Failure{Save: SavePstore},
		UseFstab:      true, HostOnly: true,
		Modules: Modules{Params: map[string][]string{}},
	}}
	for _, src := range sources {
		p.source(src)
	}
	p.finish()
	return p.c, p.problems
}

func (p *parser) source(src Source) {
	text := src.Text
	if len(text) > maxText {
		p.arg = Param{Name: "(all)", Source: src.Name}
		p.report(Malformed, "longer than "+strconv.Itoa(maxText)+" bytes, the rest is not read", "")
		text = text[:maxText]
	}
	if src.Name != kernelSource {
		text = uncomment(text)
	}
	text = strings.TrimRight(text, "\x00")
	for {
		arg, rest, ok := nextParam(text)
		if !ok {
			return
		}
		text = rest
		arg.Source = src.Name
		p.c.Params = append(p.c.Params, arg)
		if arg.Name == "--" && !arg.HasValue {
			if src.Name != kernelSource {
				p.initArgs(text)
			}
			return
		}
		p.param(arg)
	}
}

// kernelSource is the name of the kernel's own text.
const kernelSource = "/proc/cmdline"

// initArgs reads arguments of the real init.
func (p *parser) initArgs(text string) {
	for {
		arg, rest, ok := nextParam(text)
		if !ok {
			return
		}
		text = rest
		s := arg.Name
		if arg.HasValue {
			s += "=" + arg.Value
		}
		p.c.InitArgs = append(p.c.InitArgs, s)
	}
}

func (p *parser) param(arg Param) {
	p.arg = arg
	for i := range aliases {
		a := &aliases[i]
		if !sameName(a.old, arg.Name) {
			continue
		}
		value, deprecated := strings.CutPrefix(a.value, "!")
		if deprecated {
			p.report(Deprecated, "an old spelling", a.name+suffix(value))
		}
		if value != "" && !p.oldSwitch(value) {
			return
		}
		arg.Name = a.name
		break
	}
	for i := range table {
		if sameName(table[i].name, arg.Name) {
			p.known = table[i].name
			table[i].set(p)
			return
		}
	}
	systemd := strings.HasPrefix(arg.Name, "systemd.") || strings.HasPrefix(arg.Name, "rd.systemd.")
	if systemd {
		p.c.Systemd = append(p.c.Systemd, p.arg)
	}
	if area, ok := lookupArea(arg.Name); ok {
		p.notYet(area)
		return
	}
	switch {
	case systemd || isElsewhere(arg.Name):
		return
	case hasPrefix(arg.Name, "rd.", "rd_", "firstlight.", "luks.", "fsck.", "mount."):
		p.report(Unknown, "unknown parameter", p.nearest(arg.Name))
		return
	}
	p.moduleParam(arg)
}

// oldSwitch gives an old switch such as rd_NO_LUKS the value that the new
// name has to have. It is false if the switch is off and asks for nothing.
func (p *parser) oldSwitch(value string) bool {
	if on, ok := boolean(p.arg.Value); p.arg.HasValue && ok && !on {
		if value != "0" {
			return false
		}
		value = "1"
	}
	p.arg.Value, p.arg.HasValue = value, true
	return true
}

func hasPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func suffix(value string) string {
	if value == "" {
		return ""
	}
	return "=" + value
}

// finish settles what depends on several parameters.
func (p *parser) finish() {
	c := p.c
	if p.root.HasValue {
		p.arg, p.known = p.root, "root"
		c.Root.Device = p.rootSpec(c.Root.FSTypes)
	} else if p.zfs.HasValue {
		c.Root.Device = devspec.Spec{Kind: devspec.Other, Scheme: "zfs", Value: "zfs:" + p.zfs.Value}
	}
	if c.Usr.FSTypes == nil {
		c.Usr.FSTypes = c.Root.FSTypes
	}
	if p.usr.HasValue {
		p.arg, p.known = p.usr, "mount.usr"
		c.Usr.Device = p.rootSpec(c.Usr.FSTypes)
	}
	p.verified(&c.Verity.Root, "root", &c.Root.Device, p.root)
	p.verified(&c.Verity.Usr, "usr", &c.Usr.Device, p.usr)
	if !p.usrFlags && c.Root.Device.Scheme != "tmpfs" { // whose options are not a disk's
		c.Usr.Flags = c.Root.Flags
	}
	if !c.Failure.ShellSet {
		c.Failure.Shell = !c.Failure.PanicSet
	}
	if c.Wait.Degraded == unset {
		// As dracut has it, where the default is longer than what it allows.
		c.Wait.Degraded = min(defaultDegraded, c.Wait.Deadline/3*2)
	}
	for _, d := range [...]*Degraded{&c.MD.Degraded, &c.LVM.Degraded, &c.BtrfsDegraded} {
		if d.Wait == unset {
			d.Wait = c.Wait.Degraded
		}
	}
	p.conflicts()
	sort.Slice(c.Break, func(i, j int) bool { return c.Break[i] < c.Break[j] })
	c.Break = slices.Compact(c.Break)
}

// conflicts reports what was switched off and asked for as well; off has
// precedence, as it has everywhere.
func (p *parser) conflicts() {
	c := p.c
	for _, x := range [...]struct {
		is        bool
		off, asks string // off: the switch, with all its spellings
	}{
		{!c.Luks.Enabled && c.Luks.Restricted(), " rd.luks luks no-luks rd_NO_LUKS ", "encrypted devices are named"},
		{!c.LVM.Enabled && len(c.LVM.VGs)+len(c.LVM.LVs) > 0, " rd.lvm rd_NO_LVM ", "volumes are named"},
		{!c.MD.Enabled && len(c.MD.UUIDs) > 0, " rd.md rd_NO_MD ", "arrays are named"},
	} {
		if !x.is {
			continue
		}
		for i := len(c.Params) - 1; i >= 0; i-- {
			if strings.Contains(foldName(x.off), " "+foldName(c.Params[i].Name)+" ") {
				p.arg = c.Params[i]
				p.report(Conflicting, x.asks+" as well, but this switches them all off", "")
				break
			}
		}
	}
}

// rootSpec reads root= or mount.usr=. Some filesystems are mounted by a tag
// which is no device's name.
func (p *parser) rootSpec(types []string) devspec.Spec {
	for _, t := range [...]string{"virtiofs", "9p"} {
		if slices.Contains(types, t) && p.arg.Value != "" && !strings.Contains(p.arg.Value, ":") {
			if p.known != "root" {
				p.report(NotYet, "a "+t+" is not supported here yet", "")
			}
			return devspec.Spec{Kind: devspec.Other, Scheme: t, Value: strings.TrimPrefix(p.arg.Value, "SOURCE=")}
		}
	}
	if _, err := devspec.Parse(p.arg.Value); err != nil && p.dataset {
		return devspec.Spec{}
	}
	spec, ok := p.spec(p.arg.Value)
	switch {
	case !ok:
		return devspec.Spec{}
	case spec.Kind == devspec.Root:
		p.malformed("/dev/root is another name of what is asked for here")
		return devspec.Spec{}
	case hasWord("gpt-auto gpt-auto-force nfs nfs4 dhcp dhcp6 iscsi nbd nvmf cifs sshfs http https ftp tftp", spec.Scheme), p.known == "root" && hasWord("tmpfs live virtiofs 9p off bind fstab zfs bcachefs dissect dissect-force", spec.Scheme):
	case spec.Kind == devspec.Other:
		p.report(NotYet, "a root of the kind "+spec.Scheme+" is not supported yet", "")
	}
	return spec
}

// report adds a problem with the current parameter, once for each parameter
// and, for a malformed one, value.
func (p *parser) report(kind ProblemKind, reason, nearest string) {
	value := Redact(p.arg.Name, p.arg.Value)
	key := kind.String() + " " + foldName(p.arg.Name)
	if kind == Malformed || kind == Conflicting {
		key += "=" + p.arg.Value
	}
	if p.reported[key] {
		return
	}
	p.reported[key] = true
	p.problems = append(p.problems, Problem{kind, p.arg.Source, p.arg.Name, value, reason, nearest})
}

func (p *parser) malformed(reason string) { p.report(Malformed, reason, "") }

// notYet notes a parameter of an area that Firstlight does not cover. To
// switch such a thing off is to have what is.
func (p *parser) notYet(area string) {
	switch p.arg.Value {
	case "0", "no", "off", "false":
		return
	}
	p.c.Unsupported = append(p.c.Unsupported, p.arg)
	area, feature, has := strings.Cut(area, "@")
	why := ", which is not supported yet"
	if has {
		why = ", which this image has not"
	}
	p.report(NotYet, "it concerns "+area+why, feature)
}

// boolean reads what dracut, systemd and make-initrd take for yes and no.
func boolean(v string) (value, ok bool) {
	switch strings.ToLower(v) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

// Redact leaves out what nobody should read in a log: the values of
// parameters that sound like a password, of known ones and misspelt ones, and
// the passwords in URLs.
func Redact(name, value string) string {
	lower := strings.ToLower(name)
	for _, s := range [...]string{"passw", "passphrase", "cifspass", "secret", "credential"} {
		if value != "" && strings.Contains(lower, s) {
			return "…"
		}
	}
	return devspec.Redact(value)
}
