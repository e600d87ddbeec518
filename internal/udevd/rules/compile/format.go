package compile

import (
	"fmt"
	"strconv"
	"strings"

	"firstlight/internal/udevd/rules/tab"
)

// substitutions are in the order in which a "$" name is looked for: the first
// that the text starts with is it.
var substitutions = [...]struct {
	name   string
	letter byte
	kind   uint8
}{
	{"devnode", 'N', tab.SubDevnode},
	{"tempnode", 'N', tab.SubDevnode},
	{"attr", 's', tab.SubAttr},
	{"sysfs", 's', tab.SubAttr},
	{"env", 'E', tab.SubEnv},
	{"kernel", 'k', tab.SubKernel},
	{"number", 'n', tab.SubNumber},
	{"driver", 'd', tab.SubDriver},
	{"devpath", 'p', tab.SubDevpath},
	{"id", 'b', tab.SubID},
	{"major", 'M', tab.SubMajor},
	{"minor", 'm', tab.SubMinor},
	{"result", 'c', tab.SubResult},
	{"parent", 'P', tab.SubParent},
	{"name", 'D', tab.SubName},
	{"links", 'L', tab.SubLinks},
	{"root", 'r', tab.SubRoot},
	{"sys", 'S', tab.SubSys},
}

// segment is a part of a value.
type segment struct {
	kind   uint8
	plus   bool   // $result{N+}
	text   string // the literal, or what stands in {}
	number uint32 // $result{N}
}

// segments takes a value apart. why, if not empty, says what is wrong with
// it; the segments are still what udevd would make of the value: an unknown
// substitution stays as it is, and a broken one ends the value.
func segments(value string) (segs []segment, why string) {
	var lit []byte
	flush := func() {
		if len(lit) > 0 {
			segs = append(segs, segment{kind: tab.Literal, text: string(lit)})
			lit = nil
		}
	}
	complain := func(format string, args ...any) {
		if why == "" {
			why = fmt.Sprintf(format, args...)
		}
	}
	for i := 0; i < len(value); {
		c := value[i]
		if c != '$' && c != '%' {
			lit = append(lit, c)
			i++
			continue
		}
		if i+1 < len(value) && value[i+1] == c {
			lit = append(lit, c)
			i += 2
			continue
		}
		s := segment{}
		size := 0
		for _, sub := range substitutions {
			if c == '%' && i+1 < len(value) && value[i+1] == sub.letter {
				s.kind, size = sub.kind, 2
				break
			}
			if c == '$' && strings.HasPrefix(value[i+1:], sub.name) {
				s.kind, size = sub.kind, 1+len(sub.name)
				break
			}
		}
		if size == 0 {
			complain("%q at character %d is no substitution; a %c itself is written %c%c", cut(value[i:], 12), i+1, c, c, c)
			lit = append(lit, c)
			i++
			continue
		}
		written := value[i : i+size]
		i += size
		if i < len(value) && value[i] == '{' {
			end := strings.IndexByte(value[i:], '}')
			if end <= 1 {
				complain("%s at character %d has braces that are empty or not closed; write %s{name}", written, i-size+1, written)
				break
			}
			s.text = value[i+1 : i+end]
			i += end + 1
		}
		switch s.kind {
		case tab.SubAttr, tab.SubEnv:
			if s.text == "" {
				complain("%s needs a name in braces, as in %s{name}", written, written)
				flush()
				return segs, why
			}
		case tab.SubResult:
			if s.text == "" {
				break
			}
			digits := strings.TrimSuffix(s.text, "+")
			n, err := strconv.ParseUint(digits, 10, 32)
			if err != nil {
				complain("%s{%s}: the number of the part is missing; write %s{1} for the first, %s{2+} for the second and all that follow", written, s.text, written, written)
				flush()
				return segs, why
			}
			s.number, s.plus = uint32(n), digits != s.text
		default:
			s.text = "" // braces after the others say nothing
		}
		flush()
		segs = append(segs, s)
	}
	flush()
	return segs, why
}

// checkFormat says what is wrong with the substitutions of a value, or "".
func checkFormat(value string) string {
	_, why := segments(value)
	return why
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
