// Package build decides what is in an image and makes it: from the features
// that the machine needs, the kernel's modules, and what a person asked for.
//
// Builder only. Plan reads the system and fills a tree; Build also writes the
// image. The same inputs give the same image, byte for byte.
package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"firstlight/internal/detect"
	"firstlight/internal/feature"
	handlersysctl "firstlight/internal/handler/sysctl"
	"firstlight/internal/image"
	"firstlight/internal/image/elf"
	"firstlight/internal/kmodtree"
	"firstlight/internal/sysroot"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/internal/version"
)

// The modes of an image.
const (
	ModeHost    = "host"
	ModeGeneric = "generic"
	ModeTarget  = "target"
)

// ErrConfig is wrapped by errors in what a person wrote: configuration,
// features, options.
var ErrConfig = errors.New("invalid configuration")

// Options are the inputs of a build.
type Options struct {
	Kernel     string // release
	ModulesDir string // the directory with modules.dep; "" for <sysroot>/lib/modules/<kernel>
	Sysroot    sysroot.Root
	Config     Config
	Features   *feature.Set
	Rules      []compile.Dir // our own rules
	Init       string        // the program for /init
	InitFull   string        // the same with every handler; see feature.Feature.Init
	Includes   []Include
	Crypttab   string                       // a file of this machine that becomes /etc/crypttab; before Config.Crypttab
	Detect     func() (*detect.Need, error) // finds what the host needs; only called for ModeHost

	Output string
	// SBOM is a file for an SPDX document about the image; "" for none.
	SBOM       string
	SourceDate time.Time // that the document says it was made at
	// Verify looks at the finished image, frame by frame as it would stand in
	// the file; after an error it is not written. May be nil.
	Verify func(mode string, frames [][]byte) error
	// Write puts the image into its place and returns its size; nil writes
	// Output, whole or not at all.
	Write    func(perm fs.FileMode, segments []*image.Segment) (int64, error)
	Cache    *image.Cache
	Progress func(what string) // what is being done now; may be nil
}

// Include is a file or directory that a person wants in the image.
type Include struct{ Source, Target string }

// Report says what was built and why.
type Report struct {
	Kernel    string
	Mode      string
	Features  []feature.Chosen
	Modules   []detect.Reason
	Firmware  []string
	Missing   []string // firmware that modules name and the system lacks
	Notes     []string
	Segments  []*image.Segment
	Size      int64
	Private   bool // holds secrets
	Planned   time.Duration
	Compacted time.Duration
	Written   time.Duration
}

type builder struct {
	o      Options
	tree   *image.Tree
	report *Report
	mods   *kmodtree.Tree
	elf    *elf.Resolver
	links  []image.Entry
	merged bool // the system's top-level links are in the tree
}

// Plan fills a tree with what the image shall hold.
func Plan(ctx context.Context, o Options) (*image.Tree, *Report, error) {
	b := newBuilder(o)
	if err := b.plan(ctx); err != nil {
		return nil, nil, err
	}
	return b.tree, b.report, nil
}

func newBuilder(o Options) *builder {
	return &builder{o: o, tree: image.NewTree(), report: &Report{Kernel: o.Kernel}, elf: elf.NewResolver(o.Sysroot)}
}

func (b *builder) plan(ctx context.Context) error {
	b.progress("reading the kernel's modules")
	if err := b.openModules(); err != nil {
		return err
	}
	if err := b.architecture(); err != nil {
		return err
	}
	need, err := b.need()
	if err != nil {
		return err
	}
	c := b.o.Config
	if len(c.Sysctl) > 0 && !slices.Contains(c.Features, handlersysctl.Feature) {
		c.Features = append(slices.Clip(c.Features), handlersysctl.Feature)
	}
	b.report.Features, err = b.o.Features.Choose(need.Facts, c.Features, c.OmitFeatures)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	b.report.Notes = append(b.report.Notes, need.Notes...)
	if err := b.features(); err != nil {
		return err
	}
	if err := b.own(need); err != nil {
		return err
	}
	if err := b.vconsole(ctx); err != nil {
		return err
	}
	if err := b.early(need); err != nil {
		return err
	}
	b.progress("choosing modules and firmware")
	if err := b.modules(ctx, need); err != nil {
		return err
	}
	if err := b.rules(); err != nil {
		return err
	}
	return b.identity()
}

func (b *builder) progress(what string) {
	if b.o.Progress != nil {
		b.o.Progress(what)
	}
}

