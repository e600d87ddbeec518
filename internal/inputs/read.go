package inputs

import (
	"encoding/binary"
	"errors"

	"hash/crc32"
	"io"
	"math"
	"strings"
	"time"

	"firstlight/internal/fmt"
)

// ErrFormat is wrapped by every error of Read for bytes that are not a record
// of inputs of a known version.
var ErrFormat = errors.New("not a record of inputs that this version can read")

// Bounds of what is read.
const (
	maxFile  = MaxBytes + 1<<20
	maxNodes = 4 << 20
	maxDepth = 200
)

// Value is a recorded value.
type Value struct {
	Type   *Type
	Number uint64   // Bool, Uint, Hidden; Int as its two's complement
	Text   string   // Text, Bytes
	Nil    bool     // Bytes, Pointer, List, Dictionary
	Keys   []string // Dictionary
	// Items are the elements of a List, the values of a Dictionary, the
	// fields of a Structure, and what a Pointer leads to, which may be seen
	// before in the same value.
	Items []*Value
	Err   *Error // Failure
}

// Type is the type of a recorded value.
type Type struct {
	Shape  Shape
	Name   string // Structure: as Go spells it
	Elem   *Type  // Pointer, List, Dictionary
	Fields []Field
}

// Field is a recorded field of a structure.
type Field struct {
	Name string
	Type *Type
}

// Leaf is the end of an error's chain: an error number of the kernel, or a
// text.
type Leaf struct {
	Errno uint64
	Text  string
}

// Error is a recorded error.
type Error struct {
	Text   string
	Leaves []Leaf
}

// Answer is what the core was answered.
type Answer struct {
	Question
	Before uint64 // how often it was asked this during the same input before
	Text   string
	Err    *Error
}

// Entry is an input, with the answers that the core got while handling it.
type Entry struct {
	Kind    Kind
	Time    time.Duration // KindTime: the clock, not the difference
	Number  uint64        // KindResult: which operation; KindDropped: how many
	Value   *Value
	Err     *Error // KindResult
	Answers []Answer
}

// Record is a whole record of inputs.
type Record struct {
	Version string
	Sources []Source
	Args    []string
	Start   time.Duration
	Image   *Value
	Rules   []byte
	Entries []Entry // without the setup
	Last    int     // the first entry of the last whole frame
	Cut     bool    // the last frame was cut off, or does not match its checksum
	Full    bool    // the bound was reached: there were more inputs
}

// reader reads the payloads of frames one after the other.
type reader struct {
	b       []byte
	strings []string
	types   []*Type
	nodes   int
	now     time.Duration
}

var errShort = errors.New("it ends within an entry")

// Read reads a record. What follows a frame that was cut off by a crash is
// left out.
func Read(r io.Reader) (*Record, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("inputs: it is larger than %d bytes: %w", maxFile, ErrFormat)
	}
	rest, ok := strings.CutPrefix(string(b), Header)
	if !ok {
		return nil, fmt.Errorf("inputs: it begins with %.30q: %w", b, ErrFormat)
	}
	rec, d := &Record{}, &reader{}
	b = []byte(rest)
	for n := 1; len(b) > 0; n++ {
		size, w := binary.Uvarint(b)
		if w <= 0 || size > MaxBytes || uint64(len(b)-w) < size+4 {
			rec.Cut = true
			break
		}
		body := b[w : w+int(size)]
		if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[w+int(size):]) {
			rec.Cut = true
			break
		}
		b = b[w+int(size)+4:]
		d.b = body
		rec.Last = len(rec.Entries)
		if err := d.frame(rec, n == 1); err != nil {
			return nil, fmt.Errorf("inputs: frame %d: %w: %w", n, err, ErrFormat)
		}
	}
	if rec.Image == nil {
		return nil, fmt.Errorf("inputs: it does not say what the boot starts from: %w", ErrFormat)
	}
	return rec, nil
}

