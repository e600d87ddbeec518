// Package compile reads the udev rules language and makes of it the table
// that the evaluator in package rules works from.
//
// It belongs to the builder; nothing of it is in /init. It touches no file
// and no device: the text comes in, and what a rule refers to on the target
// (users, programs, builtins) is asked through Options. The language is that
// of udev(7) of systemd 252 to 257. Where the manual page and the program
// differ, the program is followed.
package compile

import (
	"fmt"
	"strings"

	"firstlight/internal/spell"
)

// Severity says what a problem means for the rule in which it was found.
type Severity uint8

// Severities. An Error means that the rule, or the part of it that is named,
// is left out; after a Warning it works, but perhaps not as it was meant;
// Style is for readers only.
const (
	Error Severity = iota
	Warning
	Style
)

// String gives the severity's name in lower case.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "style"
}

// Problem is something wrong with a rules file. Text says what, and what to
// do about it.
type Problem struct {
	File     string
	Line     int // counted from 1: the first line of the rule, not of its continuation
	Severity Severity
	Text     string
}

// String gives the problem in one line, "file:line: severity: text".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Severity, p.Text)
}

// Errors gives those of the problems that are errors.
func Errors(problems []Problem) []Problem {
	var errs []Problem
	for _, p := range problems {
		if p.Severity == Error {
			errs = append(errs, p)
		}
	}
	return errs
}

// nearest finds the candidate that differs least from name, if it is close
// enough to be what was meant.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", min((len(name)+1)/2, 5)
	for _, c := range candidates {
		if d := spell.Distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}
