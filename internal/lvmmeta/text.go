package lvmmeta

import (
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// maxDepth bounds the nesting of sections; LVM's own texts have four levels.
const maxDepth = 16

// maxNodes bounds the entries of one text, and with them the memory that a
// text can take. A VG of ten thousand LVs has some 300 000.
const maxNodes = 1 << 20

// SyntaxError says where a metadata text is not what it should be.
type SyntaxError struct {
	Line, Column int // from 1; the column counts bytes
	Msg          string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("metadata text:%d:%d: %s", e.Line, e.Column, e.Msg)
}

type kind uint8

const (
	kindString kind = iota
	kindInt
	kindFloat
	kindArray
	kindSection
)

func (k kind) String() string {
	return [...]string{"a string", "a number", "a fraction", "an array", "a section"}[k]
}

// node is one entry of a section or array.
type node struct {
	name string // of an entry of a section
	pos  int    // offset in the text
	kind kind
	str  string
	num  int64
	sub  []node // of a section or array, in the order of the text
}

// find returns the entry of a section, or nil. Of several with one name the
// last counts, as in LVM's own reader.
func (n *node) find(name string) *node {
	for i := len(n.sub) - 1; i >= 0; i-- {
		if n.sub[i].name == name {
			return &n.sub[i]
		}
	}
	return nil
}

// parser reads the grammar of LVM's configuration texts, in which the
// metadata is written: sections, assignments of strings, numbers and arrays,
// and comments.
type parser struct {
	text  string
	pos   int
	nodes int
}

func parseConfig(text string) (node, error) {
	p := &parser{text: text}
	root := node{kind: kindSection}
	if err := p.section(&root, 0); err != nil {
		return node{}, err
	}
	return root, nil
}

func (p *parser) errorAt(pos int, format string, args ...any) error {
	return errorAt(p.text, pos, format, args...)
}

func errorAt(text string, pos int, format string, args ...any) error {
	before := text[:min(pos, len(text))]
	return &SyntaxError{
		Line:   1 + strings.Count(before, "\n"),
		Column: len(before) - strings.LastIndexByte(before, '\n'),
		Msg:    fmt.Sprintf(format, args...),
	}
}

// space passes over white space and comments, and the NUL that ends a text.
func (p *parser) space() {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0:
			p.pos++
		case c == '#':
			end := strings.IndexByte(p.text[p.pos:], '\n')
			if end < 0 {
				p.pos = len(p.text)
				return
			}
			p.pos += end
		default:
			return
		}
	}
}

func (p *parser) next() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// section reads entries up to the closing brace, or the end at depth 0.
func (p *parser) section(into *node, depth int) error {
	if depth > maxDepth {
		return p.errorAt(p.pos, "sections are nested more than %d deep", maxDepth)
	}
	for {
		p.space()
		if p.pos == len(p.text) {
			if depth > 0 {
				return p.errorAt(into.pos, "section %q is not closed", into.name)
			}
			return nil
		}
		if p.next() == '}' {
			if depth == 0 {
				return p.errorAt(p.pos, "'}' without a section")
			}
			p.pos++
			return nil
		}
		n := node{pos: p.pos}
		var err error
		if n.name, err = p.name(); err != nil {
			return err
		}
		p.space()
		switch p.next() {
		case '{':
			p.pos++
			if p.nodes++; p.nodes > maxNodes {
				return p.errorAt(p.pos, "more than %d entries", maxNodes)
			}
			n.kind = kindSection
			err = p.section(&n, depth+1)
		case '=':
			p.pos++
			p.space()
			err = p.value(&n, true)
		default:
			return p.errorAt(p.pos, "expected '=' or '{' after %q", n.name)
		}
		if err != nil {
			return err
		}
		into.sub = append(into.sub, n)
	}
}

// name reads the name of an entry: a word, or a quoted string.
func (p *parser) name() (string, error) {
	if p.next() == '"' {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.text) && isName(p.text[p.pos]) {
		p.pos++
	}
	if p.pos == start {
		return "", p.errorAt(start, "expected a name, found %q", p.text[start:start+1])
	}
	return p.text[start:p.pos], nil
}

func isName(c byte) bool {
	return c > ' ' && c != 0x7f && !strings.ContainsRune("#={}[]\",", rune(c))
}

func (p *parser) value(n *node, arrays bool) error {
	if p.nodes++; p.nodes > maxNodes {
		return p.errorAt(p.pos, "more than %d entries", maxNodes)
	}
	switch c := p.next(); {
	case c == '[' && arrays:
		return p.array(n)
	case c == '"':
		var err error
		n.kind = kindString
		n.str, err = p.quoted()
		return err
	case c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9':
		return p.number(n)
	}
	return p.errorAt(p.pos, "expected a value of %q", n.name)
}

func (p *parser) array(n *node) error {
	n.kind = kindArray
	open := p.pos
	p.pos++
	for {
		p.space()
		if p.next() == ']' {
			p.pos++
			return nil
		}
		if p.pos == len(p.text) {
			return p.errorAt(open, "array is not closed")
		}
		e := node{name: n.name, pos: p.pos}
		if err := p.value(&e, false); err != nil {
			return err
		}
		n.sub = append(n.sub, e)
		p.space()
		switch p.next() {
		case ',':
			p.pos++
		case ']':
		default:
			return p.errorAt(p.pos, "expected ',' or ']' in an array")
		}
	}
}

// quoted reads a string in double quotes, in which a backslash stands before
// a quote or a backslash.
func (p *parser) quoted() (string, error) {
	open := p.pos
	p.pos++
	start := p.pos
	escaped := false
	for ; p.pos < len(p.text); p.pos++ {
		switch p.text[p.pos] {
		case '\\':
			escaped = true
			p.pos++
		case '"':
			s := p.text[start:p.pos]
			p.pos++
			if escaped {
				s = unescape(s)
			}
			return s, nil
		}
	}
	p.pos = len(p.text)
	return "", p.errorAt(open, "string is not closed")
}

func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// isDecimal says whether a word is a decimal number with a point or an
// exponent, as strtod(3) has it. No value is wanted of those.
func isDecimal(word string) bool {
	mantissa, exponent := word, "0"
	if at := strings.IndexAny(word, "eE"); at >= 0 {
		mantissa, exponent = word[:at], unsigned(word[at+1:])
	}
	before, after, _ := strings.Cut(unsigned(mantissa), ".")
	return before+after != "" && digits(before) && digits(after) && exponent != "" && digits(exponent)
}

// unsigned takes one sign off.
func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func (p *parser) number(n *node) error {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte("+-.eE0123456789", p.text[p.pos]) >= 0 {
		p.pos++
	}
	word := p.text[start:p.pos]
	if strings.ContainsAny(word, ".eE") {
		if !isDecimal(word) {
			return p.errorAt(start, "%q is not a number", word)
		}
		n.kind, n.str = kindFloat, word
		return nil
	}
	v, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return p.errorAt(start, "%q is not a number", word)
	}
	n.kind, n.num = kindInt, v
	return nil
}
