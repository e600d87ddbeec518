package truth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
	"firstlight/test/e2e"
	"firstlight/test/vm"
)

// Change breaks a good image or its command line, in one place.
type Change struct {
	Name string // of the case, after the scenario's
	Base string // a scenario of the matrix
	// Drop are files that are taken out of the image: a path, or a pattern of
	// base names ("virtio_blk.ko*"). Each must match something. The files of
	// Cut and Edit are named in the same way.
	Drop []string
	// Put replaces the content of files, or makes them.
	Put map[string]string
	// Cut keeps only so many bytes of files.
	Cut map[string]int
	// Edit replaces text in files; it must be there.
	Edit []Edit
	// Args replaces text in the kernel's command line; "" for Old appends.
	Args []Edit
	// For and Bus describe another machine that the image is made for.
	For *e2e.Target
	Bus vm.Bus
	// Without leaves files out that the scenario includes.
	Without []string
	// Kernel is the release that is started with the image, where it is not
	// the one that the image is for.
	Kernel string
}

// Edit replaces Old by New.
type Edit struct{ Path, Old, New string }

// String says what was changed.
func (c *Change) String() string {
	var parts []string
	say := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	for _, d := range slices.Concat(c.Drop, c.Without) {
		say("without `%s`", d)
	}
	for _, p := range slices.Sorted(maps.Keys(c.Put)) {
		say("`%s` is %q", p, shorten(c.Put[p]))
	}
	for _, p := range slices.Sorted(maps.Keys(c.Cut)) {
		say("`%s` cut to %d bytes", p, c.Cut[p])
	}
	for _, e := range c.Edit {
		say("`%s`: %q instead of %q", e.Path, shorten(e.New), shorten(e.Old))
	}
	for _, e := range c.Args {
		if e.Old == "" {
			say("command line: `%s` added", e.New)
		} else {
			say("command line: `%s` instead of `%s`", e.New, e.Old)
		}
	}
	if c.For != nil {
		say("made for %s on %q", c.For.FS, c.For.Layers)
	}
	if c.Bus != "" {
		say("made for disks on %s", c.Bus)
	}
	if c.Kernel != "" {
		say("started with the kernel of %s", c.Kernel)
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), "|", "/")
}

// shorten keeps the beginning of a text.
func shorten(text string) string { return text[:min(len(text), 40)] }

// scenario is what the image is built from.
func (c *Change) scenario(s e2e.Scenario) e2e.Scenario {
	if c == nil {
		return s
	}
	if c.For != nil {
		s.For = c.For
	}
	if c.Bus != "" {
		s.Bus = c.Bus
	}
	var includes []e2e.Include
	for _, i := range s.Include {
		keep := true
		for _, w := range c.Without {
			keep = keep && i.Path != w
		}
		if keep {
			includes = append(includes, i)
		}
	}
	s.Include = includes
	s.Secret = s.Secret && len(c.Without) == 0
	return s
}

// cmdline changes the kernel's command line.
func (c *Change) cmdline(line string) (string, error) {
	for _, e := range c.Args {
		if e.Old == "" {
			line = extend(line, e.New)
			continue
		}
		if !strings.Contains(line, e.Old) {
			return "", fmt.Errorf("change %s: the command line has no %q", c.Name, e.Old)
		}
		line = strings.ReplaceAll(line, e.Old, e.New)
	}
	return line, nil
}

// extend adds to a command line, before what is for the real init alone.
func extend(line, words string) string {
	before, after, found := strings.Cut(line, " -- ")
	if !found {
		return line + " " + words
	}
	return before + " " + words + " -- " + after
}

// file is an entry of an image.
type file struct {
	header cpio.Header
	data   []byte
}

// apply writes the changed image into a directory and returns its name.
func (c *Change) apply(ctx context.Context, name, dir string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	var files []file
	links := map[[2]int][]int{} // of one file, by archive and inode
	err = image.Walk(b, image.Limits{}, func(p image.Part, h *cpio.Header, body io.Reader) error {
		data, err := io.ReadAll(body)
		if h.Nlink > 1 && h.Type() == cpio.TypeRegular {
			k := [2]int{p.Index, int(h.Ino)}
			links[k] = append(links[k], len(files))
		}
		files = append(files, file{*h, data})
		return err
	})
	if err != nil {
		return "", err
	}
	for _, same := range links { // the last one has the content
		for _, i := range same {
			files[i].data = files[same[len(same)-1]].data
		}
	}
	for _, d := range c.Drop {
		if files, err = drop(files, d); err != nil {
			return "", err
		}
	}
	for p, text := range c.Put {
		at := find(files, p)
		if at < 0 {
			files = append(files, file{cpio.Header{Name: strings.TrimPrefix(p, "/"), Mode: cpio.TypeRegular | 0o644, Nlink: 1}, nil})
			at = len(files) - 1
		}
		files[at].data = []byte(text)
	}
	for p, n := range c.Cut {
		at := find(files, p)
		if at < 0 || len(files[at].data) <= n {
			return "", fmt.Errorf("%s cannot be cut to %d bytes", p, n)
		}
		files[at].data = files[at].data[:n]
	}
	for _, e := range c.Edit {
		at := find(files, e.Path)
		if at < 0 || !bytes.Contains(files[at].data, []byte(e.Old)) {
			return "", fmt.Errorf("%s has no %q", e.Path, e.Old)
		}
		files[at].data = bytes.ReplaceAll(files[at].data, []byte(e.Old), []byte(e.New))
	}
	changed := filepath.Join(dir, "image-changed")
	return changed, write(ctx, changed, files)
}

// find returns the first file that a pattern names, or -1.
func find(files []file, pattern string) int {
	return slices.IndexFunc(files, func(f file) bool { return matches(f, pattern) })
}

// matches says whether a file has a path, or a base name that a pattern fits.
func matches(f file, pattern string) bool {
	if strings.Contains(pattern, "/") {
		return f.header.Name == strings.TrimPrefix(pattern, "/")
	}
	ok, _ := path.Match(pattern, path.Base(f.header.Name)) // a bad pattern matches nothing
	return ok
}

// drop takes out what a pattern matches.
func drop(files []file, pattern string) ([]file, error) {
	out := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return matches(f, pattern) })
	if len(out) == len(files) {
		return nil, fmt.Errorf("the image has no %s", pattern)
	}
	return out, nil
}

// write packs the files again.
func write(ctx context.Context, name string, files []file) error {
	tree := image.NewTree()
	for _, f := range files {
		e := image.Entry{Path: f.header.Name, Mode: f.header.Mode, Data: f.data, Size: int64(len(f.data)), Major: f.header.RdevMajor, Minor: f.header.RdevMinor}
		if f.header.Type() == cpio.TypeSymlink {
			e.Target, e.Data, e.Size = string(f.data), nil, 0
		}
		if f.header.Type() == cpio.TypeDir {
			e.Data = nil
		}
		if err := tree.Replace(e); err != nil {
			return err
		}
	}
	z, err := compress.New(ctx, compress.Spec{Method: compress.Zstd, Level: 1})
	if err != nil {
		return err
	}
	segments, err := image.Pack(ctx, tree, image.PackOptions{Compressor: z})
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return errors.New("nothing is left of the image")
	}
	_, err = image.WriteFile(name, 0o600, segments)
	return err
}
