package rules

import (
	"errors"
	"io/fs"
	"strings"

	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/glob"
	"firstlight/internal/udevd/rules/tab"
)

// program runs PROGRAM; what it writes is the result for RESULT and $result.
func (e *eval) program(k token) bool {
	e.result = ""
	command, ok := e.expand(k, maxLine)
	if !ok {
		return false
	}
	out, err := e.runProgram(command)
	d := Decision{What: DidProgram, Value: command, Op: "ok", Err: err}
	if err != nil {
		d.Op = "failed"
		e.note(d)
		return k.op == tab.NoMatch
	}
	e.note(d)
	e.result = escape.Chars(strings.TrimRight(out, "\n"), escape.Input)
	return k.op == tab.Match
}

func (e *eval) runProgram(command string) (string, error) {
	args := SplitArgs(command)
	if len(args) == 0 {
		return "", errors.New("the command is empty after substitution")
	}
	out, err := e.env.Program(e.dev, args)
	e.check(err)
	if len(out) > maxLine {
		out = out[:maxLine]
	}
	return out, err
}

// imports runs one of the IMPORTs.
func (e *eval) imports(k token) bool {
	d := Decision{What: DidImport}
	found := false
	switch k.kind {
	case tab.MImportDB:
		d.Key, d.Value = "db", e.t.str(k.value)
		var v string
		if v, found = e.env.Stored(e.dev, d.Value); found {
			e.dev.SetProperty(d.Value, v)
		}
	case tab.MImportCmdline:
		d.Key, d.Value = "cmdline", e.t.str(k.value)
		var v string
		if v, found = e.env.Cmdline(d.Value); found {
			if v == "" {
				v = "1"
			}
			e.dev.SetProperty(d.Value, v)
		}
	default:
		limit := maxLine
		if k.kind == tab.MImportFile || k.kind == tab.MImportParent {
			limit = maxPath
		}
		var ok bool
		if d.Value, ok = e.expand(k, limit); !ok {
			return false
		}
		switch k.kind {
		case tab.MImportFile:
			d.Key = "file"
			found, d.Err = e.importFile(d.Value)
		case tab.MImportProgram:
			d.Key = "program"
			var out string
			if out, d.Err = e.runProgram(d.Value); d.Err == nil {
				found = true
				e.importLines(out)
			}
		case tab.MImportBuiltin:
			d.Key = "builtin"
			if k.extra > 0 && e.builtins>>(k.extra-1)&1 != 0 {
				return (e.failed>>(k.extra-1)&1 == 0) == (k.op == tab.Match)
			}
			d.Err = e.builtin(d.Value, k.extra)
			found = d.Err == nil
		case tab.MImportParent:
			d.Key = "parent"
			found = e.importParent(d.Value)
		}
	}
	d.Op = "failed"
	if found {
		d.Op = "ok"
	}
	e.check(d.Err)
	e.note(d)
	return found == (k.op == tab.Match)
}

func (e *eval) builtin(command string, bit uint16) error {
	args := SplitArgs(command)
	err := errors.New("the command is empty after substitution")
	if len(args) > 0 {
		err = e.env.Builtin(e.dev, args)
	}
	if bit > 0 {
		e.builtins |= 1 << (bit - 1)
		if err != nil {
			e.failed |= 1 << (bit - 1)
		}
	}
	return err
}

func (e *eval) importFile(p string) (bool, error) {
	text, err := e.env.ReadFile(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	e.importLines(text)
	return true, nil
}

// importLines takes properties from lines of the form KEY=value, the value
// in quotes of either kind or without. Other lines are passed over.
func (e *eval) importLines(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		line = trim(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = trim(key), trim(value)
		if !ok || key == "" || value == "" {
			continue
		}
		if c := value[0]; c == '"' || c == '\'' {
			if len(value) == 1 || value[len(value)-1] != c {
				continue
			}
			value = value[1 : len(value)-1]
		}
		e.dev.SetProperty(key, value)
	}
}

// importParent copies the properties of the parent whose names match.
func (e *eval) importParent(pattern string) bool {
	parent := e.dev.Parent()
	if parent == nil {
		return false
	}
	if !glob.Meta(pattern) {
		if !parent.HasProperty(pattern) {
			return false
		}
		e.dev.SetProperty(pattern, parent.Property(pattern))
		return true
	}
	found := false
	for key, value := range parent.Properties() {
		if glob.Match(pattern, key) {
			e.dev.SetProperty(key, value)
			found = true
		}
	}
	return found
}

// SplitArgs splits a command into words at white space. Quotes of either
// kind keep what is between them together and are removed; a quote without
// its end goes to the end of the command. A backslash outside single quotes
// stays, and keeps the byte after it from being a quote or a space.
func SplitArgs(command string) []string {
	if strings.IndexByte(command, '"') < 0 && strings.IndexByte(command, '\'') < 0 && strings.IndexByte(command, '\\') < 0 {
		return strings.FieldsFunc(command, func(r rune) bool { return r < 0x80 && escape.Space(byte(r)) })
	}
	var args []string
	var word []byte
	in := false
	quote := byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && quote != '\'':
			in = true
			word = append(word, c)
			if i+1 < len(command) {
				i++
				word = append(word, command[i])
			}
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case escape.Space(c):
			if in {
				args = append(args, string(word))
				word, in = word[:0], false
			}
		default:
			in = true
			word = append(word, c)
		}
	}
	if in {
		args = append(args, string(word))
	}
	return args
}
