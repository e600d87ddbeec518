package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/handler/stubfiles"
	"firstlight/internal/image"
	"firstlight/internal/install"
	"firstlight/internal/sysroot"
)

// postUpdate holds what other packages want to be run when an image has
// changed, with the kernel's release and the image as arguments.
const postUpdate = "/etc/initramfs/post-update.d"

type installFlags struct {
	kernels        []string
	all            bool
	bootDir        string
	noHooks        bool
	noCheck, force bool
	verbose, quiet bool
	config, init   string
	generic        bool
	sysroot        string
	listing        bool
	stdout, stderr io.Writer
}

func installCommand() *cobra.Command {
	var f installFlags
	c := &cobra.Command{
		Use:   "install [--kernel VERSION | --all]",
		Short: "Build the image of a kernel and put it where the boot loader looks",
		Long: `Build an image for the running kernel, for the one given, or for all that are
installed, and put it where the boot loader of this system looks for it. The place
is install.image of the configuration, or what is usual on this distribution.

An image is built and checked first, written beside its place, brought to the disk,
read again and compared, and renamed. At no moment is there none, and an interrupted
installation leaves nothing behind. If the new image is the one that is there,
nothing is written. One that would not boot is not installed; --force overrides.

The image before stays as FILE.old, unless the machine is not known to have booted
with it and an older one stays already. If there is no room for the new image beside
those that stay, the command fails and nothing changes.

With install.layout = "uki" a unified kernel image is made of it, see
firstlight-uki(8), and put into EFI/Linux of the EFI system partition.

With install.fallback in the configuration a second image, for any common machine,
is installed as well. --list says where the images of the kernels are: "image",
"before" or "fallback", the release, "present" or "absent", and the file. Afterwards the programs in ` + postUpdate + `
are run, with the kernel's release and the image as arguments.

` + exitText,
		Example: `  firstlight install
  firstlight install --kernel 6.1.0-13-amd64
  firstlight install --all --quiet
  firstlight install --list`,
		Args: args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error {
			f.stdout, f.stderr = c.OutOrStdout(), c.ErrOrStderr()
			return f.run(c.Context())
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.listing, "list", false, "install nothing, but say where the images of the kernel are, without --kernel of all")
	fl.StringArrayVarP(&f.kernels, "kernel", "k", nil, "release of a kernel (default the one that runs); may be repeated")
	fl.BoolVarP(&f.all, "all", "a", false, "for every kernel that is installed")
	fl.StringVar(&f.bootDir, "boot-dir", "/boot", "directory of the images, where the configuration names none")
	fl.StringVarP(&f.config, "config", "c", "", "configuration file (default "+build.ConfigPath+" and "+build.ConfigDir+"/*.toml, as far as they exist)")
	fl.BoolVar(&f.generic, "generic", false, "an image for any common machine")
	fl.StringVar(&f.sysroot, "sysroot", "", "root of the system that images are built for, from and into (default /)")
	fl.StringVar(&f.init, "init", "", "the /init program (default beside firstlight, or /usr/lib/firstlight/init)")
	fl.BoolVar(&f.noHooks, "no-hooks", false, "do not run the programs in "+postUpdate)
	fl.BoolVar(&f.noCheck, "no-check", false, "do not check whether this machine would boot with the image")
	fl.BoolVar(&f.force, "force", false, "install the image even if this machine would not boot with it")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say what is in the image and why")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	return c
}

func removeCommand() *cobra.Command {
	var f installFlags
	c := &cobra.Command{
		Use:   "remove --kernel VERSION",
		Short: "Remove the images of a kernel",
		Long: `Remove the image of a kernel from where firstlight install puts it, the one before
and the second one for any machine. The images of the running kernel stay, unless
--force is given. Images that are not there are no error.

` + exitText,
		Example: "  firstlight remove --kernel 6.1.0-9-amd64",
		Args:    args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error {
			f.stderr = c.ErrOrStderr()
			return f.remove(c.Context())
		},
	}
	fl := c.Flags()
	fl.StringArrayVarP(&f.kernels, "kernel", "k", nil, "release of the kernel; may be repeated")
	fl.StringVar(&f.sysroot, "sysroot", "", "root of the system (default /)")
	fl.StringVar(&f.bootDir, "boot-dir", "/boot", "directory of the images, where the configuration names none")
	fl.StringVarP(&f.config, "config", "c", "", "configuration file (default "+build.ConfigPath+" and "+build.ConfigDir+"/*.toml, as far as they exist)")
	fl.BoolVar(&f.force, "force", false, "remove the images of the running kernel as well")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	return c
}

// run installs the images of all kernels that are asked for. A failure with one
// does not keep the others from theirs.
func (f *installFlags) run(ctx context.Context) error {
	if f.all && len(f.kernels) > 0 {
		return usagef("--all and --kernel exclude each other")
	}
	conf, err := f.configuration()
	if err != nil {
		return err
	}
	if f.listing {
		return f.list(conf)
	}
	kernels := f.kernels
	switch {
	case f.all:
		if kernels = f.installed(); len(kernels) == 0 {
			return missingError("no kernel is installed: no directory of " + f.host(moduleDir) + " has modules.dep and a kernel that belongs to it")
		}
	case len(kernels) == 0 && f.sysroot != "":
		return usagef("with --sysroot it must be said for which kernel: --kernel or --all")
	case len(kernels) == 0:
		kernels = []string{running()}
	}
	var failed []error
	for _, kernel := range kernels {
		if err := f.one(ctx, conf, kernel); err != nil {
			if ctx.Err() != nil {
				return err
			}
			if len(kernels) > 1 {
				err = fmt.Errorf("image for kernel %s: %w", kernel, err)
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (f *installFlags) configuration() (*build.Config, error) {
	files, err := configFiles(f.config, sysroot.Root(f.sysroot))
	if err != nil {
		return nil, err
	}
	return build.ParseWithProfile("", files, profiles(sysroot.Root(f.sysroot)))
}

// moduleDir holds the modules of all kernels, by their releases.
const moduleDir = "/lib/modules"

func (f *installFlags) root() sysroot.Root { return sysroot.Root(f.sysroot) }

// host is where a file of the system is for this process.
func (f *installFlags) host(p string) string { return sysroot.Root(f.sysroot).Host(p) }

// installed are the releases of the kernels that could be booted.
func (f *installFlags) installed() (out []string) {
	list, _ := os.ReadDir(f.host(moduleDir))
	for _, e := range list {
		k := e.Name()
		if !exists(f.host(filepath.Join(moduleDir, k, "modules.dep"))) {
			continue
		}
		if slices.ContainsFunc(install.KernelFiles(f.bootDir, moduleDir, k, f.pkgbase(k)), func(p string) bool { return exists(f.host(p)) }) {
			out = append(out, k)
		}
	}
	return out
}

func (f *installFlags) pkgbase(kernel string) string {
	b, _ := os.ReadFile(f.host(filepath.Join(moduleDir, kernel, "pkgbase")))
	return strings.TrimSpace(string(b))
}

// place is where the image of a kernel belongs in the system.
func (f *installFlags) place(conf *build.Config, kernel string) (string, error) {
	if conf.Install.Image != "" {
		return build.ImagePath(conf.Install.Image, kernel)
	}
	if unified(conf) {
		return f.unifiedPlace(kernel)
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if b, err := os.ReadFile(f.host(name)); err == nil {
			return install.ParseSystem(string(b)).Place(f.bootDir, kernel, f.pkgbase(kernel)), nil
		}
	}
	return install.System{}.Place(f.bootDir, kernel, f.pkgbase(kernel)), nil
}

// one installs the images of one kernel.
func (f *installFlags) one(ctx context.Context, conf *build.Config, kernel string) error {
	path, err := f.place(conf, kernel)
	if err != nil {
		return err
	}
	if err := f.build(ctx, conf, kernel, path, false); err != nil {
		return err
	}
	if conf.Install.Fallback != "" {
		path, err := build.ImagePath(conf.Install.Fallback, kernel)
		if err != nil {
			return err
		}
		if err := f.build(ctx, conf, kernel, path, true); err != nil {
			return err
		}
	}
	if f.noHooks || f.sysroot != "" {
		return nil
	}
	return runHooks(ctx, postUpdate, f.stderr, kernel, path)
}

// build makes one image and puts it into its place.
func (f *installFlags) build(ctx context.Context, conf *build.Config, kernel, path string, generic bool) error {
	path = f.host(path)
	b := buildFlags{kernel: kernel, output: path, config: f.config, sysroot: f.sysroot, init: f.init,
		generic: f.generic || generic, noCheck: f.noCheck, force: f.force, verbose: f.verbose, quiet: f.quiet}
	o, err := b.options(f.stderr)
	if err != nil {
		return err
	}
	if (unified(conf) || f.becomesUnified()) && !slices.Contains(o.Config.OmitFeatures, stubfiles.Feature) {
		o.Config.Features = append(o.Config.Features, stubfiles.Feature)
	}
	if unified(conf) {
		if b.line, err = f.commandLineOf(conf); err != nil {
			return err
		}
		// An EFI system partition has no EFI/Linux of its own.
		if conf.Install.Image == "" {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
	}
	p := newProgress(f.stderr, !f.quiet)
	defer p.done()
	o.Progress, o.Verify = p.step, b.verify(p, f.stderr)
	var res install.Result
	o.Write = func(perm fs.FileMode, segments []*image.Segment) (size int64, err error) {
		p.step("installing")
		io := install.Options{Path: path, Perm: perm, Backup: conf.Install.Backup == nil || *conf.Install.Backup, Booted: bootedImages(),
			Waiting: func() {
				p.done()
				f.say("another installation in %s is under way: waiting for its end", filepath.Dir(path))
			}}
		for _, s := range segments {
			io.Frames = append(io.Frames, s.Frame)
		}
		if unified(conf) {
			whole, err := f.wrap(conf, kernel, b.line, slices.Concat(io.Frames...))
			if err != nil {
				return 0, err
			}
			io.Frames = [][]byte{whole}
		}
		for _, frame := range io.Frames {
			size += int64(len(frame))
		}
		res, err = install.Put(ctx, io)
		return size, err
	}
	start := time.Now()
	r, err := build.Build(ctx, *o)
	p.done()
	if err != nil {
		return err
	}
	if !f.quiet {
		printReport(f.stderr, o, r, time.Since(start), f.verbose)
	}
	if unified(conf) && r.Private {
		f.say("warning: the image holds secrets, and who can read the EFI system partition reads them: it is not encrypted")
	}
	switch {
	case res.Unchanged:
		f.say("%s is up to date", path)
	case res.Dropped != "" && res.Kept != "":
		f.say("%s made room; %s is the image before", res.Dropped, res.Kept)
	case res.Kept != "":
		f.say("%s is the image to go back to", res.Kept)
	}
	return nil
}

func (f *installFlags) say(format string, a ...any) {
	if !f.quiet {
		fmt.Fprintf(f.stderr, format+"\n", a...)
	}
}

// remove takes the images of kernels away.
func (f *installFlags) remove(ctx context.Context) error {
	if len(f.kernels) == 0 {
		return usagef("remove needs --kernel VERSION")
	}
	conf, err := f.configuration()
	if err != nil {
		return err
	}
	var failed []error
	for _, kernel := range f.kernels {
		if kernel == "" || strings.ContainsAny(kernel, "/ \n") {
			return usagef("--kernel %q is not a kernel release", kernel)
		}
		if kernel == running() && !f.force && f.sysroot == "" {
			failed = append(failed, fmt.Errorf("kernel %s is the one that runs: its images stay; --force removes them", kernel))
			continue
		}
		path, err := f.place(conf, kernel)
		if err != nil {
			return err
		}
		paths := []string{path}
		if conf.Install.Fallback != "" {
			if path, err = build.ImagePath(conf.Install.Fallback, kernel); err != nil {
				return err
			}
			paths = append(paths, path)
		}
		for _, path := range paths {
			removed, err := install.Remove(ctx, f.host(path))
			for _, name := range removed {
				f.say("removed %s", name)
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// bootedImages returns a function that says whether this machine has started
// its system with an image, as far as the records of its boots go. Of an image
// that has no identity, of another tool, it says yes: nothing else made this
// machine boot so far.
func bootedImages() func([]byte) bool {
	known := map[string]bool{}
	names, _ := filepath.Glob(filepath.Join(keptDir, "*", "summary"))
	for _, name := range append(names, filepath.Join(runDir, "summary")) {
		if id := imageOf(name); id != "" {
			known[id] = true
		}
	}
	return func(b []byte) bool {
		var text bytes.Buffer
		if err := image.Cat(&text, b, image.IDPath, image.Limits{}); err != nil {
			return true
		}
		return known[strings.TrimSpace(text.String())]
	}
}

// imageOf is the identity of the image of a boot, from its summary.
func imageOf(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, 1<<16))
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "image="); ok {
			return id
		}
	}
	return ""
}

// runHooks runs the programs of a directory as run-parts(8) would: those whose
// names have letters, digits, hyphens and underscores alone.
func runHooks(ctx context.Context, dir string, stderr io.Writer, args ...string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range list {
		st, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 || strings.ContainsFunc(e.Name(), outsideHookName) {
			continue
		}
		cmd := exec.CommandContext(ctx, filepath.Join(dir, e.Name()), args...)
		cmd.Stdout, cmd.Stderr = stderr, stderr
		if err := cmd.Run(); err != nil {
			failed = append(failed, fmt.Errorf("the image is installed, but %s failed: %w", cmd.Path, err))
		}
	}
	return errors.Join(failed...)
}

func outsideHookName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}