func (b *builder) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
}

// need decides the mode and finds what the machine needs.
func (b *builder) need() (*detect.Need, error) {
	c := b.o.Config
	mode := c.Mode
	switch {
	case mode != "":
	case c.Root != nil:
		mode = ModeTarget
	default:
		mode = ModeHost
	}
	b.report.Mode = mode
	n := &detect.Need{}
	switch mode {
	case ModeHost:
		b.progress("looking at this machine")
		var err error
		if n, err = b.o.Detect(); err != nil {
			return nil, err
		}
	case ModeTarget:
		n.Facts = c.Root.facts()
	case ModeGeneric:
		n.Facts = []feature.Fact{{Name: "generic", Why: "of any common machine"}}
	}
	n.Facts = append(n.Facts, feature.Fact{Name: "always", Why: "in every image"})
	if c.SSH != nil {
		n.Facts = append(n.Facts, feature.Fact{Name: "need:" + sshFeature, Why: "[ssh] of the configuration"})
	}
	if c.SSHFS != nil {
		n.Facts = append(n.Facts, feature.Fact{Name: "need:" + sshfsFeature, Why: "[sshfs] of the configuration"})
	}
	if !c.Strip {
		n.Facts = append(n.Facts, feature.Fact{Name: "need:signatures", Why: "the kernel checks the signatures of modules"})
	}
	return n, nil
}

func (b *builder) openModules() error {
	dir := b.o.ModulesDir
	if dir == "" {
		for _, lib := range []string{"/lib/modules", "/usr/lib/modules"} {
			p := path.Join(lib, b.o.Kernel)
			src, err := b.o.Sysroot.Source(p)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			dir = src
			break
		}
		if dir == "" {
			return fmt.Errorf("kernel %s: %s does not exist; is that kernel installed? (%s)", b.o.Kernel,
				b.o.Sysroot.Host(path.Join("/lib/modules", b.o.Kernel)), b.installed())
		}
	}
	var err error
	b.mods, err = kmodtree.Open(dir, kmodtree.Options{Config: kmodtree.ConfigDirs(string(b.o.Sysroot))})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; run depmod for this kernel, or give the directory that holds modules.dep with --modules-dir", err)
	}
	if err != nil {
		return err
	}
	for _, w := range b.mods.Warnings() {
		b.note("%s", w)
	}
	return nil
}

