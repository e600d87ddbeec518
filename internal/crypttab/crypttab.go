// Package crypttab reads crypttab(5), of systemd as well as of Debian's
// cryptsetup, and the option lists of the same form on the kernel command
// line (rd.luks.options=).
//
// It is pure: it says what the text says, and what is wrong with it. Nothing
// is looked up, opened or decided. What is unknown is reported with the
// nearest known name and kept.
//
// Sources: crypttab(5) of systemd 258 and of Debian's cryptsetup 2.7.
package crypttab

import (
	"strconv"
	"strings"
)

// Limits of what is read; a crypttab beyond them is reported, not read.
const (
	MaxText    = 1 << 20 // bytes of the file
	MaxEntries = 4096
	maxReports = 256 // problems; more add nothing
)

// Entry is one line: a volume.
type Entry struct {
	Name    string // of the mapped device, below /dev/mapper
	Device  string // as written: "UUID=…", "/dev/sda2", "/dev/disk/by-…", a file
	KeyFile string // as written; "" for "none", "-" or nothing: ask
	Options Options
	File    string // where it stands
	Line    int    // counted from 1
}

// Problem is something that the person who wrote the text ought to know.
type Problem struct {
	File    string
	Line    int    // counted from 1; 0: not about one line
	Option  string // the option it is about, as written, or ""
	Reason  string // for a sentence
	Nearest string // the known option most like an unknown one, or ""
	// Fatal: the line (or the file) could not be used. Otherwise only the
	// option has no effect.
	Fatal bool
}

// Error returns one line: "crypttab:3: option tris=3: unknown; did you mean
// tries?".
func (p *Problem) Error() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
	}
	s += ": "
	if p.Option != "" {
		s += "option " + p.Option + ": "
	}
	s += p.Reason
	if p.Nearest != "" {
		s += "; did you mean " + p.Nearest + "?"
	}
	return s
}

type parser struct {
	file     string
	line     int
	problems []*Problem
}

func (p *parser) report(fatal bool, option, reason, nearest string) {
	if len(p.problems) < maxReports {
		p.problems = append(p.problems, &Problem{p.file, p.line, option, reason, nearest, fatal})
	}
}

// Parse reads a crypttab. file is what it is called in problems. Lines that
// cannot be used are left out and reported; the others are kept.
func Parse(file, text string) ([]Entry, []*Problem) {
	p := &parser{file: file}
	if len(text) > MaxText {
		p.report(true, "", "more than "+strconv.Itoa(MaxText)+" bytes", "")
		return nil, p.problems
	}
	var list []Entry
	names := map[string]int{}
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.IndexByte(line, 0) >= 0 {
			p.report(true, "", "holds a zero byte", "")
			continue
		}
		e, ok := p.entry(strings.Fields(line))
		if !ok {
			continue
		}
		if first, twice := names[e.Name]; twice {
			p.report(true, "", "volume "+e.Name+" is in line "+strconv.Itoa(first)+" already", "")
			continue
		}
		if len(list) == MaxEntries {
			p.report(true, "", "more than "+strconv.Itoa(MaxEntries)+" volumes", "")
			break
		}
		names[e.Name] = p.line
		list = append(list, e)
	}
	return list, p.problems
}

func (p *parser) entry(f []string) (Entry, bool) {
	e := Entry{File: p.file, Line: p.line}
	if len(f) < 2 {
		p.report(true, "", "has no device after the volume "+strconv.Quote(f[0]), "")
		return e, false
	}
	if len(f) > 4 && f[4][0] != '#' {
		p.report(true, "", "has more than four fields; white space in a field is written \\040", "")
		return e, false
	}
	e.Name, e.Device = unescape(f[0]), unescape(f[1])
	switch {
	case strings.Contains(e.Name, "/") || e.Name == "." || e.Name == ".." || len(e.Name) > 127:
		p.report(true, "", "the volume "+strconv.Quote(e.Name)+" cannot be a name in /dev/mapper", "")
		return e, false
	case strings.IndexByte(e.Name+e.Device, 0) >= 0:
		p.report(true, "", "holds a zero byte", "")
		return e, false
	}
	if len(f) > 2 && f[2][0] != '#' {
		if k := unescape(f[2]); k != "none" && k != "-" {
			e.KeyFile = k
		}
		if len(f) > 3 && f[3][0] != '#' {
			e.Options = p.options(unescape(f[3]))
		}
	}
	return e, true
}

// ParseOptions reads a list of options as the fourth field has it. origin
// says where it stands, for problems.
func ParseOptions(origin, list string) (Options, []*Problem) {
	p := &parser{file: origin}
	if len(list) > MaxText {
		p.report(true, "", "more than "+strconv.Itoa(MaxText)+" bytes", "")
		return Options{}, p.problems
	}
	return p.options(list), p.problems
}

// unescape turns \040 and the like into the byte, as getmntent(3) does.
// Anything else after a backslash is left as it is.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b = append(b, byte(v))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// split cuts a list at its commas; "\," is a comma within an option.
func split(list string) []string {
	var out []string
	var b []byte
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list) && (list[i+1] == ',' || list[i+1] == '\\'):
			i++
			b = append(b, list[i])
		case c == ',':
			out = append(out, string(b))
			b = b[:0]
		default:
			b = append(b, c)
		}
	}
	return append(out, string(b))
}
