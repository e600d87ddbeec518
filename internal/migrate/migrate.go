// Package migrate reads the configuration of other generators of initramfs
// images and makes one for Firstlight of it. What it cannot carry over it says,
// with the place where it stands and the reason.
//
// It is pure: files in, text out. Nothing of a configuration is executed: where
// one is a program (a shell script, a makefile) its assignments are read and
// the rest is reported.
package migrate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"firstlight/internal/image/compress"
)

// File is a file of a configuration, in the order in which its tool reads them.
type File struct{ Name, Text string }

// Tool is one of the generators.
type Tool struct {
	Name  string // of its package
	Files []string
	read  func(m *migration, f File)
}

// Tools are the generators that are known. Files are patterns of paths, as
// path.Match has them, in the order in which they are read.
func Tools() []Tool {
	return []Tool{
		{"initramfs-tools", []string{"/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d/*", "/etc/initramfs-tools/update-initramfs.conf",
			"/etc/initramfs-tools/modules", "/etc/initramfs-tools/hooks/*", "/etc/initramfs-tools/scripts/*/*",
			"/etc/dropbear-initramfs/config", "/etc/dropbear-initramfs/authorized_keys", "/etc/dropbear/initramfs/dropbear.conf", "/etc/dropbear/initramfs/authorized_keys"}, initramfsTools},
		{"dracut", []string{"/etc/dracut.conf", "/etc/dracut.conf.d/*.conf", "/root/.ssh/dracut_authorized_keys"}, dracut},
		{"mkinitcpio", []string{"/etc/mkinitcpio.conf", "/etc/mkinitcpio.conf.d/*.conf", "/etc/initcpio/install/*", "/etc/initcpio/hooks/*", "/etc/dropbear/root_key", "/etc/tinyssh/root_key"}, mkinitcpio},
		{"booster", []string{"/etc/booster.yaml"}, booster},
		{"make-initrd", []string{"/etc/initrd.mk", "/etc/initrd.mk.d/*.mk"}, makeInitrd},
	}
}

// Setting is a value of the new configuration and where it comes from.
type Setting struct{ Key, Value, From string }

// Left is what could not be carried over.
type Left struct {
	Where string // file and line
	What  string // as it is written there
	Why   string // and what to do, if anything can be done
}

// Result is what came of a configuration.
type Result struct {
	Tool     string
	Settings []Setting
	Left     []Left
	// Done is what needs no setting: it is so anyway, or found out.
	Done []Left
}

// Read makes a result of the files of a tool. features are those that an image
// can have.
func (t Tool) Read(files []File, features []string) *Result {
	m := &migration{r: &Result{Tool: t.Name}, features: features}
	for _, f := range files {
		if !m.ssh(f) {
			t.read(m, f)
		}
	}
	m.finish()
	return m.r
}

// migration is a result that is being made.
type migration struct {
	r        *Result
	features []string
	method   string // of compression, and its level
	level    string
	from     string
}

func (m *migration) set(key, value, from string) {
	for _, s := range m.r.Settings {
		if s.Key == key && s.Value == value {
			return
		}
	}
	m.r.Settings = append(m.r.Settings, Setting{key, value, from})
}

// unset takes back what earlier lines have said of a key.
func (m *migration) unset(key string) {
	m.r.Settings = slices.DeleteFunc(m.r.Settings, func(s Setting) bool { return s.Key == key })
}

func (m *migration) left(where, what, why string) {
	m.r.Left = append(m.r.Left, Left{where, what, why})
}

func (m *migration) done(where, what, why string) {
	m.r.Done = append(m.r.Done, Left{where, what, why})
}

// feature adds a feature if images can have it.
func (m *migration) feature(name, where, what string) {
	if slices.Contains(m.features, name) {
		m.set("features", name, where)
	} else {
		m.left(where, what, "Firstlight has no feature "+name+" yet")
	}
}

