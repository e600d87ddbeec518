package migrate

import (
	"fmt"
	"strings"
)

// assignment is a line NAME=VALUE, NAME+=VALUE or NAME=(VALUE…) of a shell
// script.
type assignment struct {
	name   string
	add    bool
	values []string // the words of an array; one, maybe with blanks, of others
	where  string   // file:line
}

// words are the words of all values.
func (a assignment) words() (out []string) {
	for _, v := range a.values {
		out = append(out, strings.Fields(v)...)
	}
	return out
}

func (a assignment) value() string { return strings.Join(a.values, " ") }

// assignments reads the assignments of a shell script. Other lines, and values
// that would have to be computed, are reported.
func assignments(m *migration, f File) (out []assignment) {
	lines := strings.Split(f.Text, "\n")
	for i := 0; i < len(lines); i++ {
		where := fmt.Sprintf("%s:%d", f.Name, i+1)
		text := strings.TrimPrefix(strings.TrimSpace(lines[i]), "export ")
		if text == "" || text[0] == '#' {
			continue
		}
		// A value goes on while a quote, a bracket or a backslash is open.
		values, rest, open := []string(nil), "", false
		name, ok := cutName(text)
		if !ok {
			m.left(where, text, "it is a command and not a setting: it was not run")
			continue
		}
		for {
			values, rest, open = shellWords(text[len(name.text):], name.array)
			if !open || i+1 >= len(lines) {
				break
			}
			i++
			text += "\n" + lines[i]
		}
		switch {
		case open:
			m.left(where, text, "a quote or a bracket is not closed")
		case rest != "":
			m.left(where, text, "it is more than a setting, or has to be computed")
		default:
			out = append(out, assignment{name.name, name.add, values, where})
		}
	}
	return out
}

type assigned struct {
	name, text string // the name, and the text up to the value
	add, array bool
}

func cutName(line string) (a assigned, ok bool) {
	i := strings.IndexByte(line, '=')
	if i <= 0 {
		return a, false
	}
	a.name, a.text = line[:i], line[:i+1]
	a.name, a.add = strings.CutSuffix(a.name, "+")
	if strings.HasPrefix(line[i+1:], "(") {
		a.array = true
		a.text += "("
	}
	for i, r := range a.name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return a, false
		}
	}
	return a, a.name != ""
}

// shellWords reads the words of a value: of an array up to its bracket, else
// one. rest is what follows and is no comment, or cannot be read; open says
// that the value is not at its end.
func shellWords(s string, array bool) (words []string, rest string, open bool) {
	var word strings.Builder
	some := false
	end := func() {
		if some {
			words = append(words, word.String())
		}
		word.Reset()
		some = false
	}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			if i+1 == len(s) {
				return words, "", true
			}
			if s[i+1] != '\n' {
				word.WriteByte(s[i+1])
				some = true
			}
			i += 2
			continue
		case c == '\'' || c == '"':
			j := strings.IndexByte(s[i+1:], c)
			if j < 0 {
				return words, "", true
			}
			part := s[i+1 : i+1+j]
			if c == '"' && strings.ContainsAny(part, "$`") {
				return words, s[i:], false
			}
			word.WriteString(part)
			some = true
			i += j + 2
			continue
		case c == '$' || c == '`':
			return words, s[i:], false
		case array && c == ')':
			end()
			return words, trailing(s[i+1:]), false
		case c == ' ' || c == '\t' || c == '\n':
			if !array {
				end()
				return words, trailing(s[i:]), false
			}
			end()
		case c == '#' && !some:
			j := strings.IndexByte(s[i:], '\n')
			if j < 0 {
				j = len(s) - i
			}
			i += j
			continue
		case c == ';' || c == '&' || c == '|' || c == '<' || c == '>' || c == '(' || c == ')':
			return words, s[i:], false
		default:
			word.WriteByte(c)
			some = true
		}
		i++
	}
	end()
	return words, "", array
}

// trailing is what follows a value and is no comment.
func trailing(s string) string {
	s = strings.TrimLeft(s, " \t;")
	if strings.HasPrefix(s, "#") {
		return ""
	}
	return strings.TrimSpace(s)
}
