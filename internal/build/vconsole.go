package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"

	"firstlight/internal/image/compress"
	"firstlight/internal/vconsole"
	"firstlight/internal/vconsole/convert"
)

// maxFont bounds an unpacked font or keymap in bytes; the largest are 300 KB.
const maxFont = 1 << 20

// Where layouts and fonts are, in the order in which distributions agree on it.
var (
	keymapDirs = [...]string{"/usr/share/keymaps", "/usr/share/kbd/keymaps", "/usr/lib/kbd/keymaps", "/lib/kbd/keymaps"}
	fontDirs   = [...]string{"/usr/share/consolefonts", "/usr/share/kbd/consolefonts", "/usr/lib/kbd/consolefonts", "/lib/kbd/consolefonts"}
	packedExts = [...]string{"", ".gz", ".xz", ".zst", ".bz2"}
)

// vconsole puts the layout of the keyboard and the font into the image, as lists
// of what /init is to ask of the kernel. What is not there is said and left out:
// an image with another layout is better than none.
func (b *builder) vconsole(ctx context.Context) error {
	if !b.has("vconsole") {
		return nil
	}
	var table []byte
	var from []string
	add := func(source string, calls []vconsole.Call, err error) {
		if err != nil {
			b.note("%v: questions at boot will not have it", err)
			return
		}
		for _, c := range calls {
			table = vconsole.Append(table, c)
		}
		if source != "" {
			from = append(from, source)
		}
	}
	s, err := b.consoleSettings()
	if err != nil {
		return err
	}
	calls, source, err := b.keymap(ctx, s)
	add(source, calls, err)
	calls, source, err = b.font(s)
	add(source, calls, err)
	if len(table) == 0 {
		return nil
	}
	return b.tree.File(strings.TrimPrefix(vconsole.Path, "/"), 0o644, table, "vconsole: "+strings.Join(from, ", "))
}

// has says whether the image has a feature.
func (b *builder) has(name string) bool {
	for _, f := range b.report.Features {
		if f.Name == name {
			return true
		}
	}
	return false
}

// consoleSettings is what the configuration, or else the system, says of its
// text console.
type consoleSettings struct {
	by      string // the file that says so
	keymaps []string
	font    string
	xkb     map[string]string // Debian's /etc/default/keyboard
	cannot  []string
}

// consoleSettings reads firstlight.toml's [console], and what it leaves open from
// where distributions have it: vconsole.conf(5), Debian's keyboard(5) and
// console-setup(5), OpenRC's conf.d/keymaps, conf.d/loadkmap and
// conf.d/consolefont, and Void's rc.conf.
func (b *builder) consoleSettings() (consoleSettings, error) {
	c := b.o.Config.Console
	s := consoleSettings{by: "[console] of the configuration"}
	set := func(by, keymap, font string) {
		if len(s.keymaps) == 0 && keymap != "" {
			s.by, s.keymaps = by, strings.Fields(keymap)
		}
		if s.font == "" {
			s.font = font
		}
	}
	set(s.by, c.Keymap, c.Font)
	read := func(name string) (map[string]string, bool, error) {
		text, err := b.o.Sysroot.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		return shellAssignments(string(text)), true, nil
	}
	v, _, err := read("/etc/vconsole.conf")
	if err != nil {
		return s, err
	}
	set("/etc/vconsole.conf", strings.TrimSpace(v["KEYMAP"]+" "+v["KEYMAP_TOGGLE"]), v["FONT"])
	for _, k := range []string{"FONT_MAP", "FONT_UNIMAP"} {
		if v[k] != "" {
			s.cannot = append(s.cannot, k+" of /etc/vconsole.conf")
		}
	}
	d, there, err := read("/etc/default/keyboard")
	if err != nil {
		return s, err
	}
	if there && len(s.keymaps) == 0 {
		if d["KMAP"] != "" {
			set("/etc/default/keyboard", d["KMAP"], "")
		} else if d["XKBLAYOUT"] != "" {
			s.by, s.xkb = "/etc/default/keyboard", d
		}
	}
	for _, x := range []struct{ file, keymap, font string }{
		{"/etc/conf.d/loadkmap", "KEYMAP", ""}, {"/etc/conf.d/keymaps", "keymap", ""}, {"/etc/conf.d/consolefont", "", "consolefont"}, {"/etc/rc.conf", "KEYMAP", "FONT"},
	} {
		v, _, err := read(x.file)
		if err != nil {
			return s, err
		}
		if s.xkb == nil {
			set(x.file, v[x.keymap], v[x.font])
		} else {
			set(x.file, "", v[x.font])
		}
	}
	return s, nil
}

