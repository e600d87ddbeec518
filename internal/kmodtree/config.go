package kmodtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/kmod"
)

// Warning is a line of modprobe.d that has no effect.
type Warning struct {
	File string
	Line int // where it begins, counted from 1
	Text string
}

// String returns "file:line: text".
func (w Warning) String() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text) }

// config is what modprobe.d, modules.softdep and modules.weakdep say.
type config struct {
	aliases   []configAlias
	options   []kmod.SourceOption // names normalised
	blacklist map[string]bool
	softdeps  []softdep
	weakdeps  []softdep // the names are in pre
	warnings  []Warning
}

type configAlias struct {
	pattern string // normalised
	match   kmod.Pattern
	module  string
}

type softdep struct {
	module    kmod.Pattern
	pre, post []string
}

// read reads the configuration in the order in which kmod does: the files of
// all directories sorted by name, modules.softdep among them.
func (c *config) read(dir string, paths []string) error {
	c.blacklist = map[string]bool{}
	files := map[string]string{} // by base name: the first one counts
	for _, own := range [...]string{"modules.softdep", "modules.weakdep"} {
		files[own] = filepath.Join(dir, own)
	}
	for _, p := range paths {
		st, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !st.IsDir() {
			if base := filepath.Base(p); files[base] == "" {
				files[base] = p
			}
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			if name[0] == '.' || !strings.HasSuffix(name, ".conf") && !strings.HasSuffix(name, ".alias") || files[name] != "" {
				continue
			}
			files[name] = filepath.Join(p, name)
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := os.ReadFile(files[name])
		if errors.Is(err, fs.ErrNotExist) {
			// No modules.softdep, or a link that leads nowhere: kmod passes
			// over both.
			continue
		}
		if err != nil {
			return err
		}
		c.parse(files[name], string(b))
	}
	return nil
}

// parse reads one file of modprobe.d(5). A '\\' at the end of a line joins it
// with the next; before any other byte it stands for that byte, as kmod has it.
func (c *config) parse(file, text string) {
	var line []byte
	first := 1 // number of the line where this one began
	next := 1
	for i := 0; i <= len(text); i++ {
		switch {
		case i < len(text) && text[i] == '\\':
			if i++; i < len(text) && text[i] == '\n' {
				next++
			} else if i < len(text) {
				line = append(line, text[i])
			}
			continue
		case i < len(text) && text[i] != '\n':
			line = append(line, text[i])
			continue
		}
		next++
		if len(line) > 0 && line[0] != '#' {
			if problem := c.line(string(line)); problem != "" {
				c.warnings = append(c.warnings, Warning{file, first, problem})
			}
		}
		line, first = line[:0], next
	}
}

// line reads one line and says why it has no effect, or "".
func (c *config) line(line string) string {
	cmd, rest := word(line)
	if cmd == "" {
		return ""
	}
	name, rest := word(rest)
	short := cmd + " " + name
	switch cmd {
	case "alias", "blacklist", "options", "softdep", "weakdep":
	case "install", "remove":
		return short + ": commands are not run, the module is loaded as if the line were not there"
	default:
		return "unknown command " + cmd
	}
	norm, err := kmod.NormalizeAlias(name)
	if err != nil {
		return short + ": " + err.Error()
	}
	arg, _ := word(rest)
	if name == "" || arg == "" && cmd != "blacklist" {
		return short + ": something is missing"
	}
	switch cmd {
	case "alias":
		if arg, err = kmod.NormalizeAlias(arg); err != nil {
			return short + ": " + err.Error()
		}
		c.aliases = append(c.aliases, configAlias{norm, kmod.CompilePattern(norm), arg})
	case "blacklist":
		c.blacklist[norm] = true
	case "options":
		c.options = append(c.options, kmod.SourceOption{Name: norm, Options: strings.ReplaceAll(rest, "\t", " ")})
	case "softdep":
		d := softdep{module: kmod.CompilePattern(norm)}
		var list *[]string
		for _, w := range strings.Fields(rest) {
			switch {
			case w == "pre:":
				list = &d.pre
			case w == "post:":
				list = &d.post
			case list != nil: // words before either mark mean nothing to kmod
				*list = append(*list, w)
			}
		}
		c.softdeps = append(c.softdeps, d)
	case "weakdep":
		c.weakdeps = append(c.weakdeps, softdep{module: kmod.CompilePattern(norm), pre: strings.Fields(rest)})
	}
	return ""
}

// word splits off the first word; rest begins with the next one.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// softdepsOf returns the names in the first softdep line for a module: kmod
// looks at no other.
func (c *config) softdepsOf(name string) (pre, post []string) {
	for _, d := range c.softdeps {
		if d.module.Match(name) {
			return d.pre, d.post
		}
	}
	return nil, nil
}

func (c *config) weakdepsOf(name string) []string {
	for _, d := range c.weakdeps {
		if d.module.Match(name) {
			return d.pre
		}
	}
	return nil
}
