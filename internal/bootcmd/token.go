package bootcmd

import "strings"

// nextParam takes the first parameter from text by the kernel's rules
// (lib/cmdline.c, next_arg): blanks separate except inside double quotes, of
// which those around the whole or around the value are taken off; there are
// no escapes. The kernel also takes the byte 0xa0 for a blank, which would
// cut UTF-8 in two; this does not.
//
// ok is false at the end of the text.
func nextParam(text string) (p Param, rest string, ok bool) {
	for text != "" && blank(text[0]) {
		text = text[1:]
	}
	if text == "" {
		return Param{}, "", false
	}
	quoted := text[0] == '"'
	inQuote := quoted
	if quoted {
		text = text[1:]
	}
	i, equals := 0, 0
	for ; i < len(text) && (inQuote || !blank(text[i])); i++ {
		if equals == 0 && text[i] == '=' {
			equals = i
		}
		if text[i] == '"' {
			inQuote = !inQuote
		}
	}
	word, rest := text[:i], text[i:]
	if equals == 0 {
		if quoted {
			word = strings.TrimSuffix(word, `"`)
		}
		return Param{Name: word}, rest, true
	}
	name, value := word[:equals], word[equals+1:]
	if v, found := strings.CutPrefix(value, `"`); found {
		value = strings.TrimSuffix(v, `"`)
	} else if quoted {
		value = strings.TrimSuffix(value, `"`)
	}
	return Param{Name: name, Value: value, HasValue: true}, rest, true
}

func blank(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// sameName compares names as the kernel does (kernel/params.c, parameq): '-'
// and '_' are equal.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	if c == '-' {
		return '_'
	}
	return c
}

// foldName spells a name with '_' throughout, as module names are.
func foldName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// uncomment blanks out lines that begin with '#'.
func uncomment(text string) string {
	if !strings.Contains(text, "#") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// String is the parameter as one would write it, with quotes where they are
// needed and without secrets.
func (p Param) String() string {
	s := p.Name
	if p.HasValue {
		s += "=" + Redact(p.Name, p.Value)
	}
	if strings.ContainsAny(s, " \t\n\v\f\r") {
		return `"` + s + `"`
	}
	return s
}

// RedactText is the text of a source without the secrets in it: parameters
// that hold none stay as they are written. Comments are left out of every
// source but the kernel's own.
func RedactText(src Source) string {
	text := src.Text
	if src.Name != kernelSource {
		text = uncomment(text)
	}
	var b strings.Builder
	for {
		p, rest, ok := nextParam(text)
		if !ok {
			return b.String() + text
		}
		word := text[:len(text)-len(rest)]
		if p.HasValue && Redact(p.Name, p.Value) != p.Value {
			word = " " + p.String()
		}
		b.WriteString(word)
		text = rest
	}
}
