package inputs

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"firstlight/internal/order"
)

// Shape is what a recorded value is made of.
type Shape byte

// The shapes. Their numbers are part of the format.
const (
	Omitted    Shape = iota // not recorded: a function, an interface, a field with the tag
	Bool                    // one byte
	Int                     // a signed varint
	Uint                    // an unsigned varint
	Text                    // a string
	Bytes                   // the same for bytes
	Hidden                  // a Secret: one byte, 1 not empty, 2 ends with a newline
	Failure                 // an error
	Pointer                 // 0 nil, 1 a new one and what it leads to, else 2 + the number of one before in the value
	List                    // 0 nil, else 1 + the count, and the elements: a slice or an array
	Dictionary              // 0 nil, else 1 + the count, and pairs of a string and a value, in order
	Structure               // the fields in order
)

// maxInterned bounds a string that is kept to be named by a number later, in
// bytes; maxStrings how many are kept.
const (
	maxInterned = 160
	maxStrings  = 1 << 16
	maxLeaves   = 16
)

// described is a type that stands in the record. Of a structure it has the
// numbers of the fields that are recorded: reflect makes a description of a
// field anew whenever it is asked for one.
type described struct {
	number uint64
	shape  Shape
	fields []int
}

// bytes appends a string that will not come again.
func (l *Log) bytes(s string) { l.long(0, s) }

// raw appends bytes as a string that will not come again.
func (l *Log) raw(b []byte) {
	l.put(0)
	l.uint(uint64(len(b)))
	l.buf = append(l.buf, b...)
}

func (l *Log) long(how byte, s string) {
	l.put(how)
	l.uint(uint64(len(s)))
	l.buf = append(l.buf, s...)
}

// text appends a string: 0 and the string, 1 and one that is kept from then
// on, or 2 + the number of one that is kept.
func (l *Log) text(s string) {
	if n, ok := l.strings[s]; ok {
		l.uint(uint64(n) + 2)
		return
	}
	if len(s) < 2 || len(s) > maxInterned || len(l.strings) >= maxStrings {
		l.bytes(s)
		return
	}
	l.strings[s] = uint32(len(l.strings))
	l.long(1, s)
}

// error appends an error: 0 for none, else 1, its text, and what is at the
// ends of its chains, so that whoever asks what it Is gets the same answer.
func (l *Log) error(err error) {
	if err == nil {
		l.put(0)
		return
	}
	l.put(1)
	l.text(Scrub(err.Error()))
	ends := leaves(nil, err)
	l.uint(uint64(len(ends)))
	for _, e := range ends {
		l.leaf(e)
	}
}

// leaf appends the end of a chain: 1 and an error number of the kernel, or 0
// and a text.
func (l *Log) leaf(e error) {
	if v := reflect.ValueOf(e); isErrno(v.Type()) {
		l.put(1)
		l.uint(v.Uint())
		return
	}
	l.put(0)
	l.text(Scrub(e.Error()))
}

func isErrno(t reflect.Type) bool {
	return t.Kind() == reflect.Uintptr && t.String() == "syscall.Errno"
}

func leaves(out []error, err error) []error {
	if len(out) >= maxLeaves {
		return out
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if in := x.Unwrap(); in != nil {
			return leaves(out, in)
		}
	case interface{ Unwrap() []error }:
		before := len(out)
		for _, in := range x.Unwrap() {
			if in != nil {
				out = leaves(out, in)
			}
		}
		if len(out) > before {
			return out
		}
	}
	return append(out, err)
}

// value appends a value with its type.
func (l *Log) value(v any) {
	if v == nil {
		v = struct{}{}
	}
	r := addressable(&v)
	l.typ(r.Type())
	l.encode(&pointers{}, r)
}

// addressable is the value in an interface where it stands. What is below it
// can be read through its address then: asking reflect for it as an interface
// would bring the calling of methods into /init, a hundred kilobytes.
func addressable(v *any) reflect.Value {
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(v)) // its type, and the value or where it is
	t := reflect.TypeOf(*v)
	if direct(t) {
		return reflect.NewAt(t, unsafe.Pointer(&words[1])).Elem()
	}
	return reflect.NewAt(t, words[1]).Elem()
}

// direct says whether an interface holds values of the type in itself: those
// that are one pointer.
func direct(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	case reflect.Struct:
		return t.NumField() == 1 && direct(t.Field(0).Type)
	case reflect.Array:
		return t.Len() == 1 && direct(t.Elem())
	}
	return false
}

