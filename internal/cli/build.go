package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firstlight/features"
	"firstlight/internal/build"
	"firstlight/internal/detect"
	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/sysroot"
)

const userFeatures = "/etc/firstlight/features"

type buildFlags struct {
	kernel, modulesDir, sysroot, config string
	host, generic                       bool
	features, omit, includes, cmdline   []string
	crypttab, compression, init, output string
	sbom                                string
	cacheDir                            string
	noCache, verbose, quiet             bool
	noCheck, force                      bool
	profile                             string
	line                                string // the command line, where the image and it become one
}

func buildCommand() *cobra.Command {
	var f buildFlags
	c := &cobra.Command{
		Use:   "build --kernel VERSION --output FILE",
		Short: "Build an image",
		Long: `Build an initramfs image for one kernel and write it to FILE. The file is
replaced only once the new image is complete on the disk.

With --host, the default, the image holds what this machine's root, /usr and
hibernation need. With --generic it boots any common machine. A configuration
file can describe another machine in a table [root]:

  [root]
  bus = "virtio_blk"
  fstype = "ext4"
  layers = ["luks", "lvm", "md-raid1"]
  needs = ["keyboard"]

An image for this machine is checked before it takes the place of another: one
that would not boot is not installed, and the message says why. --force installs
it all the same; see firstlight check.

An image that holds secrets (files that only their owner may read) has mode
0600, others 0644.

` + exitText,
		Example: `  firstlight build --kernel $(uname -r) --output /boot/firstlight.img
  firstlight build --kernel 6.1.0-13-amd64 --generic --output generic.img
  firstlight build --kernel 6.1.0-13-amd64 --profile vm --output guest.img
  firstlight build --kernel 6.1.0-13-amd64 --config target.toml --feature shell --output t.img
  firstlight build --kernel $(uname -r) --include /etc/root.key --output /boot/firstlight.img`,
		Args: args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error { return runBuild(c, &f) },
	}
	fl := c.Flags()
	fl.StringVarP(&f.kernel, "kernel", "k", "", "release of the kernel, as uname -r prints it")
	fl.StringVar(&f.modulesDir, "modules-dir", "", "directory that holds modules.dep (default SYSROOT/lib/modules/VERSION)")
	fl.StringVar(&f.sysroot, "sysroot", "", "root of the system that programs, firmware and configuration are taken from (default /)")
	fl.StringVarP(&f.config, "config", "c", "", "configuration file (default "+build.ConfigPath+" and "+build.ConfigDir+"/*.toml, as far as they exist)")
	fl.BoolVar(&f.host, "host", false, "for this machine")
	fl.BoolVar(&f.generic, "generic", false, "for any common machine")
	fl.StringVar(&f.profile, "profile", "", "for a kind of machine: vm, cloud, rescue, or one of "+userProfiles)
	fl.StringArrayVarP(&f.features, "feature", "f", nil, "add a feature; may be repeated")
	fl.StringArrayVar(&f.omit, "omit-feature", nil, "leave out a feature that was found needed; may be repeated")
	fl.StringArrayVarP(&f.includes, "include", "i", nil, "add a file or directory, SRC[:DST]; may be repeated")
	fl.StringArrayVar(&f.cmdline, "cmdline", nil, "parameters to bake in; those of the real command line win; may be repeated")
	fl.StringVar(&f.crypttab, "crypttab", "", "file to use as the image's /etc/crypttab")
	fl.StringVar(&f.compression, "compression", "", "zstd, gzip, xz, lz4, bzip2, lzma, lzo or none, with a level as in zstd:19 (default zstd:9, /init zstd:19, or what the kernel can unpack)")
	fl.StringVar(&f.init, "init", "", "the /init program (default beside firstlight, or /usr/lib/firstlight/init)")
	fl.StringVarP(&f.output, "output", "o", "", "the image to write")
	fl.StringVar(&f.sbom, "sbom", "", "also write an SPDX 2.3 document about the image, in JSON")
	fl.StringVar(&f.cacheDir, "cache-dir", "", "where compressed parts are kept for the next time (default "+cacheHelp()+")")
	fl.BoolVar(&f.noCache, "no-cache", false, "neither use nor fill the cache")
	fl.BoolVar(&f.noCheck, "no-check", false, "do not check whether this machine would boot with the image")
	fl.BoolVar(&f.force, "force", false, "install the image even if this machine would not boot with it")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say what is in the image and why")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	return c
}