// shellAssignments reads NAME=VALUE lines as shells and systemd do, without
// expansions.
func shellAssignments(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if q := value; q != "" && (q[0] == '"' || q[0] == '\'') {
			if end := strings.IndexByte(q[1:], q[0]); end >= 0 {
				value = q[1 : 1+end]
			}
		} else if at := strings.IndexAny(value, " \t#"); at >= 0 {
			value = value[:at]
		}
		out[strings.TrimPrefix(name, "export ")] = value
	}
	return out
}

// keymap makes the calls for the layout of the keyboard.
func (b *builder) keymap(ctx context.Context, s consoleSettings) (calls []vconsole.Call, from string, err error) {
	var files []string
	var text []byte
	switch {
	case len(s.keymaps) == 1 && s.keymaps[0] == "none":
		return nil, "", nil
	case len(s.keymaps) > 0:
		for _, name := range s.keymaps {
			p, err := b.find(keymapDirs[:], name, ".map", ".kmap", ".bmap", "")
			if err != nil {
				return nil, "", fmt.Errorf("keymap %s (%s): %w", name, s.by, err)
			}
			files, from = append(files, p), p
		}
	case s.xkb != nil:
		if p := b.cachedKeymap(); p != "" {
			files, from = []string{p}, p
			break
		}
		if text, err = b.ckbcomp(ctx, s.xkb); err != nil {
			return nil, "", fmt.Errorf("layout %s (%s): %w", s.xkb["XKBLAYOUT"], s.by, err)
		}
		from = s.by
	default:
		return nil, "", nil
	}
	if len(files) == 1 {
		content, err := b.unpacked(files[0])
		if err != nil {
			return nil, "", err
		}
		if bytes.HasPrefix(content, []byte("bkeymap")) { // as OpenRC and Alpine keep it
			calls, err = convert.Keymap(content)
			if err != nil {
				err = fmt.Errorf("keymap %s: %w", files[0], err)
			}
			return calls, from, err
		}
	}
	for i, p := range files {
		if files[i], err = b.o.Sysroot.Source(p); err != nil {
			return nil, "", err
		}
	}
	binary, err := loadkeys(ctx, text, append([]string{"--quiet", "--unicode", "--bkeymap"}, files...))
	if err != nil {
		return nil, "", fmt.Errorf("keymap %s: %w", from, err)
	}
	source, err := loadkeys(ctx, text, append([]string{"--quiet", "--unicode", "--mktable"}, files...))
	if err != nil {
		return nil, "", fmt.Errorf("keymap %s: %w", from, err)
	}
	if calls, err = convert.Keymap(binary); err == nil {
		var accents []vconsole.Call
		accents, err = convert.Accents(source)
		calls = append(calls, accents...)
	}
	if err != nil {
		return nil, "", fmt.Errorf("keymap %s: %w", from, err)
	}
	return calls, from, nil
}

// cachedKeymap is the layout as Debian's console-setup has worked it out, ""
// where it has not or the settings were changed since.
func (b *builder) cachedKeymap() string {
	list, err := b.o.Sysroot.Glob("/etc/console-setup/cached_*.kmap.gz")
	if err != nil {
		return ""
	}
	settings, err := b.o.Sysroot.Stat("/etc/default/keyboard")
	if err != nil {
		return ""
	}
	slices.SortFunc(list, func(x, y string) int { // Unicode's first
		return strings.Compare(fmt.Sprint(!strings.Contains(x, "UTF-8"), x), fmt.Sprint(!strings.Contains(y, "UTF-8"), y))
	})
	for _, p := range list {
		if f, err := b.o.Sysroot.Stat(p); err == nil && !f.ModTime().Before(settings.ModTime()) {
			return p
		}
	}
	return ""
}