func address(v reflect.Value) unsafe.Pointer { return unsafe.Pointer(v.UnsafeAddr()) }

// pointers numbers the pointers of one value.
type pointers struct {
	seen map[pointer]uint64
}

type pointer struct {
	at  unsafe.Pointer
	typ reflect.Type
}

func shapeOf(t reflect.Type) Shape {
	if t == reflect.TypeFor[Secret]() {
		return Hidden
	}
	switch t.Kind() {
	case reflect.Bool:
		return Bool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Int
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return Uint
	case reflect.String:
		return Text
	case reflect.Interface:
		if t == reflect.TypeFor[error]() {
			return Failure
		}
	case reflect.Pointer:
		return Pointer
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return Bytes
		}
		if s := shapeOf(t.Elem()); s != Omitted {
			return List
		}
	case reflect.Map:
		if t == reflect.TypeFor[map[string]string]() {
			return Dictionary
		}
	case reflect.Struct:
		return Structure
	}
	return Omitted
}

// typ appends a type: 1 + the number of one that was described, or 0 and its
// description: the shape, what it is made of, of a structure its name, the
// number of fields, and the name and type of each.
func (l *Log) typ(t reflect.Type) {
	if d, ok := l.types[t]; ok {
		l.uint(d.number + 1)
		return
	}
	s := shapeOf(t)
	d := described{number: uint64(len(l.types)), shape: s}
	if s == Structure {
		for i := range t.NumField() {
			if t.Field(i).Tag != `inputs:"-"` {
				d.fields = append(d.fields, i)
			}
		}
	}
	l.types[t] = d
	l.put(0)
	l.put(byte(s))
	switch s {
	case Pointer, List, Dictionary:
		l.typ(t.Elem())
	case Structure:
		l.text(t.String())
		l.uint(uint64(len(d.fields)))
		for _, i := range d.fields {
			f := t.Field(i)
			l.text(f.Name)
			l.typ(f.Type)
		}
	}
}

func (l *Log) encode(p *pointers, v reflect.Value) {
	d := l.types[v.Type()]
	switch d.shape {
	case Bool:
		if v.Bool() {
			l.put(1)
		} else {
			l.put(0)
		}
	case Int:
		l.buf = binary.AppendVarint(l.buf, v.Int())
	case Uint:
		l.uint(v.Uint())
	case Text:
		l.text(Scrub(v.String()))
	case Bytes:
		l.byteString(v)
	case Hidden:
		l.put(placeholder(v.Bytes()))
	case Failure:
		l.error(*(*error)(address(v)))
	case Pointer:
		l.pointer(p, v)
	case List:
		if v.Kind() == reflect.Slice && v.IsNil() {
			l.put(0)
			return
		}
		l.uint(uint64(v.Len()) + 1)
		for i := range v.Len() {
			l.encode(p, v.Index(i))
		}
	case Dictionary:
		l.dictionary(v)
	case Structure:
		for _, i := range d.fields {
			l.encode(p, v.Field(i))
		}
	}
}

// byteString appends bytes: 0 for nil, else 1 and a string.
func (l *Log) byteString(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		l.put(0)
		return
	}
	at := address(v)
	if v.Kind() == reflect.Slice {
		at = *(*unsafe.Pointer)(at) // a slice begins with where its elements are
	}
	l.put(1)
	l.text(Scrub(string(unsafe.Slice((*byte)(at), v.Len()))))
}

func placeholder(b []byte) byte {
	switch {
	case len(b) == 0:
		return 0
	case b[len(b)-1] == '\n':
		return 3
	}
	return 1
}

func (l *Log) pointer(p *pointers, v reflect.Value) {
	if v.IsNil() {
		l.put(0)
		return
	}
	key := pointer{*(*unsafe.Pointer)(address(v)), v.Type()}
	if n, ok := p.seen[key]; ok {
		l.uint(n + 2)
		return
	}
	if p.seen == nil {
		p.seen = map[pointer]uint64{}
	}
	p.seen[key] = uint64(len(p.seen))
	l.put(1)
	l.encode(p, v.Elem())
}

// dictionary appends a map, in the order of its keys.
func (l *Log) dictionary(v reflect.Value) {
	m := *(*map[string]string)(address(v))
	if m == nil {
		l.put(0)
		return
	}
	l.uint(uint64(len(m)) + 1)
	l.keys = l.keys[:0]
	for k := range m {
		l.keys = append(l.keys, k)
	}
	order.Strings(l.keys)
	for _, k := range l.keys {
		l.text(k)
		l.text(Scrub(m[k]))
	}
}
