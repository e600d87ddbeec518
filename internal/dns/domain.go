package dns

// Domain takes a name that is not compressed (RFC 1035, 3.1, as RFC 8415, section
// 10, and RFC 8106 have it) off a list of such. A name that may not be written to
// a file is ""; ok is false for one that is malformed.
func Domain(v []byte) (name string, rest []byte, ok bool) {
	var b []byte
	clean := true
	for {
		if len(v) == 0 || int(v[0]) >= len(v) || v[0] > 63 {
			return "", nil, false
		}
		n := int(v[0])
		if n == 0 {
			break
		}
		if len(b) > 0 {
			b = append(b, '.')
		}
		label := v[1 : 1+n]
		for _, c := range label {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				clean = false
			}
		}
		clean = clean && label[0] != '-' && label[n-1] != '-'
		if b = append(b, label...); len(b) > 253 {
			return "", nil, false
		}
		v = v[1+n:]
	}
	if !clean {
		b = nil
	}
	return string(b), v[1:], true
}
