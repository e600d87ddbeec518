package bootcmd

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/timespan"
)

// The methods here read the value of the current parameter into a field of
// the configuration, or report it and leave the field as it is.

// bool reads a switch; the bare name is true.
func (p *parser) bool(dst *bool) bool {
	if !p.arg.HasValue {
		*dst = true
		return true
	}
	v, ok := boolean(p.arg.Value)
	if !ok {
		p.malformed("neither yes nor no (1, yes, on, true; 0, no, off, false)")
		return false
	}
	*dst = v
	return true
}

// off is bool for a switch with the opposite sense of the field.
func (p *parser) off(dst *bool) {
	var v bool
	if p.bool(&v) {
		*dst = !v
	}
}

// value is false, and reported, if there is none.
func (p *parser) value() (string, bool) {
	if p.arg.Value == "" {
		p.malformed("a value must follow")
		return "", false
	}
	return p.arg.Value, true
}

func (p *parser) text(dst *string) {
	if v, ok := p.value(); ok {
		*dst = v
	}
}

// seconds reads a span of time; zero stands for forever if forever says so.
func (p *parser) seconds(dst *time.Duration, zeroIsForever bool) bool {
	v, ok := p.value()
	if !ok {
		return false
	}
	var d time.Duration
	if !p.span(v, &d) {
		return false
	}
	if d == 0 && zeroIsForever {
		d = timespan.Forever
	}
	*dst = d
	return true
}

// span reads a span of time that is a part of a value.
func (p *parser) span(text string, dst *time.Duration) bool {
	d, err := timespan.Parse(text)
	if err != nil {
		p.malformed(err.Error())
		return false
	}
	*dst = d
	return true
}

// degraded reads what is to become of storage that lacks a member: how long it
// is waited for, or never, and how the rest is started then.
func (p *parser) degraded(dst *Degraded) {
	v, ok := p.value()
	if !ok {
		return
	}
	d := *dst
	for w := range strings.SplitSeq(v, ",") {
		switch w {
		case "never":
			d.Wait = timespan.Forever
		case "rw":
			d.Mode = DegradedWritable
		case "ro":
			d.Mode = DegradedReadOnly
		case "overlay":
			d.Mode = DegradedOverlay
		default:
			span, err := timespan.Parse(w)
			if err != nil {
				p.malformed(strconv.Quote(w) + " is none of never, rw, ro, overlay and not a number of seconds")
				return
			}
			d.Wait = span
		}
	}
	*dst = d
}

// wait sets the default deadline, unless a stronger parameter has.
func (p *parser) wait(by rank) {
	var d time.Duration
	switch {
	case by == byRootwait && !p.arg.HasValue:
		d = timespan.Forever
	case !p.seconds(&d, by == byTimeout || by == byRetry):
		return
	case by == byRootdelay:
		d = max(d, defaultDeadline)
	}
	if by >= p.deadline {
		p.deadline, p.c.Wait.Deadline = by, d
	}
}

// words adds a list separated by commas.
func (p *parser) words(dst *[]string) {
	v, ok := p.value()
	if !ok {
		return
	}
	for w := range strings.SplitSeq(v, ",") {
		if w = strings.TrimSpace(w); w != "" {
			*dst = append(*dst, w)
		}
	}
}

// types replaces a list of filesystem types; "auto" is no type.
func (p *parser) types(dst *[]string) {
	var list []string
	for w := range strings.SplitSeq(p.arg.Value, ",") {
		if w = strings.TrimSpace(w); w == "" || w == "auto" {
			continue
		}
		if strings.ContainsAny(w, "/ =") {
			p.malformed(strconv.Quote(w) + " is not a filesystem type")
			return
		}
		list = append(list, w)
	}
	*dst = list
}

// modules adds a list of kernel modules.
func (p *parser) modules(dst *[]string) {
	var list []string
	p.words(&list)
	for i, m := range list {
		list[i] = foldName(m)
		if !moduleName(list[i]) {
			p.malformed(strconv.Quote(m) + " is not the name of a module")
			return
		}
	}
	*dst = append(*dst, list...)
}

func moduleName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) < 64 // MODULE_NAME_LEN
}

// moduleParam takes "module.parameter[=value]" of anything that may be a
// module.
func (p *parser) moduleParam(arg Param) {
	module, name, ok := strings.Cut(arg.Name, ".")
	if module = foldName(module); !ok || !moduleName(module) || name == "" {
		return
	}
	text := name
	if arg.HasValue {
		text += "=" + arg.Value
	}
	p.c.Modules.Params[module] = append(p.c.Modules.Params[module], text)
}

