// Package pkgdb finds out which package of a distribution a file belongs to,
// from the files of the package manager: dpkg's, pacman's and apk's. Those of
// rpm are a database of another kind and are not read.
//
// Builder only.
package pkgdb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"firstlight/internal/sysroot"
)

// Package is an installed package.
type Package struct {
	Manager string // "deb", "alpm" or "apk": the type of a package URL
	Vendor  string // the distribution, as os-release(5) calls it: "debian"
	Name    string
	Version string
	Arch    string
	From    string // whoever made it, "" if not said
	License string // as the package says it, "" if not said
}

// Owners returns the packages of files, by their paths in the system; files
// that no package has are left out. /lib and /usr/lib are the same.
func Owners(root sysroot.Root, files []string) (map[string]Package, error) {
	want := map[string][]string{}
	for _, f := range files {
		want[key(f)] = append(want[key(f)], f)
	}
	vendor := ""
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := root.ReadFile(name)
		if err != nil {
			continue // its packages have no vendor then
		}
		for line := range strings.Lines(string(text)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok && vendor == "" {
				vendor = strings.Trim(id, `"'`)
			}
		}
	}
	out := map[string]Package{}
	for _, read := range []func(sysroot.Root, func(string) bool) (map[string]Package, error){dpkg, pacman, apk} {
		found, err := read(root, func(k string) bool { return want[k] != nil })
		if err != nil {
			return nil, err
		}
		for k, p := range found {
			p.Vendor = vendor
			for _, f := range want[k] {
				out[f] = p
			}
		}
	}
	return out, nil
}

// key is a path without the parts that a merged /usr makes the same.
func key(p string) string {
	p = strings.TrimPrefix(strings.TrimPrefix(p, "/"), "usr/")
	if rest, ok := strings.CutPrefix(p, "sbin/"); ok {
		return "bin/" + rest
	}
	return p
}

// lines calls f for each line of a file; one that is not there has none.
func lines(name string, f func(line string)) error {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("package database: %w", err)
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		f(s.Text())
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("package database: %s: %w", name, err)
	}
	return nil
}

// dpkg reads /var/lib/dpkg: info/NAME.list or info/NAME:ARCH.list has a package's
// paths, status what is known of it.
func dpkg(root sysroot.Root, want func(string) bool) (map[string]Package, error) {
	dir := root.Host("/var/lib/dpkg")
	lists, err := filepath.Glob(filepath.Join(dir, "info", "*.list"))
	if err != nil || len(lists) == 0 {
		return nil, err
	}
	owner := map[string]string{} // of a key: the name of the list
	for _, l := range lists {
		name := strings.TrimSuffix(filepath.Base(l), ".list")
		err := lines(l, func(line string) {
			if k := key(line); want(k) {
				owner[k] = name
			}
		})
		if err != nil {
			return nil, err
		}
	}
	known := map[string]Package{}
	p := Package{Manager: "deb"}
	end := func() {
		if p.Name != "" {
			known[p.Name], known[p.Name+":"+p.Arch] = p, p
		}
		p = Package{Manager: "deb"}
	}
	err = lines(filepath.Join(dir, "status"), func(line string) {
		if line == "" {
			end()
			return
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Maintainer":
			p.From = value
		}
	})
	end()
	out := map[string]Package{}
	for k, name := range owner {
		if p, ok := known[name]; ok {
			out[k] = p
		}
	}
	return out, err
}

// pacman reads /var/lib/pacman/local: a directory a package, in which desc has
// blocks "%KEY%" with lines, and files the paths.
func pacman(root sysroot.Root, want func(string) bool) (map[string]Package, error) {
	dirs, err := filepath.Glob(filepath.Join(root.Host("/var/lib/pacman/local"), "*"))
	out := map[string]Package{}
	for _, dir := range dirs {
		var keys []string
		if err := blocks(filepath.Join(dir, "files"), func(block, line string) {
			if block == "FILES" && want(key(line)) {
				keys = append(keys, key(line))
			}
		}); err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			continue
		}
		p := Package{Manager: "alpm"}
		if err := blocks(filepath.Join(dir, "desc"), func(block, line string) {
			switch block {
			case "NAME":
				p.Name = line
			case "VERSION":
				p.Version = line
			case "ARCH":
				p.Arch = line
			case "PACKAGER":
				p.From = line
			case "LICENSE":
				p.License = strings.TrimPrefix(p.License+" AND "+line, " AND ")
			}
		}); err != nil {
			return nil, err
		}
		for _, k := range keys {
			out[k] = p
		}
	}
	return out, err
}

func blocks(name string, f func(block, line string)) error {
	block := ""
	return lines(name, func(line string) {
		switch {
		case len(line) > 2 && line[0] == '%' && line[len(line)-1] == '%':
			block = line[1 : len(line)-1]
		case line != "":
			f(block, line)
		}
	})
}

// apk reads /lib/apk/db/installed: lines "X:value", packages apart by an empty
// line, F a directory and R a file in it.
func apk(root sysroot.Root, want func(string) bool) (map[string]Package, error) {
	out := map[string]Package{}
	p := Package{Manager: "apk"}
	dir := ""
	var keys []string
	end := func() {
		for _, k := range keys {
			out[k] = p
		}
		p, dir, keys = Package{Manager: "apk"}, "", nil
	}
	err := lines(root.Host("/lib/apk/db/installed"), func(line string) {
		if line == "" {
			end()
			return
		}
		value := ""
		if len(line) > 2 {
			value = line[2:]
		}
		switch line[0] {
		case 'P':
			p.Name = value
		case 'V':
			p.Version = value
		case 'A':
			p.Arch = value
		case 'L':
			p.License = value
		case 'm':
			p.From = value
		case 'F':
			dir = value
		case 'R':
			if k := key(path.Join(dir, value)); want(k) {
				keys = append(keys, k)
			}
		}
	})
	end()
	return out, err
}
