// Package jsontree reads small JSON documents (RFC 8259) from untrusted
// places into a tree, within bounds that the caller sets. It exists because
// encoding/json costs ten times its size in a program that counts bytes, and
// bounds nothing.
//
// It is strict: no comments, no trailing commas, no duplicate keys, no
// control bytes in strings, no text after the value. Numbers are kept as they
// are written. It imports nothing but the standard library's pure parts.
package jsontree

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"firstlight/internal/fmt"
)

// Kind is the kind of a value.
type Kind uint8

// The kinds. Missing is that of a nil *Value.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return "nothing"
}

// Value is one value. A nil *Value is a missing one: all methods work on it.
type Value struct {
	kind    Kind
	text    string // of a string: decoded; of a number or boolean: as written
	members []Member
}

// Member is a member of an object, or an element of an array (without Key).
type Member struct {
	Key   string
	Value *Value
}

// Limits bound a document. Memory is proportional to Values plus the length
// of the input.
type Limits struct {
	Depth  int // of nested arrays and objects
	Values int // of values altogether
}

// ErrLimit is wrapped by the error for a document beyond its Limits.
var ErrLimit = errors.New("JSON is beyond its limits")

// ErrSyntax is wrapped by the error for a text that is not JSON.
var ErrSyntax = errors.New("not JSON")

// Parse reads one value, which must be all that data holds.
func Parse(data []byte, l Limits) (*Value, error) {
	p := parser{data: data, left: l.Values}
	v := p.value(l.Depth)
	p.space()
	if p.err == nil && p.at != len(data) {
		p.fail("text after the value")
	}
	if p.err != nil {
		return nil, p.err
	}
	return v, nil
}

type parser struct {
	data []byte
	at   int
	left int
	err  error
}

func (p *parser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, p.at)
	}
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end. A zero byte is never valid JSON
// outside of an error.
func (p *parser) peek() byte {
	if p.err != nil || p.at >= len(p.data) {
		return 0
	}
	return p.data[p.at]
}

func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) value(depth int) *Value {
	p.space()
	if p.left--; p.left < 0 && p.err == nil {
		p.err = fmt.Errorf("%w: too many values at byte %d", ErrLimit, p.at)
	}
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth <= 0 {
			p.err = fmt.Errorf("%w: nested too deeply at byte %d", ErrLimit, p.at)
			return nil
		}
		p.at++
		if c == '{' {
			return p.object(depth - 1)
		}
		return p.array(depth - 1)
	case c == '"':
		return &Value{kind: String, text: p.str()}
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return p.word("true", Bool)
	case c == 'f':
		return p.word("false", Bool)
	case c == 'n':
		return p.word("null", Null)
	}
	p.fail("no value")
	return nil
}

func (p *parser) word(w string, k Kind) *Value {
	if len(p.data)-p.at < len(w) || string(p.data[p.at:p.at+len(w)]) != w {
		p.fail("no value")
		return nil
	}
	p.at += len(w)
	return &Value{kind: k, text: w}
}

func (p *parser) digits() {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	if p.at == start {
		p.fail("no digit")
	}
}

func (p *parser) number() *Value {
	start := p.at
	p.take('-')
	if !p.take('0') {
		p.digits()
	}
	if p.take('.') {
		p.digits()
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		p.digits()
	}
	return &Value{kind: Number, text: string(p.data[start:p.at])}
}

func (p *parser) array(depth int) *Value {
	v := &Value{kind: Array}
	p.space()
	if p.take(']') {
		return v
	}
	for p.err == nil {
		v.members = append(v.members, Member{Value: p.value(depth)})
		p.space()
		if p.take(']') {
			return v
		}
		if !p.take(',') {
			p.fail("neither comma nor end of array")
		}
	}
	return nil
}

func (p *parser) object(depth int) *Value {
	v := &Value{kind: Object}
	// Duplicate keys are looked for with a map only where an object is big.
	var seen map[string]bool
	p.space()
	if p.take('}') {
		return v
	}
	for p.err == nil {
		p.space()
		if p.peek() != '"' {
			p.fail("no key")
			return nil
		}
		key := p.str()
		if len(v.members) < 16 {
			if v.Get(key) != nil {
				p.fail("duplicate key")
			}
		} else {
			if seen == nil {
				seen = make(map[string]bool)
				for _, m := range v.members {
					seen[m.Key] = true
				}
			}
			if seen[key] {
				p.fail("duplicate key")
			}
			seen[key] = true
		}
		p.space()
		if !p.take(':') {
			p.fail("no colon after a key")
			return nil
		}
		v.members = append(v.members, Member{key, p.value(depth)})
		p.space()
		if p.take('}') {
			return v
		}
		if !p.take(',') {
			p.fail("neither comma nor end of object")
		}
	}
	return nil
}

// str reads a string; p stands at its quote.
func (p *parser) str() string {
	p.at++
	start := p.at
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			s := p.data[start:p.at]
			p.at++
			if !utf8.Valid(s) {
				p.fail("bad UTF-8 before")
			}
			return string(s)
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			p.fail("control byte in a string")
			return ""
		}
		p.at++
	}
	p.fail("string without end")
	return ""
}

// escaped goes on with a string from its first backslash.
func (p *parser) escaped(start int) string {
	b := append([]byte(nil), p.data[start:p.at]...)
	for p.at < len(p.data) {
		c := p.data[p.at]
		p.at++
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				p.fail("bad UTF-8 before")
			}
			return string(b)
		case c < 0x20:
			p.fail("control byte in a string")
			return ""
		case c != '\\':
			b = append(b, c)
			continue
		}
		e := p.peek()
		p.at++
		switch e {
		case '"', '\\', '/':
			b = append(b, e)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := p.hex4()
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if p.take('\\') && p.take('u') {
					low = p.hex4()
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					p.fail("half a surrogate pair")
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			p.fail("unknown escape")
		}
		if p.err != nil {
			return ""
		}
	}
	p.fail("string without end")
	return ""
}

func (p *parser) hex4() rune {
	if p.err != nil || len(p.data)-p.at < 4 {
		p.fail("cut off escape")
		return 0
	}
	v, err := strconv.ParseUint(string(p.data[p.at:p.at+4]), 16, 16)
	if err != nil {
		p.fail("bad escape")
	}
	p.at += 4
	return rune(v)
}

// Kind returns the value's kind.
func (v *Value) Kind() Kind {
	if v == nil {
		return Missing
	}
	return v.kind
}

// Get returns the member of an object, or nil.
func (v *Value) Get(key string) *Value {
	if v.Kind() != Object {
		return nil
	}
	for _, m := range v.members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Members returns the members of an object or the elements of an array, in
// the order of the text.
func (v *Value) Members() []Member {
	if v == nil {
		return nil
	}
	return v.members
}

// Str returns the text of a string; ok is false for anything else.
func (v *Value) Str() (s string, ok bool) {
	if v.Kind() != String {
		return "", false
	}
	return v.text, true
}

// Uint returns a number that is written as an unsigned integer.
func (v *Value) Uint() (n uint64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	n, err := strconv.ParseUint(v.text, 10, 64)
	return n, err == nil
}

// Bool returns a boolean.
func (v *Value) Bool() (b, ok bool) {
	if v.Kind() != Bool {
		return false, false
	}
	return v.text == "true", true
}
