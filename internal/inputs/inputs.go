// Package inputs is the record of everything that enters the deciding core:
// the parameters and rules that it starts from, the kernel's messages, the
// results of operations with their values, mount tables, the advance of time,
// and the answers that it gets from sysfs and from the module index. Fed to
// the core again (package replay), they give the same boot again.
//
// It stands beside the journal, which says what the core decided. The format
// is binary, compact and describes itself: docs/journal.md has it. Nothing
// that opens anything is in it: a Secret leaves a placeholder, fields with the
// tag `inputs:"-"` are left out, and so are the values of words that name a
// password.
//
// The package writes nothing itself: the edge takes what has been recorded and
// appends it to the file. It belongs to the core and imports no operating
// system.
package inputs

import (
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"sync"
	"time"
)

// Header is the first line of the file, with its newline. The number is the
// version of the format.
const Header = "firstlight-inputs 1\n"

// MaxBytes bounds the file. When it would be passed, one last entry says so
// and nothing more is recorded.
const MaxBytes = 8 << 20

// How many strings and answers a boot has at least: tables that need not grow
// cost less.
const (
	usualStrings = 400
	usualAnswers = 100
)

// Kind says what an entry is.
type Kind byte

// The kinds of entries. Those in lower case are answers that the core got
// while it handled the input before them.
const (
	KindSetup    Kind = 'B' // what the boot starts from; the first entry
	KindStart    Kind = 'S' // the boot begins
	KindTime     Kind = 'T' // the clock: nanoseconds since the last one
	KindUevent   Kind = 'U' // a message of the kernel
	KindOverflow Kind = 'O' // messages were lost, and what a walk of sysfs found
	KindDropped  Kind = 'D' // how many messages were dropped so far
	KindMounts   Kind = 'M' // the mount points
	KindResult   Kind = 'F' // the result of an operation, by its place in the order of starts
	KindKeys     Kind = 'K' // Ctrl-Alt-Del
	KindRun      Kind = 'R' // the core was let run
	KindFull     Kind = 'X' // the bound was reached
	KindAnswer   Kind = 'q' // an answer of sysfs or of the module index
)

// Secret is bytes that open something. Of one only is recorded whether it is
// empty and whether its last byte is a newline.
type Secret []byte

// Source is one text of the command line.
type Source struct{ Name, Text string }

// Setup is what a boot starts from.
type Setup struct {
	Version string        // of Firstlight
	Sources []Source      // the command line, without secrets
	Args    []string      // what the kernel passed to /init, without secrets
	Start   time.Duration // the clock at the start
	Image   any           // a struct: what the image says of itself
	Rules   []byte        // the compiled table of udev rules
}

// Log collects entries until they are taken. A nil Log records nothing.
type Log struct {
	mu      sync.Mutex // the core is one goroutine; an operation must not break it all the same
	buf     []byte
	out     []byte
	begun   bool
	full    bool
	written int
	last    time.Duration
	strings map[string]uint32
	types   map[reflect.Type]described
	keys    []string // of a dictionary, while it is put in order
	ops     map[uint64]uint64
	opCount uint64
	known   map[Question]*answer
	input   uint32 // counts the inputs
}

// New returns an empty log that begins with what the boot starts from.
func New(s Setup) *Log {
	l := &Log{buf: make([]byte, 0, len(s.Rules)+16<<10), strings: make(map[string]uint32, usualStrings), types: map[reflect.Type]described{},
		ops: map[uint64]uint64{}, known: make(map[Question]*answer, usualAnswers), last: s.Start}
	l.entry(KindSetup)
	l.value(s.Version)
	l.value(s.Sources)
	l.value(s.Args)
	l.uint(uint64(max(s.Start, 0)))
	l.value(s.Image)
	l.raw(s.Rules)
	return l
}

// off says whether nothing is to be recorded.
func (l *Log) off() bool { return l == nil || l.full }

func (l *Log) entry(k Kind) {
	l.put(byte(k))
	if k != KindAnswer {
		l.input++
	}
}

func (l *Log) put(c byte) { l.buf = append(l.buf, c) }

func (l *Log) uint(n uint64) { l.buf = binary.AppendUvarint(l.buf, n) }

// note records an input that is its kind alone, or with one number.
func (l *Log) note(k Kind, n ...uint64) {
	if l.off() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(k)
	for _, n := range n {
		l.uint(n)
	}
}

// with records an input with a value.
func (l *Log) with(k Kind, v any) {
	if l.off() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(k)
	l.value(v)
}

// Start records that the boot begins.
func (l *Log) Start() { l.note(KindStart) }

// Run records that the core is let run.
func (l *Log) Run() { l.note(KindRun) }

// Keys records that Ctrl-Alt-Del was pressed.
func (l *Log) Keys() { l.note(KindKeys) }

// Dropped records how many messages were passed over so far.
func (l *Log) Dropped(n int) { l.note(KindDropped, uint64(max(n, 0))) }

// Uevent records a message of the kernel.
func (l *Log) Uevent(m any) { l.with(KindUevent, m) }

// Overflow records what a walk of sysfs found after messages were lost.
func (l *Log) Overflow(found any) { l.with(KindOverflow, found) }

// Mounts records the mount points.
func (l *Log) Mounts(points []string) { l.with(KindMounts, points) }

// Advance records the time. One that does not go forward is an input all the
// same.
func (l *Log) Advance(now time.Duration) {
	if l.off() {
		return
	}
	d := max(now-l.last, 0)
	l.last += d
	l.note(KindTime, uint64(d))
}

// Started notes that the operation with this id left the core. They are
// counted, so that the results name them by their place.
func (l *Log) Started(id uint64) {
	if l.off() {
		return
	}
	l.ops[id] = l.opCount
	l.opCount++
}

// Result records how an operation ended.
func (l *Log) Result(id uint64, v any, err error) {
	if l.off() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry(KindResult)
	l.uint(l.ops[id])
	delete(l.ops, id)
	l.error(err)
	l.value(v)
}

// Take returns what has been recorded since the last call, as one frame ready
// to be appended to the file, or nil. The slice is valid until the next Take.
func (l *Log) Take() []byte {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) == 0 || l.full {
		return nil
	}
	if l.written+len(l.buf) > MaxBytes {
		l.full = true
		l.buf = l.buf[:0]
		l.put(byte(KindFull))
		l.strings, l.known = nil, nil
	}
	out := l.out[:0]
	if !l.begun {
		l.begun = true
		out = append(out, Header...)
	}
	out = binary.AppendUvarint(out, uint64(len(l.buf)))
	out = append(out, l.buf...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(l.buf))
	l.written += len(out)
	l.buf = l.buf[:0]
	l.out = out
	return out
}
