package dhcp4

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Limits of names, in bytes.
const (
	maxName     = 253 // RFC 1035, as text
	maxLabel    = 63
	maxHostName = 64   // HOST_NAME_MAX
	maxText     = 1024 // a path or the name of a file
	maxSearch   = 32   // domains of a search list
)

// ValidDomain says whether the text is the name of a domain that may be written
// to a file: labels of letters, digits, '-' and '_' between dots, no label
// beginning or ending with '-'. One dot at the end is allowed.
func ValidDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

// ValidHostName is ValidDomain for what the kernel takes as a host's name.
func ValidHostName(s string) bool {
	return len(s) <= maxHostName && !strings.HasSuffix(s, ".") && ValidDomain(s)
}

// text reads a path or another text: UTF-8 that can be seen, on one line.
func text(v []byte) (string, bool) {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	if len(v) == 0 || len(v) > maxText || !utf8.Valid(v) {
		return "", false
	}
	s := string(v)
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return "", false
		}
	}
	return s, true
}

// domainList reads names as DNS has them, with pointers to what stands before
// (RFC 3397; RFC 1035, section 4.1.4). A name that may not be written to a file
// is left out; bytes that are no list are an error.
func domainList(v []byte) ([]string, error) {
	var list []string
	for at := 0; at < len(v); {
		name, next, err := domain(v, at)
		if err != nil {
			return nil, err
		}
		at = next
		if ValidDomain(name) && len(list) < maxSearch {
			list = append(list, name)
		}
	}
	return list, nil
}

var errDomain = errors.New("not a list of domain names")

// domain reads the name at an offset and says where the next one begins. A
// pointer leads backwards only, so that there is an end.
func domain(v []byte, at int) (name string, next int, err error) {
	var b []byte
	next, before := -1, at
	for {
		if at >= len(v) {
			return "", 0, errDomain
		}
		n := int(v[at])
		switch {
		case n == 0:
			if next < 0 {
				next = at + 1
			}
			return string(b), next, nil
		case n&0xc0 == 0xc0:
			if at+1 >= len(v) {
				return "", 0, errDomain
			}
			to := n&0x3f<<8 | int(v[at+1])
			if next < 0 {
				next = at + 2
			}
			if to >= before {
				return "", 0, errDomain
			}
			at, before = to, to
			continue
		case n > maxLabel || at+1+n > len(v):
			return "", 0, errDomain
		}
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, v[at+1:at+1+n]...)
		if len(b) > maxName {
			return "", 0, errDomain
		}
		at += 1 + n
	}
}
