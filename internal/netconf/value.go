package netconf

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields takes a value apart at its colons, but for those between brackets.
func fields(v string) []string {
	var list []string
	depth, from := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ':':
			if depth <= 0 {
				list = append(list, v[from:i])
				from = i + 1
			}
		}
	}
	return append(list, v[from:])
}

// address reads an IP address, with brackets or without. A zone is not one.
func address(s string) (netip.Addr, bool) {
	if t, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(t, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, false
	}
	return a, true
}

// prefix reads an address with a length behind it, within the brackets or after
// them: "10.0.0.0/8", "10.0.0.0/255.0.0.0", "[2001:db8::/32]",
// "[2001:db8::]/32". Without a length, bits is -1.
func prefix(s string) (a netip.Addr, bits int, ok bool) {
	if t, found := strings.CutPrefix(s, "["); found {
		inside, after, closed := strings.Cut(t, "]")
		if !closed {
			return netip.Addr{}, 0, false
		}
		s = inside + after
	}
	host, length, has := strings.Cut(s, "/")
	if a, ok = address(host); !ok {
		return netip.Addr{}, 0, false
	}
	if !has {
		return a, -1, true
	}
	bits, ok = maskBits(length, a.BitLen())
	return a, bits, ok
}

// maskBits reads a netmask or the length of a prefix of at most most bits.
func maskBits(s string, most int) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 0 && n <= most && len(s) <= 3 && s[0] != '+' && s[0] != '-'
	}
	a, ok := address(s)
	if !ok || a.BitLen() != most {
		return 0, false
	}
	bits, ended := 0, false
	for _, b := range a.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return 0, false
			}
			if one {
				bits++
			} else {
				ended = true
			}
		}
	}
	return bits, true
}

// ParseMAC reads a hardware address of 6 bytes, or of 20 as InfiniBand has,
// separated by colons or dashes.
func ParseMAC(s string) (MAC, bool) {
	if n := len(s); n != 17 && n != 59 {
		return "", false
	}
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		switch {
		case i%3 == 2:
			if c != ':' && c != '-' || c != b[2] {
				return "", false
			}
			b[i] = ':'
			if i == 2 {
				b[2] = c // compared with until the end
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return "", false
		}
	}
	b[2] = ':'
	return MAC(b), true
}

// Bytes is the address in bytes, nil for none.
func (m MAC) Bytes() []byte {
	var out []byte
	for w := range strings.SplitSeq(string(m), ":") {
		n, err := strconv.ParseUint(w, 16, 8)
		if err != nil {
			return nil
		}
		out = append(out, byte(n))
	}
	return out
}

// validInterface says whether the kernel takes the name (net/core/dev.c,
// dev_valid_name), and no one who reads a file with it is surprised.
func validInterface(s string) bool {
	if s == "" || len(s) > maxName || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/:,;'"\$|&<>()[]{}*?%`+"`", c) >= 0 {
			return false
		}
	}
	return true
}

// validHost says whether the text may be a host's or a domain's name.
func validHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
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

// visible says whether the text has no blanks and nothing that is not seen.
func visible(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f && r <= 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}