func (b *builder) installed() string {
	var names []string
	for _, lib := range []string{"/lib/modules", "/usr/lib/modules"} {
		list, err := b.o.Sysroot.List(lib)
		if err == nil {
			names = append(names, list...)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return "none is"
	}
	return "there are: " + strings.Join(names, ", ")
}

// features adds what features hold, but for modules and firmware.
func (b *builder) features() error {
	for _, f := range b.report.Features {
		why := "feature " + f.Name
		for _, d := range f.Directories {
			if err := b.tree.Dir(d, why); err != nil {
				return err
			}
		}
		for _, h := range f.Helpers {
			if err := b.helper(h, why); err != nil {
				return fmt.Errorf("feature %s: %w", f.Name, err)
			}
		}
		for _, p := range f.Programs {
			if err := b.program(p, why); err != nil {
				return fmt.Errorf("feature %s: %w", f.Name, err)
			}
		}
		for _, file := range f.Files {
			if err := b.file(file, why); err != nil {
				return fmt.Errorf("feature %s: %w", f.Name, err)
			}
		}
		for _, l := range f.Symlinks {
			if err := b.tree.Symlink(l.Path, l.Target, why); err != nil {
				return fmt.Errorf("feature %s: %w", f.Name, err)
			}
		}
		if err := b.cmdline(f.Name, f.Cmdline, why); err != nil {
			return err
		}
	}
	return nil
}

// own adds what the person and the detection asked for.
func (b *builder) own(need *detect.Need) error {
	c := b.o.Config
	for _, p := range c.Programs {
		if err := b.program(feature.Program{Name: p}, "configuration"); err != nil {
			return err
		}
	}
	for _, f := range c.Files {
		if err := b.file(f, "configuration"); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(need.Files)) {
		if err := b.file(feature.File{Source: name, Optional: true}, need.Files[name]); err != nil {
			return err
		}
	}
	if err := b.crypttab(); err != nil {
		return err
	}
	for _, i := range b.o.Includes {
		if err := b.include(i); err != nil {
			return err
		}
	}
	if err := b.multipath(); err != nil {
		return err
	}
	if err := b.sysctl(); err != nil {
		return err
	}
	if err := b.ssh(); err != nil {
		return err
	}
	if err := b.sshfs(); err != nil {
		return err
	}
	if err := b.programLinks(); err != nil {
		return err
	}
	return b.cmdline("config", c.Cmdline, "configuration")
}

func (b *builder) cmdline(name string, lines []string, why string) error {
	if len(lines) == 0 {
		return nil
	}
	text := strings.Join(lines, "\n") + "\n"
	return b.tree.File("etc/firstlight/cmdline.d/"+name+".conf", 0o644, []byte(text), why)
}

// identity adds /init and what says which image this is.
func (b *builder) identity() error {
	program, full := b.initProgram()
	if err := b.tree.Add(nullEntry()); err != nil {
		return err
	}
	if err := b.tree.Add(initEntry(program)); err != nil {
		return fmt.Errorf("the program for /init: %w", err)
	}
	if err := checkInit(program); err != nil {
		return err
	}
	// Absolute: /sbin may be a link to elsewhere.
	if err := b.tree.Symlink("sbin/modprobe", "/init", "for modules that the kernel asks for"); err != nil {
		return err
	}
	var names []string
	for _, f := range b.report.Features {
		names = append(names, f.Name)
	}
	info := fmt.Sprintf("version=%s\nkernel=%s\nmode=%s\nfeatures=%s\n",
		version.Version, b.o.Kernel, b.report.Mode, strings.Join(names, " "))
	if full {
		info += "init=full\n"
	}
	if b.report.Mode == ModeHost {
		// MD arrays of this machine are named without its host name.
		if h, err := b.o.Sysroot.ReadFile("/etc/hostname"); err == nil {
			if f := strings.Fields(string(h)); len(f) > 0 {
				info += "hostname=" + f[0] + "\n"
			}
		}
	}
	info += b.lvmIdentity()
	if err := b.tree.File("etc/firstlight/image", 0o644, []byte(info), "what this image is"); err != nil {
		return err
	}
	release := fmt.Sprintf("NAME=\"Firstlight\"\nID=firstlight\nVERSION_ID=%q\nPRETTY_NAME=\"Firstlight %s (initramfs)\"\n",
		version.Version, version.Version)
	return b.tree.File("etc/initrd-release", 0o644, []byte(release), "marks an initramfs, for systemd")
}

// Build makes an image and writes it to o.Output.
func Build(ctx context.Context, o Options) (*Report, error) {
	if err := image.CheckOutput(o.Output); err != nil {
		return nil, err
	}
	if err := checkSBOM(o.SBOM, o.Output); err != nil {
		return nil, err
	}
	start := time.Now()
	b := newBuilder(o)
	if err := b.plan(ctx); err != nil {
		return nil, err
	}
	tree, report := b.tree, b.report
	report.Planned = time.Since(start)
	c, groups, err := b.compressors(ctx)
	if err != nil {
		return nil, err
	}
	b.columns(c)
	if o.Progress != nil {
		o.Progress("compressing")
	}
	start = time.Now()
	report.Segments, err = image.Pack(ctx, tree, image.PackOptions{Compressor: c, Groups: groups, Cache: o.Cache, Align: o.Config.Align, Manifest: true})
	if err != nil {
		return nil, err
	}
	if err := b.bootconfig(); err != nil {
		return nil, err
	}
	report.Compacted = time.Since(start)
	start = time.Now()
	report.Private = tree.HasSecrets()
	perm := fs.FileMode(0o644)
	if report.Private {
		perm = 0o600
	}
	if o.Verify != nil {
		frames := make([][]byte, len(report.Segments))
		for i, s := range report.Segments {
			frames[i] = s.Frame
		}
		if err := o.Verify(report.Mode, frames); err != nil {
			return nil, err
		}
	}
	write := o.Write
	if write == nil {
		write = func(perm fs.FileMode, segments []*image.Segment) (int64, error) {
			return image.WriteFile(o.Output, perm, segments)
		}
	}
	if report.Size, err = write(perm, report.Segments); err != nil {
		return nil, err
	}
	if o.SBOM != "" {
		if err := b.writeSBOM(report.Segments); err != nil {
			return nil, err
		}
	}
	report.Written = time.Since(start)
	if o.Cache != nil {
		if err := o.Cache.Trim(); err != nil {
			report.Notes = append(report.Notes, err.Error())
		}
	}
	return report, nil
}
