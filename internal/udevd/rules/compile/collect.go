package compile

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Dir is a directory of rules files. Name stands before the files' names in
// messages and in what explains a decision; "" gives the bare names.
type Dir struct {
	Name string
	FS   fs.FS
}

// Collect reads all rules files of dirs, which stand in the order of
// precedence: of files with one name only that of the earliest directory
// counts, and an empty one there (or a link to /dev/null) turns the name off.
// The files come sorted by name, whatever their directory, as udevd applies
// them. keep, if not nil, chooses among the names.
func Collect(dirs []Dir, keep func(name string) bool) ([]*File, error) {
	type source struct {
		name string
		dir  Dir
	}
	var sources []source
	seen := map[string]bool{}
	for _, d := range dirs {
		entries, err := fs.ReadDir(d.FS, ".")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("rules: read directory %s: %w", d.Name, err)
		}
		for _, e := range entries {
			name := e.Name()
			if !strings.HasSuffix(name, ".rules") || strings.HasPrefix(name, ".") || e.IsDir() || seen[name] {
				continue
			}
			seen[name] = true
			if keep == nil || keep(name) {
				sources = append(sources, source{name, d})
			}
		}
	}
	slices.SortFunc(sources, func(a, b source) int { return strings.Compare(a.name, b.name) })
	var files []*File
	for _, s := range sources {
		text, err := fs.ReadFile(s.dir.FS, s.name)
		if err != nil {
			return nil, fmt.Errorf("rules: read %s: %w", path.Join(s.dir.Name, s.name), err)
		}
		if len(text) > 0 {
			files = append(files, Parse(path.Join(s.dir.Name, s.name), text))
		}
	}
	return files, nil
}
