package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"firstlight/internal/feature"
	"firstlight/internal/image/compress"
)

// Config is the builder's configuration file. Every key is optional, unknown
// ones are errors; docs/build.md describes them.
type Config struct {
	// Mode is "host", "generic" or "target": what this machine needs, what
	// any machine needs, or what [root] describes. Without it, [root] makes
	// it "target", else it is "host".
	Mode string `toml:"mode"`
	// Profile is a kind of machine, whose configuration comes before this one.
	Profile string `toml:"profile"`

	Features     []string `toml:"features"`      // besides those found needed
	OmitFeatures []string `toml:"omit_features"` // though found needed
	Modules      []string `toml:"modules"`       // as in a feature
	TryModules   []string `toml:"try_modules"`
	OmitModules  []string `toml:"omit_modules"` // never in the image, unless another needs them
	Firmware     []string `toml:"firmware"`
	Rules        []string `toml:"rules"` // names of the system's rules files
	Programs     []string `toml:"programs"`
	Cmdline      []string `toml:"cmdline"`
	Crypttab     string   `toml:"crypttab"`    // goes to /etc/crypttab
	ACPITables   []string `toml:"acpi_tables"` // compiled tables of ACPI, or patterns
	Sysctl       []string `toml:"sysctl"`      // settings of the kernel's parameters, or files of them
	Bootconfig   string   `toml:"bootconfig"`  // file with further parameters, behind the image

	Files []feature.File `toml:"file"`

	Compression string `toml:"compression"` // as --compression
	Align       int    `toml:"align"`       // of file contents in bytes, with compression "none"
	Strip       bool   `toml:"strip"`       // modules of debug sections; destroys signatures

	Console Console `toml:"console"`
	Root    *Target `toml:"root"`
	Install Install `toml:"install"`
	UKI     UKI     `toml:"uki"`
	SSH     *SSH    `toml:"ssh"`   // nil: no server, unless the feature is asked for
	SSHFS   *SSHFS  `toml:"sshfs"` // nil: no root by SSH, likewise
}

// Console is how the text console is set up for questions.
type Console struct {
	// Keymap are names of kbd's keymaps or paths, separated by blanks, each adding
	// to the one before; Font is one of its fonts. "" is what the system has, "none"
	// the kernel's own.
	Keymap string `toml:"keymap"`
	Font   string `toml:"font"`
}

// Install is where images belong that the system boots with.
type Install struct {
	// Image and Fallback are paths in which %v stands for the kernel's release
	// and %% for a per cent sign. Image "" is the place that the system's boot
	// loader looks at; a Fallback is a second image, for any common machine.
	Image    string `toml:"image"`
	Fallback string `toml:"fallback"`
	Backup   *bool  `toml:"backup"` // keep the image before, with ".old"; nil is yes
	// Layout "uki" makes unified kernel images of them.
	Layout string `toml:"layout"`
}

// Target describes the machine that an image is for, in place of looking at
// this one.
type Target struct {
	Bus    List   `toml:"bus"`    // "virtio_blk", "virtio_scsi", "nvme", "ahci", "usb-storage" …
	FSType List   `toml:"fstype"` // of the root, and of /usr
	Layers List   `toml:"layers"` // "luks", "lvm", "md-raid1" …, in any order
	Needs  List   `toml:"needs"`  // "keyboard", "resume", "usr"
	Why    string `toml:"-"`
}

// List is a list of words; in the file a single one may stand without
// brackets.
type List []string

// UnmarshalText reads a single word.
func (l *List) UnmarshalText(b []byte) error { *l = List{string(b)}; return nil }

// ParseConfig reads a configuration file. Errors say "name:line:column: what".
func ParseConfig(name string, text []byte) (*Config, error) {
	return ParseConfigs([]ConfigFile{{name, text}})
}

func (c *Config) check() error {
	if !slices.Contains([]string{"", ModeHost, ModeGeneric, ModeTarget}, c.Mode) {
		return fmt.Errorf("mode %q: it is host, generic or target", c.Mode)
	}
	if c.Mode == ModeTarget && c.Root == nil {
		return fmt.Errorf("mode target needs a table [root] that describes it")
	}
	if c.Root != nil && c.Mode != "" && c.Mode != ModeTarget {
		return fmt.Errorf("[root] describes a target, which mode %q does not look at", c.Mode)
	}
	if c.Compression != "" {
		if _, err := compress.ParseSpec(c.Compression); err != nil {
			return err
		}
	}
	if c.Align != 0 && (c.Align < 4 || c.Align > 2048 || c.Align&(c.Align-1) != 0) {
		return fmt.Errorf("align %d is not a power of two from 4 to 2048", c.Align)
	}
	if c.Crypttab != "" && !path.IsAbs(c.Crypttab) {
		return fmt.Errorf("crypttab %q: the path must be absolute", c.Crypttab)
	}
	for _, p := range append([]string{c.Bootconfig}, c.ACPITables...) {
		if p != "" && !path.IsAbs(p) {
			return fmt.Errorf("%q: the path must be absolute", p)
		}
	}
	for _, f := range c.Files {
		if !path.IsAbs(f.Source) || (f.Target != "" && !path.IsAbs(f.Target)) {
			return fmt.Errorf("file %q: source and target must be absolute", f.Source)
		}
		if _, _, err := feature.ParseOwner(f.Owner); err != nil {
			return fmt.Errorf("file %q: %w", f.Source, err)
		}
		if _, err := feature.ParseMode(f.Mode); err != nil {
			return fmt.Errorf("file %q: %w", f.Source, err)
		}
	}
	for _, p := range []struct{ key, path string }{{"image", c.Install.Image}, {"fallback", c.Install.Fallback}} {
		if p.path == "" {
			continue
		}
		if _, err := ImagePath(p.path, "V"); err != nil {
			return fmt.Errorf("install.%s: %w", p.key, err)
		}
	}
	if c.Install.Layout != "" && c.Install.Layout != LayoutUKI {
		return fmt.Errorf("install.layout %q: it is uki, or left out", c.Install.Layout)
	}
	if err := c.UKI.check(); err != nil {
		return err
	}
	if c.Install.Fallback != "" && c.Install.Fallback == c.Install.Image {
		return fmt.Errorf("install.fallback: %s is the place of the image itself", c.Install.Fallback)
	}
	if err := c.SSH.check(); err != nil {
		return err
	}
	if err := c.SSHFS.check(); err != nil {
		return err
	}
	for _, line := range c.Cmdline {
		if strings.ContainsAny(line, "\n\x00") {
			return fmt.Errorf("cmdline: %q holds more than one line", line)
		}
	}
	return nil
}

// facts turns the description into what features ask for.
func (t *Target) facts() []feature.Fact {
	var out []feature.Fact
	for _, k := range [...]struct {
		kind string
		list List
	}{{"bus", t.Bus}, {"fstype", t.FSType}, {"layer", t.Layers}, {"need", t.Needs}} {
		for _, v := range k.list {
			out = append(out, feature.Fact{Name: k.kind + ":" + v, Why: "[root] of the configuration: " + k.kind + " " + v})
		}
	}
	return out
}
