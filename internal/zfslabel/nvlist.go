package zfslabel

import "encoding/binary"

// Kinds of values in a list (OpenZFS's include/sys/nvpair.h, data_type_t), as
// far as labels have them.
const (
	kindFlag      = 1 // there, and nothing more
	kindUint64    = 8
	kindString    = 9
	kindUint64s   = 16
	kindList      = 19
	kindLists     = 20
	maxDepth      = 12 // of lists in lists; a label of a pool has five
	pairHeader    = 8
	listHeader    = 8
	smallestValue = 12 // a name's length, a kind, a count
)

// list is a list of names and values, in the order in which it was written.
type list []pair

// pair is one name with its value; which field has it depends on the kind.
type pair struct {
	name  string
	kind  uint32
	word  uint64
	text  string
	words []uint64
	lists []list
}

const errList Error = "its list of properties is damaged"

// word returns a number by name.
func (l list) word(name string) uint64 {
	for i := range l {
		if l[i].name == name && l[i].kind == kindUint64 {
			return l[i].word
		}
	}
	return 0
}

// text returns a string by name.
func (l list) text(name string) string {
	for i := range l {
		if l[i].name == name && l[i].kind == kindString {
			return l[i].text
		}
	}
	return ""
}

// find returns a pair of a kind by name, nil if there is none.
func (l list) find(name string, kind uint32) *pair {
	for i := range l {
		if l[i].name == name && l[i].kind == kind {
			return &l[i]
		}
	}
	return nil
}

// reader reads numbers in XDR (RFC 4506): big-endian, everything padded to four
// bytes. After the first that is not there, bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() string {
	n := r.uint32()
	if uint64(n) > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	b := r.take(int(n))
	r.take(-int(n) & 3)
	return string(b)
}

// parseList reads a list with its header of four bytes: how it is encoded, by
// what byte order of a machine that was, and two that are not used.
func parseList(b []byte) (list, error) {
	if len(b) < 4 || b[0] != 1 { // XDR; labels have nothing else
		return nil, Error("its list of properties is not in XDR")
	}
	r := reader{b: b[4:]}
	l := r.list(0)
	if r.bad {
		return nil, errList
	}
	return l, nil
}

// list reads one list: version, flags, and pairs until one of no size.
func (r *reader) list(depth int) list {
	if r.take(listHeader) == nil || depth > maxDepth {
		r.bad = true
		return nil
	}
	var l list
	for !r.bad {
		size := r.uint32()
		r.uint32() // its size in memory
		if size == 0 {
			break
		}
		if size < pairHeader+smallestValue || uint64(size)-pairHeader > uint64(len(r.b)) {
			r.bad = true
			break
		}
		p := reader{b: r.take(int(size) - pairHeader)}
		if v, ok := p.pair(depth); ok {
			l = append(l, v)
		}
		r.bad = r.bad || p.bad
	}
	return l
}

// pair reads what comes after the sizes; ok is false for a kind that no reader
// of a label wants.
func (r *reader) pair(depth int) (v pair, ok bool) {
	v.name = r.string()
	v.kind = r.uint32()
	n := r.uint32()
	switch v.kind {
	case kindFlag:
	case kindUint64:
		v.word = r.uint64()
	case kindString:
		v.text = r.string()
	case kindUint64s:
		if r.uint32() != n || uint64(n)*8 > uint64(len(r.b)) {
			r.bad = true
			return v, false
		}
		for range n {
			v.words = append(v.words, r.uint64())
		}
	case kindList:
		v.lists = []list{r.list(depth + 1)}
	case kindLists:
		for i := uint32(0); i < n && !r.bad; i++ {
			v.lists = append(v.lists, r.list(depth+1))
		}
	default:
		return v, false
	}
	return v, !r.bad
}
