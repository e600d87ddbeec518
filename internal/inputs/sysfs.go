package inputs

import (
	"strings"

	"firstlight/internal/sysfs"
)

// Question is something that the core asks while it decides.
type Question struct {
	Op   Op
	Path string // below /sys, or a modalias
}

// Op is what is asked.
type Op byte

// The questions.
const (
	OpRead     Op = 'r'
	OpReadlink Op = 'l'
	OpResolve  Op = 'p'
	OpList     Op = 'd' // the answer is the names, each with a NUL behind it
	OpExists   Op = 'e' // the answer is "1" or ""
	OpMatch    Op = 'm' // whether the image has a module for the modalias, alike
)

// answer is the last one to a question.
type answer struct {
	text  string
	err   string
	input uint32 // the input during which it was last asked
	asked uint64 // how often in that
}

// FS returns sys with everything that is read through it recorded. An answer
// that is the same as the last one to the same question leaves nothing.
func (l *Log) FS(sys sysfs.FS) sysfs.FS {
	if l == nil {
		return sys
	}
	return recorder{l, sys}
}

// Matches returns f with its answers recorded.
func (l *Log) Matches(f func(alias string) bool) func(alias string) bool {
	if l == nil {
		return f
	}
	return func(alias string) bool {
		ok := f(alias)
		l.answer(OpMatch, alias, yes(ok), nil)
		return ok
	}
}

func yes(ok bool) string {
	if ok {
		return "1"
	}
	return ""
}

// answer records an answer where it is new: the question, how often it was
// asked before during the same input, and 0 and the text, or 2 and the end of
// an error: what stands before that in its text is the same in all of them.
func (l *Log) answer(op Op, path, text string, err error) {
	if l.full {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q := Question{op, path}
	a := l.known[q]
	if a == nil {
		a = &answer{err: "\x00"}
		l.known[q] = a
	}
	if a.input != l.input {
		a.input, a.asked = l.input, 0
	}
	before := a.asked
	a.asked++
	failed := ""
	if err != nil {
		err = leaves(nil, err)[0]
		failed = err.Error()
	}
	if a.text == text && a.err == failed {
		return
	}
	a.text, a.err = text, failed
	l.entry(KindAnswer)
	l.put(byte(op))
	l.text(path)
	l.uint(before)
	if err != nil {
		l.put(2)
		l.leaf(err)
		return
	}
	l.put(0)
	l.text(text)
}

// recorder is a sysfs whose answers are recorded.
type recorder struct {
	l   *Log
	sys sysfs.FS
}

func (r recorder) Read(p string) (string, error) {
	v, err := r.sys.Read(p)
	r.l.answer(OpRead, p, v, err)
	return v, err
}

// Write implements sysfs.FS. The core writes through operations.
func (r recorder) Write(p, value string) error { return r.sys.Write(p, value) }

func (r recorder) Readlink(p string) (string, error) {
	v, err := r.sys.Readlink(p)
	r.l.answer(OpReadlink, p, v, err)
	return v, err
}

func (r recorder) Resolve(p string) (string, error) {
	v, err := r.sys.Resolve(p)
	r.l.answer(OpResolve, p, v, err)
	return v, err
}

func (r recorder) List(p string) ([]string, error) {
	names, err := r.sys.List(p)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n)
		b.WriteByte(0)
	}
	r.l.answer(OpList, p, b.String(), err)
	return names, err
}

func (r recorder) Exists(p string) bool {
	ok := r.sys.Exists(p)
	r.l.answer(OpExists, p, yes(ok), nil)
	return ok
}