// file takes a file or directory along; a program comes with its libraries.
func (m *migration) file(name, where string, optional bool) {
	switch {
	case !path.IsAbs(name), strings.Contains(name, "/bin/"), strings.Contains(name, "/sbin/"):
		m.set("programs", name, where)
	case optional:
		m.set("file?", name, where)
	default:
		m.set("file", name, where)
	}
}

// module adds a kernel module; its name may be a path or have an ending.
func (m *migration) module(key, name, where string) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "="), "kernel/")
	for _, ending := range []string{".zst", ".xz", ".gz", ".ko"} {
		name = strings.TrimSuffix(name, ending)
	}
	m.set(key, name, where)
}

func (m *migration) compression(method, where string) {
	switch method {
	case "pigz":
		method = "gzip"
	case "lzop":
		method = "lzo"
	case "cat":
		method = "none"
	}
	if _, err := compress.ParseSpec(method); err != nil {
		m.left(where, method, "Firstlight has zstd, gzip, xz, lz4, bzip2, lzma, lzo and none, with a level")
		return
	}
	m.method, m.from = method, where
}

// CommandLine adds what of a kernel command line has no effect with Firstlight.
// problems are those that the parser of /init finds, one a line.
func (r *Result) CommandLine(where string, problems []string) {
	for _, p := range problems {
		r.Left = append(r.Left, Left{where, p, "the parameter stays without effect, or has another spelling"})
	}
}

// finish puts together what several lines say.
func (m *migration) finish() {
	switch spec := m.method + ":" + m.level; {
	case m.method == "":
	case m.level == "":
		m.set("compression", m.method, m.from)
	default:
		if _, err := compress.ParseSpec(spec); err != nil {
			m.left(m.from, spec, "there is no such level")
			spec = m.method
		}
		m.set("compression", spec, m.from)
	}
}

// TOML is the configuration as a file for Firstlight, with comments.
func (r *Result) TOML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# From the configuration of %s, by firstlight migrate. See firstlight.toml(5).\n", r.Tool)
	for _, key := range []string{"mode", "features", "omit_features", "modules", "try_modules", "omit_modules", "firmware", "programs", "cmdline", "crypttab", "compression", "strip"} {
		r.write(&b, key)
	}
	for _, s := range r.Settings {
		if s.Key != "file" && s.Key != "file?" {
			continue
		}
		fmt.Fprintf(&b, "\n[[file]] # %s\nsource = %q\n", s.From, s.Value)
		if s.Key == "file?" {
			b.WriteString("optional = true\n")
		}
	}
	r.writeSSH(&b)
	r.writeSSHFS(&b)
	list := func(title string, what []Left) {
		if len(what) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n# %s\n", title)
		for _, l := range what {
			fmt.Fprintf(&b, "#\n#   %s: %s\n#     %s\n", l.Where, oneLine(l.What), l.Why)
		}
	}
	list("What could not be carried over:", r.Left)
	list("What needs no setting:", r.Done)
	return b.String()
}

// write writes a key with all its values.
func (r *Result) write(b *strings.Builder, key string) {
	var values []Setting
	for _, s := range r.Settings {
		if s.Key == key {
			values = append(values, s)
		}
	}
	if len(values) == 0 {
		return
	}
	switch key {
	case "strip":
		fmt.Fprintf(b, "\n%s = %s # %s\n", key, values[0].Value, values[0].From)
	case "mode", "crypttab", "compression", "config":
		last := values[len(values)-1]
		fmt.Fprintf(b, "\n%s = %q # %s\n", key, last.Value, last.From)
	default:
		fmt.Fprintf(b, "\n%s = [\n", key)
		for _, s := range values {
			fmt.Fprintf(b, "  %q, # %s\n", s.Value, s.From)
		}
		b.WriteString("]\n")
	}
}

// oneLine makes a text that stays in its comment.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 160 {
		s = string(r[:160]) + "…"
	}
	return s
}
