// Package dns asks name servers for the addresses of a host: the messages of
// RFC 1035 and RFC 3596 as far as a root on a server needs them. It is pure; what
// comes from the network is bounded and checked.
package dns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// Type is the sort of a record.
type Type uint16

// The sorts that are asked for.
const (
	A     Type = 1
	AAAA  Type = 28
	cname Type = 5
)

const (
	classIN    = 1
	headerSize = 12 // bytes
	recursion  = 0x0100
	isAnswer   = 0x8000
	truncated  = 0x0200
	// maxRecords bounds the records that are looked at, maxHops the links of a
	// chain of names.
	maxRecords = 64
	maxHops    = 16
	maxName    = 253
)

// Errors of Parse.
var (
	errName = errors.New("not the name of a host")
	// ErrOther says that a message is no answer to the question.
	ErrOther = errors.New("not the answer")
	// ErrNone says that there is no such name, or that it has no address.
	ErrNone = errors.New("there is no such name, or it has no address")
	// ErrFailed says that the server could not or would not answer.
	ErrFailed = errors.New("the name server cannot answer")
)

// Query is a question for a name's addresses.
func Query(id uint16, name string, typ Type) ([]byte, error) {
	b := make([]byte, headerSize, headerSize+len(name)+6)
	binary.BigEndian.PutUint16(b, id)
	binary.BigEndian.PutUint16(b[2:], recursion)
	binary.BigEndian.PutUint16(b[4:], 1)
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return nil, errName
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return nil, errName
		}
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	return binary.BigEndian.AppendUint16(b, classIN), nil
}

// Parse reads the addresses out of an answer to the question.
func Parse(b, question []byte) ([]netip.Addr, error) {
	if len(b) < headerSize || len(question) < headerSize+5 || string(b[:2]) != string(question[:2]) {
		return nil, ErrOther
	}
	flags := binary.BigEndian.Uint16(b[2:])
	asked := question[headerSize:]
	if flags&isAnswer == 0 || binary.BigEndian.Uint16(b[4:]) != 1 || len(b) < len(question) || !strings.EqualFold(string(b[headerSize:len(question)]), string(asked)) {
		return nil, ErrOther
	}
	switch flags & 15 {
	case 0:
	case 3:
		return nil, ErrNone
	default:
		return nil, ErrFailed
	}
	typ := Type(binary.BigEndian.Uint16(asked[len(asked)-4:]))
	wanted, at, ok := readName(b, headerSize)
	if !ok {
		return nil, ErrOther
	}
	at += 4
	var out []netip.Addr
	for range min(int(binary.BigEndian.Uint16(b[6:])), maxRecords) {
		name, next, ok := readName(b, at)
		if !ok || next+10 > len(b) {
			break
		}
		t, class, n := Type(binary.BigEndian.Uint16(b[next:])), binary.BigEndian.Uint16(b[next+2:]), int(binary.BigEndian.Uint16(b[next+8:]))
		data := next + 10
		if data+n > len(b) {
			break
		}
		at = data + n
		if class != classIN || !strings.EqualFold(name, wanted) {
			continue
		}
		switch {
		case t == cname:
			if wanted, _, ok = readName(b, data); !ok {
				return nil, ErrFailed
			}
		case t == typ:
			if a, ok := netip.AddrFromSlice(b[data : data+n]); ok && a.Is4() == (typ == A) && !a.IsUnspecified() && !a.IsMulticast() {
				out = append(out, a)
			}
		}
	}
	if len(out) == 0 {
		if flags&truncated != 0 {
			return nil, ErrFailed
		}
		return nil, ErrNone
	}
	return out, nil
}

// readName reads a name, which may be continued elsewhere, and returns where
// what follows it begins.
func readName(b []byte, at int) (name string, next int, ok bool) {
	next = -1
	for range maxHops * 8 {
		if at >= len(b) {
			return "", 0, false
		}
		n := int(b[at])
		switch {
		case n == 0:
			if next < 0 {
				next = at + 1
			}
			return name, next, true
		case n&0xc0 == 0xc0:
			if at+1 >= len(b) {
				return "", 0, false
			}
			if next < 0 {
				next = at + 2
			}
			to := n&0x3f<<8 | int(b[at+1])
			if to >= at {
				return "", 0, false // only back, so that it ends
			}
			at = to
		case n > 63 || at+1+n > len(b) || len(name)+n+1 > maxName+1:
			return "", 0, false
		default:
			if name != "" {
				name += "."
			}
			name += string(b[at+1 : at+1+n])
			at += 1 + n
		}
	}
	return "", 0, false
}
