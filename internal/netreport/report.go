// Package netreport is the language in which the helper program for the network
// tells the boot how the links stand: one line a report. It is pure and small, as
// both ends read and write it.
package netreport

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// The states of an interface that the helper reports. Each report takes the
// place of the one before on the same interface.
const (
	StateDown     = "down"     // there, and not used yet
	StateLink     = "link"     // set up; Carrier says whether anybody is at the other end
	StateDHCP     = "dhcp"     // asking for an address, Count times so far
	StateProbe    = "probe"    // asking whether anybody has the address
	StateReady    = "ready"    // has its addresses
	StateConflict = "conflict" // somebody has the address
	StateFailed   = "failed"   // cannot go on; Text says why
	StateWaits    = "waits"    // is to be made, and Text says what is missing for that
	StateGone     = "gone"     // the interface was taken away
	StateUnused   = "unused"   // nothing asks for it
	StateMissing  = "missing"  // the command line names it, and it is not there
	// StateNote is about no state: Text is for the record.
	StateNote = "note"
	// StateProblem is about the command line: Text is what is wrong with it.
	StateProblem = "problem"
	// StateRoot is about the root on a server: where it is, or in Text why that is
	// not known.
	StateRoot = "root"
	// StateDisk is about a disk that a server has, said by the program that
	// connects it: subject, condition (goal.Condition's words), text and try are for
	// a person, device is its node once it is there, and fstype and options are those
	// to mount it with, where it is named together with them.
	StateDisk = "disk"
)

// Report is one line of the helper's output: the state of an interface and what
// belongs to it.
type Report struct {
	State  string
	Link   string // name of the interface, "" for all of them
	Fields []Field
}

// Field is a property of a report.
type Field struct{ Name, Value string }

// New returns a report about no interface, with its fields, a name and a value
// each; those without a value are left out.
func New(state string, fields ...string) Report {
	r := Report{State: state}
	for i := 0; i < len(fields); i += 2 {
		r = r.With(fields[i], fields[i+1])
	}
	return r
}

// Get is the value of a field, "" if there is none.
func (r *Report) Get(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Int is the number in a field, 0 if there is none.
func (r *Report) Int(name string) int {
	n, _ := strconv.Atoi(r.Get(name))
	return n
}

// With returns the report with one field more; an empty value adds none.
func (r Report) With(name, value string) Report {
	if value != "" {
		r.Fields = append(slices.Clip(r.Fields), Field{name, value})
	}
	return r
}

// String is the report as one line: words separated by a space, those after the
// second are NAME=VALUE. Bytes that are no printable ASCII, spaces and
// backslashes are \xNN.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(r.State)
	b.WriteByte(' ')
	if r.Link == "" {
		b.WriteByte('-')
	} else {
		escape(&b, r.Link)
	}
	for _, f := range r.Fields {
		b.WriteByte(' ')
		b.WriteString(f.Name)
		b.WriteByte('=')
		escape(&b, f.Value)
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, `\`) {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+3 >= len(s) || s[i+1] != 'x' {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", false
		}
		out = append(out, byte(n))
		i += 3
	}
	return string(out), true
}

// MaxLine bounds a line of a report in bytes, maxFields its fields.
const (
	MaxLine   = 8192
	maxFields = 64
)

// ParseReport reads a line.
func ParseReport(line string) (r Report, ok bool) {
	if len(line) > MaxLine {
		return r, false
	}
	words := strings.Split(line, " ")
	if len(words) < 2 || words[0] == "" || len(words) > 2+maxFields {
		return r, false
	}
	r.State = words[0]
	if words[1] != "-" {
		if r.Link, ok = unescape(words[1]); !ok || r.Link == "" {
			return Report{}, false
		}
	}
	for _, w := range words[2:] {
		name, value, found := strings.Cut(w, "=")
		v, ok := unescape(value)
		if !found || !ok || name == "" {
			return Report{}, false
		}
		r.Fields = append(r.Fields, Field{name, v})
	}
	return r, true
}

// Public is the report without what is secret in it: what stands before an '@' in a
// value, where users and passwords do.
func Public(r Report) Report {
	for i, f := range r.Fields {
		if at := strings.LastIndexByte(f.Value, '@'); at >= 0 {
			r.Fields = slices.Clone(r.Fields)
			r.Fields[i].Value = "…" + f.Value[at:]
		}
	}
	return r
}

// secretSource is the field with the whole of a source that has a password, in
// hexadecimal and with ",@" behind it, before which Public leaves everything out; no
// record of the inputs has the value of a word that sounds like a password.
const secretSource = "secretsource"

// WithPublic returns the report with a value without its secrets.
func (r Report) WithPublic(name, value string) Report {
	one := Public(Report{Fields: []Field{{name, value}}})
	return r.With(name, one.Get(name))
}

// WithSource returns the report with where a lease says that the root is; public is
// the same without a password.
func (r Report) WithSource(source, public string) Report {
	if r = r.With("source", public); public != source {
		r = r.With(secretSource, hex.EncodeToString([]byte(source))+",@")
	}
	return r
}

// Source is where a lease says that the root is, with its password; without one where
// that is read from a record.
func (r *Report) Source() string {
	secret, public := r.Get(secretSource), r.Get("source")
	if secret == "" {
		return public
	}
	secret = strings.TrimSuffix(secret, ",@")
	b := make([]byte, 0, len(secret)/2)
	for ; len(secret) >= 2; secret = secret[2:] { // hex.DecodeString has package fmt with it
		high, low := strings.IndexByte(digits, secret[0]), strings.IndexByte(digits, secret[1])
		if high < 0 || low < 0 {
			break
		}
		b = append(b, byte(high<<4|low))
	}
	if secret != "" {
		return strings.Replace(public, "…@", "", 1)
	}
	return string(b)
}

// digits are those of secretSource.
const digits = "0123456789abcdef"