// cacheHelp is what the help says of the cache: the same on every machine.
func cacheHelp() string { return "/var/cache/firstlight for root, else ~/.cache/firstlight" }

func runBuild(c *cobra.Command, f *buildFlags) error {
	o, err := f.options(c.ErrOrStderr())
	if err != nil {
		return err
	}
	p := newProgress(c.ErrOrStderr(), !f.quiet)
	o.Progress = p.step
	o.Verify = f.verify(p, c.ErrOrStderr())
	start := time.Now()
	r, err := build.Build(c.Context(), *o)
	p.done()
	if err != nil {
		return err
	}
	if !f.quiet {
		printReport(c.ErrOrStderr(), o, r, time.Since(start), f.verbose)
	}
	return nil
}

// verify returns what looks at an image before it takes the place of another;
// nil where nothing is to.
func (f *buildFlags) verify(p *progress, stderr io.Writer) func(mode string, frames [][]byte) error {
	if f.noCheck {
		return nil
	}
	return func(mode string, frames [][]byte) error {
		if mode != build.ModeHost {
			return nil
		}
		p.step("checking whether this machine would boot with it")
		err := checkBuilt(f.kernel, f.output, f.line, frames, stderr, f.quiet)
		if err != nil && f.force {
			fmt.Fprintf(stderr, "warning: installed because of --force: %v\n", err)
			return nil
		}
		return err
	}
}

func (f *buildFlags) options(stderr io.Writer) (*build.Options, error) {
	switch {
	case f.kernel == "":
		return nil, usagef("build needs --kernel VERSION; this machine runs %s", running())
	case strings.ContainsAny(f.kernel, "/ \n") || f.kernel == "." || f.kernel == "..":
		return nil, usagef("--kernel %q is not a kernel release", f.kernel)
	case f.output == "":
		return nil, usagef("build needs --output FILE")
	case f.host && f.generic:
		return nil, usagef("--host and --generic exclude each other")
	case f.profile != "" && (f.host || f.generic):
		return nil, usagef("--profile says what the image is for, as --host and --generic do; give one of them")
	case f.host && f.sysroot != "":
		return nil, usagef("--host looks at this machine, --sysroot says to look elsewhere; use --generic or a configuration with [root]")
	}
	o := &build.Options{Kernel: f.kernel, ModulesDir: f.modulesDir, Sysroot: sysroot.Root(f.sysroot),
		Output: f.output, SBOM: f.sbom, Rules: ourRules()}
	if err := f.readConfig(o); err != nil {
		return nil, err
	}
	for _, i := range f.includes {
		src, dst, _ := strings.Cut(i, ":")
		if src == "" || (dst != "" && !filepath.IsAbs(dst)) {
			return nil, usagef("--include %q: it is SRC or SRC:DST, with DST absolute", i)
		}
		o.Includes = append(o.Includes, build.Include{Source: src, Target: dst})
	}
	var err error
	if o.Features, err = loadFeatures(o.Sysroot); err != nil {
		return nil, err
	}
	if o.Init, o.InitFull, err = findInit(f.init); err != nil {
		return nil, err
	}
	if o.SourceDate, err = build.SourceDate(os.Getenv("SOURCE_DATE_EPOCH"), time.Now()); err != nil {
		return nil, err
	}
	o.Detect = func() (*detect.Need, error) { return detect.Needs(detect.Host()) }
	if !f.noCache {
		if o.Cache = openCache(f.cacheDir, stderr, f.quiet); o.Cache != nil {
			o.Cache.Ship(filepath.Join(filepath.Dir(o.Init), image.PackedDir))
		}
	}
	return o, nil
}