func (d *reader) frame(rec *Record, first bool) error {
	for n := 0; len(d.b) > 0; n++ {
		k := Kind(d.b[0])
		d.b = d.b[1:]
		var err error
		switch {
		case first && n == 0:
			if k != KindSetup {
				return fmt.Errorf("the first entry is %q", string(k))
			}
			err = d.setup(rec)
		case k == KindAnswer:
			if len(rec.Entries) == 0 {
				return errors.New("an answer before any input")
			}
			var a Answer
			a, err = d.answer()
			e := &rec.Entries[len(rec.Entries)-1]
			e.Answers = append(e.Answers, a)
		case k == KindFull:
			rec.Full = true
		default:
			var e Entry
			e, err = d.entry(k)
			rec.Entries = append(rec.Entries, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *reader) setup(rec *Record) error {
	version, err := d.value()
	if err != nil {
		return err
	}
	sources, err := d.value()
	if err != nil {
		return err
	}
	args, err := d.value()
	if err != nil {
		return err
	}
	start, err := d.uint()
	if err != nil {
		return err
	}
	if rec.Image, err = d.value(); err != nil {
		return err
	}
	rules, err := d.text()
	if err != nil {
		return err
	}
	rec.Version, rec.Rules = version.Text, []byte(rules)
	rec.Start = duration(start)
	d.now = rec.Start
	for _, s := range sources.Items {
		rec.Sources = append(rec.Sources, Source{s.Field("Name").Text, s.Field("Text").Text})
	}
	for _, a := range args.Items {
		rec.Args = append(rec.Args, a.Text)
	}
	return nil
}

func duration(n uint64) time.Duration { return time.Duration(min(n, math.MaxInt64/4)) }

// Field is the field of a structure with that name; a value that holds
// nothing where there is none.
func (v *Value) Field(name string) *Value {
	if v.Type.Shape == Structure {
		for i, f := range v.Type.Fields {
			if f.Name == name {
				return v.Items[i]
			}
		}
	}
	return &Value{Type: &Type{}}
}

func (d *reader) entry(k Kind) (e Entry, err error) {
	e.Kind = k
	switch k {
	case KindStart, KindRun, KindKeys:
	case KindTime:
		var n uint64
		n, err = d.uint()
		if d.now += duration(n); d.now < 0 {
			return e, errors.New("the clock runs over")
		}
		e.Time = d.now
	case KindDropped:
		e.Number, err = d.uint()
	case KindUevent, KindOverflow, KindMounts:
		e.Value, err = d.value()
	case KindResult:
		if e.Number, err = d.uint(); err != nil {
			return e, err
		}
		if e.Err, err = d.error(); err != nil {
			return e, err
		}
		e.Value, err = d.value()
	default:
		err = fmt.Errorf("an entry of the unknown kind %q", string(k))
	}
	return e, err
}

func (d *reader) answer() (a Answer, err error) {
	op, err := d.byte()
	if err != nil {
		return a, err
	}
	a.Op = Op(op)
	if !strings.ContainsRune("rlpdem", rune(op)) {
		return a, fmt.Errorf("an answer to the unknown question %q", string(op))
	}
	if a.Path, err = d.text(); err != nil {
		return a, err
	}
	if a.Before, err = d.uint(); err != nil {
		return a, err
	}
	form, err := d.uint()
	if err != nil {
		return a, err
	}
	switch form {
	case 0:
		a.Text, err = d.text()
	case 2:
		a.Err = &Error{}
		var leaf Leaf
		leaf, err = d.leaf()
		a.Err.Leaves = []Leaf{leaf}
	default:
		err = fmt.Errorf("an answer of the unknown form %d", form)
	}
	return a, err
}

func (d *reader) byte() (byte, error) {
	if len(d.b) == 0 {
		return 0, errShort
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c, nil
}

func (d *reader) uint() (uint64, error) {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		return 0, errShort
	}
	d.b = d.b[w:]
	return n, nil
}

func (d *reader) text() (string, error) {
	how, err := d.uint()
	if err != nil {
		return "", err
	}
	if how >= 2 {
		if how-2 >= uint64(len(d.strings)) {
			return "", fmt.Errorf("string %d was never given", how-2)
		}
		return d.strings[how-2], nil
	}
	n, err := d.uint()
	if err != nil {
		return "", err
	}
	if n > uint64(len(d.b)) {
		return "", errShort
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	if how == 1 {
		d.strings = append(d.strings, s)
	}
	return s, nil
}

func (d *reader) error() (*Error, error) {
	has, err := d.uint()
	if err != nil || has == 0 {
		return nil, err
	}
	return d.errorText()
}

func (d *reader) errorText() (*Error, error) {
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	n, err := d.uint()
	if err != nil {
		return nil, err
	}
	if n > maxLeaves {
		return nil, fmt.Errorf("an error with %d causes", n)
	}
	e := &Error{Text: text}
	for range n {
		leaf, err := d.leaf()
		if err != nil {
			return nil, err
		}
		e.Leaves = append(e.Leaves, leaf)
	}
	return e, nil
}

func (d *reader) leaf() (l Leaf, err error) {
	number, err := d.uint()
	if err != nil {
		return l, err
	}
	if number == 1 {
		l.Errno, err = d.uint()
		return l, err
	}
	l.Text, err = d.text()
	return l, err
}