// Options is what to hand to the kernel with the module: its parameters
// separated by blanks, quoted where a value has blanks.
func (m *Modules) Options(module string) string {
	var b strings.Builder
	for _, o := range m.Params[foldName(module)] {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if name, value, ok := strings.Cut(o, "="); ok && strings.ContainsAny(value, " \t\n\v\f\r") {
			o = name + `="` + value + `"`
		}
		b.WriteString(o)
	}
	return b.String()
}

// spec reads a device; an empty text is the zero Spec.
func (p *parser) spec(text string) (devspec.Spec, bool) {
	s, err := devspec.Parse(text)
	if err != nil {
		p.malformed(err.Error())
	}
	return s, err == nil
}

// blockSpec is spec for what has to be a block device.
func (p *parser) blockSpec(text string) (devspec.Spec, bool) {
	s, ok := p.spec(text)
	if ok && !s.IsDevice() {
		p.malformed("not the name of a block device")
		return devspec.Spec{}, false
	}
	return s, ok
}

// block reads the name of a block device.
func (p *parser) block(to *devspec.Spec) { *to, _ = p.blockSpec(p.arg.Value) }

// mdUUID reads an array's UUID in mdadm's or blkid's spelling and gives it
// in mdadm's.
func mdUUID(v string) (string, bool) {
	h := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(v, ":", ""), "-", ""))
	if len(h) != 32 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", false
	}
	return h[:8] + ":" + h[8:16] + ":" + h[16:24] + ":" + h[24:], true
}

// stageNames are the words of rd.break= and break= in all dialects.
var stageNames = [...]struct {
	name  string
	stage Stage
}{
	{"cmdline", StageCmdline}, {"top", StageCmdline},
	{"pre-udev", StagePreUdev},
	{"pre-trigger", StagePreTrigger}, {"modules", StagePreTrigger},
	{"initqueue", StageInitqueue},
	{"pre-mount", StagePreMount}, {"premount", StagePreMount},
	{"mount", StageMount}, {"mountroot", StageMount},
	{"pre-pivot", StagePrePivot}, {"bottom", StagePrePivot}, {"postmount", StagePrePivot},
	{"cleanup", StageCleanup},
	{"switch-root", StageSwitchRoot}, {"init", StageSwitchRoot},
}

// stops adds stages; bare is the one that the bare name, "1" and "y" mean.
func (p *parser) stops(bare Stage) {
	if on, ok := boolean(p.arg.Value); !p.arg.HasValue || p.arg.Value == "" || ok && on {
		p.c.Break = append(p.c.Break, bare)
		return
	}
words:
	for w := range strings.SplitSeq(p.arg.Value, ",") {
		for _, s := range stageNames {
			if sameName(s.name, w) {
				p.c.Break = append(p.c.Break, s.stage)
				continue words
			}
		}
		if w == "shutdown" || sameName(w, "pre-shutdown") {
			p.notYet("the shutdown")
			continue
		}
		p.malformed(strconv.Quote(w) + " is not a stage: cmdline, pre-udev, pre-trigger, initqueue, pre-mount, " +
			"mount, pre-pivot, cleanup, switch-root")
	}
}

// logTargets reads rd.log=: names separated by '|' or ',', and the levels of
// booster.log=.
func (p *parser) logTargets() {
	v, ok := p.value()
	if !ok {
		return
	}
	var t LogTarget
	for w := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '|' || r == ',' }) {
		switch w {
		case "console":
			t |= LogConsole
		case "file":
			t |= LogFile
		case "kmsg":
			t |= LogKmsg
		case "all":
			t |= LogConsole | LogFile | LogKmsg
		case "debug":
			p.c.Log.Debug = true
		case "info":
			p.c.Log.Info = true
		case "warning", "error", "null":
		default:
			p.malformed(strconv.Quote(w) + " is not one of console, file, kmsg, all")
			return
		}
	}
	if t != 0 {
		p.c.Log.Targets = t
	}
}

// oneOf reads one of a few words, separated by blanks in words, and returns
// its place among them.
func (p *parser) oneOf(words string) (int, bool) {
	i := 0
	for w := range strings.SplitSeq(words, " ") {
		if w == p.arg.Value {
			return i, true
		}
		i++
	}
	p.malformed("not one of " + strings.ReplaceAll(words, " ", ", "))
	return 0, false
}

// console reads console=DEVICE[,OPTIONS].
func (p *parser) console() {
	device, options, _ := strings.Cut(p.arg.Value, ",")
	device = strings.TrimPrefix(device, "/dev/")
	if device == "" || device == "null" {
		return // the kernel's way to have none
	}
	if strings.Contains(device, "/") {
		p.malformed("not the name of a terminal")
		return
	}
	p.c.Consoles = append(p.c.Consoles, Console{device, options})
}
