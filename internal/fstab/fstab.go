// Package fstab reads fstab(5): which filesystem goes where, and with which
// options. It is pure; the text comes from the real root or from the image.
package fstab

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/devspec"
)

// Entry is one line.
type Entry struct {
	Line    int    // number of the line, from 1
	Spec    string // first field, escapes and tags' quotes resolved: "UUID=…", "/dev/sda1", "tmpfs"
	File    string // mount point, clean: "/usr"; "none" for swap
	FSTypes []string
	Options Options
	Dump    int
	Pass    int // order of checks: 0 is none, 1 is the root's
}

// Device reads Spec. The error names the line.
func (e *Entry) Device() (devspec.Spec, error) {
	s, err := devspec.Parse(e.Spec)
	if err != nil {
		return s, &Error{Line: e.Line, Text: strconv.Quote(e.Spec) + ": " + err.Error()}
	}
	return s, nil
}

// Error is what is wrong with a line. File may be empty.
type Error struct {
	File string
	Line int
	Text string
}

// Error gives "FILE:LINE: what is wrong".
func (e *Error) Error() string {
	file := e.File
	if file == "" {
		file = "fstab"
	}
	return file + ":" + strconv.Itoa(e.Line) + ": " + e.Text
}

// Limits, against files that are no fstab.
const (
	maxText   = 1 << 20 // bytes
	maxErrors = 32
)

// Parse reads a whole file; name is for the errors. Lines that cannot be
// read are left out and give an error (an *Error) each, the others count, as
// mount(8) has it; after 32 errors the rest is not reported.
func Parse(name, text string) ([]Entry, []error) {
	var entries []Entry
	var errs []error
	fail := func(line int, what string) {
		if len(errs) < maxErrors {
			errs = append(errs, &Error{name, line, what})
		}
	}
	if len(text) > maxText {
		fail(1, "file is longer than a mebibyte, the rest is not read")
		text = text[:maxText]
	}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimLeft(strings.TrimRight(line, " \t\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			fail(number, err.Error())
			continue
		}
		e.Line = number
		entries = append(entries, e)
	}
	return entries, errs
}

func parseLine(line string) (Entry, error) {
	var f [6]string
	n := 0
	for rest := line; rest != ""; n++ {
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		rest = strings.TrimLeft(rest[end:], " \t")
		if word[0] == '#' && n >= 4 {
			break // a comment behind the fields, which libmount allows
		}
		if n == len(f) {
			return Entry{}, errors.New("more than six fields")
		}
		f[n] = word
	}
	if n < 3 { // libmount, too, wants the type
		return Entry{}, errors.New("fewer than three fields: device, mount point, type")
	}
	e := Entry{Spec: unescape(f[0]), File: unescape(f[1])}
	if strings.IndexByte(e.Spec, 0) >= 0 || strings.IndexByte(e.File, 0) >= 0 {
		return Entry{}, errors.New("zero byte")
	}
	if tag, value, ok := strings.Cut(e.Spec, "="); ok && len(value) >= 2 &&
		(value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		e.Spec = tag + "=" + value[1:len(value)-1]
	}
	if strings.HasPrefix(e.File, "/") {
		e.File = path.Clean(e.File)
	} else if e.File != "none" && e.File != "swap" {
		return Entry{}, errors.New("mount point " + strconv.Quote(e.File) + " is neither an absolute path nor none")
	}
	for t := range strings.SplitSeq(unescape(f[2]), ",") {
		if t != "" && t != "auto" {
			e.FSTypes = append(e.FSTypes, t)
		}
	}
	e.Options = ParseOptions(unescape(f[3]))
	for _, c := range [...]struct {
		text, what string
		dst        *int
	}{{f[4], "fifth field (dump)", &e.Dump}, {f[5], "sixth field (order of checks)", &e.Pass}} {
		if c.text == "" {
			continue
		}
		v, err := strconv.ParseUint(c.text, 10, 31)
		if err != nil {
			return Entry{}, errors.New(c.what + " is not a number: " + strconv.Quote(c.text))
		}
		*c.dst = int(v)
	}
	return e, nil
}

// unescape resolves the octal \NNN of fstab(5), getmntent(3): \040 is a
// blank. Other backslashes stay.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			d1, d2, d3 := s[i+1]-'0', s[i+2]-'0', s[i+3]-'0'
			if d1 <= 3 && d2 <= 7 && d3 <= 7 {
				b = append(b, d1<<6|d2<<3|d3)
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Find returns the entry that is mounted at the directory, the last one if
// there are several since it hides the others; nil if there is none.
func Find(entries []Entry, dir string) *Entry {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].File == dir && !entries[i].IsSwap() {
			return &entries[i]
		}
	}
	return nil
}

// IsSwap says whether the line is one of a swap area.
func (e *Entry) IsSwap() bool {
	return len(e.FSTypes) == 1 && e.FSTypes[0] == "swap" || e.File == "swap"
}

// Root returns the entry of "/", or nil.
func Root(entries []Entry) *Entry { return Find(entries, "/") }

// Usr returns the entry of "/usr", or nil.
func Usr(entries []Entry) *Entry { return Find(entries, "/usr") }