// ckbcomp makes a keymap of X's names for a layout, as Debian does.
func (b *builder) ckbcomp(ctx context.Context, xkb map[string]string) ([]byte, error) {
	args := []string{"-layout", xkb["XKBLAYOUT"]}
	if dir := b.o.Sysroot.Host("/usr/share/X11/xkb"); b.o.Sysroot.Exists("/usr/share/X11/xkb") {
		args = append(args, "-I"+dir)
	}
	for _, k := range []struct{ name, option string }{{"XKBMODEL", "-model"}, {"XKBVARIANT", "-variant"}, {"XKBOPTIONS", "-option"}} {
		if v := xkb[k.name]; v != "" {
			args = append(args, k.option, v)
		}
	}
	return output(exec.CommandContext(ctx, "ckbcomp", args...), "install console-setup, or name a layout of kbd's as console.keymap in firstlight.toml")
}

func loadkeys(ctx context.Context, input []byte, args []string) ([]byte, error) {
	if len(input) > 0 {
		args = append(args, "-")
	}
	cmd := exec.CommandContext(ctx, "loadkeys", args...)
	cmd.Stdin = bytes.NewReader(input)
	return output(cmd, "install kbd")
}

// output runs a program of this machine and returns what it says.
func output(cmd *exec.Cmd, missing string) ([]byte, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("the program %s is not here; %s", cmd.Args[0], missing)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, strings.TrimSpace(said.String()))
	}
	return out, nil
}

// font makes the calls for the font.
func (b *builder) font(s consoleSettings) (calls []vconsole.Call, from string, err error) {
	for _, what := range s.cannot {
		b.note("%s has no effect on questions at boot: only a font with its own table of characters is taken", what)
	}
	if s.font == "none" {
		return nil, "", nil
	}
	p := ""
	if s.font != "" {
		if p, err = b.find(fontDirs[:], s.font, ".psfu", ".psf", ""); err != nil {
			return nil, "", fmt.Errorf("console font %s: %w", s.font, err)
		}
	} else if list, err := b.o.Sysroot.Glob("/etc/console-setup/cached_*.psf.gz"); err == nil && len(list) > 0 {
		p = list[0]
	}
	if p == "" {
		return nil, "", nil
	}
	content, err := b.unpacked(p)
	if err != nil {
		return nil, "", err
	}
	if calls, err = convert.Font(content); err != nil {
		return nil, "", fmt.Errorf("console font %s: %w", p, err)
	}
	return calls, p, nil
}

// find looks for a layout or font by its name, with and without what its name
// may end in, or by its path.
func (b *builder) find(dirs []string, name string, exts ...string) (string, error) {
	try := func(stem string) string {
		for _, e := range exts {
			for _, packed := range packedExts {
				if st, err := b.o.Sysroot.Stat(stem + e + packed); err == nil && st.Mode().IsRegular() {
					return stem + e + packed
				}
			}
		}
		return ""
	}
	if path.IsAbs(name) {
		if p := try(name); p != "" {
			return p, nil
		}
		return "", fmt.Errorf("%s: %w", b.o.Sysroot.Host(name), fs.ErrNotExist)
	}
	for _, d := range dirs {
		if p := b.below(d, name, try, 0); p != "" {
			return p, nil
		}
	}
	return "", fmt.Errorf("no such file in %s", strings.Join(dirs, ", "))
}

// others are directories of keymaps that belong to other kinds of machines, or
// to none.
const others = " amiga atari mac sun ppc include mklinux "

// below looks for a name in a directory and those in it.
func (b *builder) below(dir, name string, try func(string) string, depth int) string {
	if p := try(path.Join(dir, name)); p != "" {
		return p
	}
	list, err := b.o.Sysroot.List(dir)
	if err != nil || depth == 4 {
		return ""
	}
	slices.Sort(list)
	for _, sub := range list {
		if st, err := b.o.Sysroot.Stat(path.Join(dir, sub)); err != nil || !st.IsDir() || strings.Contains(others, " "+sub+" ") {
			continue
		}
		if p := b.below(path.Join(dir, sub), name, try, depth+1); p != "" {
			return p
		}
	}
	return ""
}

// unpacked reads a file that may be compressed.
func (b *builder) unpacked(p string) ([]byte, error) {
	content, err := b.o.Sysroot.ReadFile(p)
	if err != nil {
		return nil, err
	}
	if _, ok := compress.Detect(content); !ok {
		return content, nil
	}
	r, err := compress.Open(content, maxFont)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	defer r.Close()
	if content, err = io.ReadAll(r); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return content, nil
}