// readConfig reads the configuration file and puts the options over it.
func (f *buildFlags) readConfig(o *build.Options) error {
	files, err := configFiles(f.config, o.Sysroot)
	if err != nil {
		return err
	}
	read, err := build.ParseWithProfile(f.profile, files, profiles(o.Sysroot))
	if err != nil {
		return err
	}
	o.Config = *read
	c := &o.Config
	switch {
	case f.host:
		c.Mode, c.Root = build.ModeHost, nil
	case f.generic:
		c.Mode, c.Root = build.ModeGeneric, nil
	case f.sysroot != "" && c.Root == nil && c.Mode != build.ModeGeneric:
		return usagef("with --sysroot it must be said what the image is for: --generic, or a configuration with [root]")
	}
	c.Features = append(c.Features, f.features...)
	c.OmitFeatures = append(c.OmitFeatures, f.omit...)
	c.Cmdline = append(c.Cmdline, f.cmdline...)
	if f.compression != "" {
		if _, err := compress.ParseSpec(f.compression); err != nil {
			return usageError{fmt.Errorf("--compression: %w", err)}
		}
		c.Compression = f.compression
	}
	o.Crypttab = f.crypttab
	return nil
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

func loadFeatures(root sysroot.Root) (*feature.Set, error) {
	return feature.Load(feature.Dir{Name: "features", FS: features.FS},
		feature.Dir{Name: root.Host(userFeatures), FS: os.DirFS(root.Host(userFeatures))})
}

// findInit returns the programs for /init, the small one and the full one: the
// one named for both, or those that were built or installed with this
// firstlight.
func findInit(name string) (small, full string, err error) {
	if name != "" {
		return name, name, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("where firstlight is: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	places := []string{filepath.Join(filepath.Dir(self), "init"), "/usr/lib/firstlight/init"}
	if filepath.Base(filepath.Dir(self)) != "bin" || strings.HasPrefix(self, "/usr/") || strings.HasPrefix(self, "/bin/") {
		places = places[1:] // /usr/bin/init is another program
	}
	for _, p := range places {
		if exists(p) {
			return p, p + "-full", nil
		}
	}
	return "", "", fmt.Errorf("the program for /init is in none of %s; say where it is with --init", strings.Join(places, ", "))
}

// packInitCommand is for whoever installs or packages the programs.
func packInitCommand() *cobra.Command {
	return &cobra.Command{Use: "pack-init PROGRAM", Hidden: true, Args: args(1, 1, "the program for /init"),
		Short:   "Compress /init once, beside it, for every image that is built later",
		Example: "  firstlight pack-init /usr/lib/firstlight/init",
		RunE: func(cmd *cobra.Command, a []string) error {
			cache, err := image.OpenCache(filepath.Join(filepath.Dir(a[0]), image.PackedDir), time.Now())
			if err != nil {
				return err
			}
			return build.PackInit(cmd.Context(), a[0], cache)
		}}
}

func openCache(dir string, stderr io.Writer, quiet bool) *image.Cache {
	if dir == "" {
		dir = image.DefaultCacheDir()
	}
	if dir == "" {
		return nil
	}
	c, err := image.OpenCache(dir, time.Now())
	if err != nil {
		if !quiet {
			fmt.Fprintf(stderr, "firstlight: built without a cache: %v\n", err)
		}
		return nil
	}
	return c
}

func printReport(w io.Writer, o *build.Options, r *build.Report, took time.Duration, verbose bool) {
	if verbose {
		fmt.Fprintf(w, "features:\n")
		for _, f := range r.Features {
			fmt.Fprintf(w, "  %-16s %s\n", f.Name, f.Why)
		}
		fmt.Fprintf(w, "modules:\n")
		for _, m := range r.Modules {
			fmt.Fprintf(w, "  %-24s %s\n", m.Name, m.Why)
		}
		if len(r.Missing) > 0 {
			fmt.Fprintf(w, "firmware that is not installed:\n  %s\n", strings.Join(r.Missing, "\n  "))
		}
		fmt.Fprintf(w, "archives:\n")
		for _, s := range r.Segments {
			cached := ""
			if s.Cached {
				cached = "  from the cache"
			}
			fmt.Fprintf(w, "  %-10s %6d entries %11d bytes, compressed %10d%s\n", s.Name, s.Entries, s.Raw, len(s.Frame), cached)
		}
		fmt.Fprintf(w, "time: %d ms planning, %d ms compressing, %d ms writing\n",
			r.Planned.Milliseconds(), r.Compacted.Milliseconds(), r.Written.Milliseconds())
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if len(r.Missing) > 0 && !verbose {
		fmt.Fprintf(w, "note: %d firmware files that modules name are not installed (--verbose lists them)\n", len(r.Missing))
	}
	private := ""
	if r.Private {
		private = ", private because it holds secrets"
	}
	fmt.Fprintf(w, "%s: %s image for %s, %d modules, %.2f MB in %.2f s%s\n", o.Output, r.Mode, r.Kernel,
		len(r.Modules), float64(r.Size)/1e6, took.Seconds(), private)
}
