package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/build"
	"firstlight/internal/image"
	"firstlight/internal/image/pe"
	"firstlight/internal/install"
	"firstlight/internal/sysroot"
	"firstlight/internal/uki"
	"firstlight/internal/uki/measure"
	"firstlight/internal/uki/sign"
)

func ukiCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "uki",
		Short: "Make, sign and inspect unified kernel images",
		Long: `A unified kernel image is one EFI program: systemd-stub with a kernel, an initramfs,
a command line and more in it, which Secure Boot verifies and a TPM measures as a
whole. docs/uki.md has an example from keys to an enrolled boot.`,
		Example: "  firstlight uki build --kernel $(uname -r) --initrd image --cmdline root=LABEL=root --output linux.efi\n  firstlight uki show linux.efi",
		Args:    args(1, 1, "build, sign, verify, show or measure"),
		RunE: func(c *cobra.Command, a []string) error {
			return usagef("unknown command %q for %q", a[0], c.CommandPath())
		},
	}
	c.AddCommand(ukiBuild(), ukiSign(), ukiVerify(), ukiShow(), ukiMeasure())
	return c
}

// ukiSource is where the parts of an image come from.
type ukiSource struct {
	build.UKI
	root    sysroot.Root
	kernel  string // its release, "" if only the file is known
	linux   string // its file; "" looks for it
	bootDir string
	initrds []string
	archive [][]byte // initramfs images that are in memory, after the files
	uname   string
	pcrPub  string
	section []string
	join    []string
	profile string // the image's own, TEXT or @FILE
	addon   bool
}

func ukiBuild() *cobra.Command {
	var s ukiSource
	var config, output, root string
	var profiles []string
	var flag build.UKI
	var system bool
	c := &cobra.Command{
		Use:   "build --output FILE",
		Short: "Put a kernel, an initramfs and a command line into one EFI program",
		Long: `Make a unified kernel image. What the options do not say is taken from [uki] of the
configuration. With a key and a certificate it is signed for Secure Boot; with
--pcr-key policies for PCR 11 of a TPM are signed as systemd-measure does it. The
image has the bytes that ukify gives it.

With --addon an addon is made: an EFI program without a kernel, whose command line,
device tree, microcode or initramfs systemd-stub adds to those of the image. It
belongs into IMAGE.efi.extra.d/ or loader/addons/ of the EFI system partition, with
a name that ends in .addon.efi.

Every --profile-of "ID=…;TITLE=…;CMDLINE" adds another way to start the image,
--join-profile FILE one that ukify or --profile without a kernel has made.

` + exitText,
		Example: `  firstlight uki build --kernel 6.12.9-amd64 --initrd fl.img --cmdline "root=LABEL=root" --output fl.efi
  firstlight uki build --linux vmlinuz --initrd fl.img --cmdline @cmdline --key db.key --certificate db.crt --output fl.efi
  firstlight uki build --addon --cmdline "console=ttyS0" --key db.key --certificate db.crt --output serial.addon.efi`,
		Args: args(0, 0, "options only"),
		RunE: func(c *cobra.Command, _ []string) error {
			if output == "" {
				return usagef("uki build needs --output FILE")
			}
			s.root = sysroot.Root(root)
			files, err := configFiles(config, s.root)
			if err != nil {
				return err
			}
			conf, err := build.ParseConfigs(files)
			if err != nil {
				return err
			}
			set := c.Flags().Changed
			s.UKI = override(conf.UKI, flag, set, s.addon || s.profile != "" && s.linux == "" && s.kernel == "")
			if system && s.Cmdline == "" {
				if s.Cmdline, err = (&installFlags{sysroot: root}).commandLineOf(conf); err != nil {
					return err
				}
			}
			for _, p := range profiles {
				f := strings.SplitN(p, ";", 3)
				if len(f) != 3 || !strings.HasPrefix(f[0], "ID=") || !strings.HasPrefix(f[1], "TITLE=") {
					return usagef("--profile-of %q: it is ID=NAME;TITLE=TEXT;CMDLINE", p)
				}
				s.Profiles = append(s.Profiles, build.UKIProfile{ID: f[0][3:], Title: f[1][6:], Cmdline: f[2]})
			}
			b, private, err := s.build()
			if err != nil {
				return err
			}
			return writeProgram(output, b, private)
		},
	}
	f := c.Flags()
	f.StringVarP(&output, "output", "o", "", "file to write")
	f.StringVarP(&config, "config", "c", "", "configuration file (default "+build.ConfigPath+" and "+build.ConfigDir+"/*.toml, as far as they exist)")
	f.StringVar(&root, "sysroot", "", "root of the system that the configuration and the files it names are of (default /)")
	f.StringVarP(&s.kernel, "kernel", "k", "", "release of the kernel, which is looked for where it is installed")
	f.StringVar(&s.linux, "linux", "", "file of the kernel")
	f.StringVar(&s.bootDir, "boot-dir", "/boot", "directory of kernels")
	f.StringArrayVar(&s.initrds, "initrd", nil, "file of an initramfs; may be repeated")
	f.BoolVar(&s.addon, "addon", false, "make an addon")
	f.StringVar(&flag.Stub, "stub", "", "systemd-stub (default where its package has it)")
	f.StringVar(&flag.Cmdline, "cmdline", "", "kernel command line, or @FILE")
	f.BoolVar(&system, "system-cmdline", false, "without another command line, the one that firstlight install takes")
	f.StringVar(&flag.OSRelease, "os-release", "", "file that names the system; empty for none (default /etc/os-release)")
	f.StringVar(&s.uname, "uname", "", "release of the kernel to write down (default what the kernel says)")
	f.StringVar(&flag.Splash, "splash", "", "picture (BMP) that the stub shows")
	f.StringVar(&flag.Microcode, "microcode", "", "archive with microcode")
	f.StringVar(&flag.DeviceTree, "devicetree", "", "device tree")
	f.StringArrayVar(&flag.DeviceTrees, "devicetree-auto", nil, "device tree that the stub may choose; may be repeated")
	f.StringVar(&flag.HWIDs, "hwids", "", "directory with descriptions of machines, by which it chooses")
	f.StringVar(&flag.SBAT, "sbat", "", "file with a table for SBAT, added to those of stub and kernel")
	f.StringArrayVar(&s.section, "section", nil, "another section, NAME:TEXT or NAME:@FILE; may be repeated")
	f.StringVar(&s.profile, "profile", "", "description of the image as a profile, or @FILE")
	f.StringArrayVar(&profiles, "profile-of", nil, "another way to start the image, ID=NAME;TITLE=TEXT;CMDLINE; may be repeated")
	f.StringArrayVar(&s.join, "join-profile", nil, "file with a profile that was made before; may be repeated")
	f.StringVar(&flag.Key, "key", "", "RSA key that signs for Secure Boot, PEM")
	f.StringVar(&flag.Certificate, "certificate", "", "its certificate and those that lead from it, PEM")
	f.StringArrayVar(&flag.PCRKeys, "pcr-key", nil, "RSA key that signs for PCR 11, PEM; may be repeated")
	f.StringVar(&s.pcrPub, "pcrpkey", "", "public key of those signatures (default that of the only --pcr-key)")
	f.StringSliceVar(&flag.PCRPhases, "pcr-phases", nil, "points of the boot to sign for (default those that there are with this initramfs, to ready)")
	f.StringSliceVar(&flag.PCRBanks, "pcr-banks", nil, "banks of the TPM to sign for (default all)")
	return c
}

// override puts the options that were given over the configuration. Of what is
// for whole images parts of images take nothing but the keys.
func override(conf, flag build.UKI, set func(string) bool, part bool) build.UKI {
	if part {
		conf = build.UKI{Key: conf.Key, Certificate: conf.Certificate}
	}
	for _, o := range []struct {
		name string
		to   *string
		from string
	}{{"stub", &conf.Stub, flag.Stub}, {"cmdline", &conf.Cmdline, flag.Cmdline}, {"os-release", &conf.OSRelease, flag.OSRelease}, {"splash", &conf.Splash, flag.Splash},
		{"microcode", &conf.Microcode, flag.Microcode}, {"devicetree", &conf.DeviceTree, flag.DeviceTree}, {"hwids", &conf.HWIDs, flag.HWIDs}, {"sbat", &conf.SBAT, flag.SBAT},
		{"key", &conf.Key, flag.Key}, {"certificate", &conf.Certificate, flag.Certificate}} {
		if set(o.name) {
			*o.to = o.from
		}
	}
	if set("os-release") && flag.OSRelease == "" {
		conf.OSRelease = noOSRelease
	}
	for _, o := range []struct {
		name string
		to   *[]string
		from []string
	}{{"devicetree-auto", &conf.DeviceTrees, flag.DeviceTrees}, {"pcr-key", &conf.PCRKeys, flag.PCRKeys}, {"pcr-phases", &conf.PCRPhases, flag.PCRPhases}, {"pcr-banks", &conf.PCRBanks, flag.PCRBanks}} {
		if set(o.name) {
			*o.to = o.from
		}
	}
	return conf
}

// noOSRelease stands for an empty --os-release.
const noOSRelease = "-"

// writeProgram writes an EFI program, whole or not at all.
func writeProgram(name string, b []byte, private bool) error {
	perm := fs.FileMode(0o755)
	if private {
		perm = 0o700
	}
	if err := image.CheckOutput(name); err != nil {
		return err
	}
	_, err := image.WriteFile(name, perm, []*image.Segment{{Frame: b}})
	return err
}

// build makes the image and signs it. private says that a part of it could not be
// read by everybody.
func (s *ukiSource) build() (b []byte, private bool, err error) {
	r := &partReader{root: s.root}
	p := s.parts(r)
	if r.err != nil {
		return nil, false, r.err
	}
	if b, err = uki.Build(p); err != nil {
		return nil, false, err
	}
	signer, err := s.signer()
	if err == nil && signer != nil {
		b, err = signer.Program(b)
	}
	return b, r.private, err
}

// partReader reads the files of an image's parts, and keeps the first error.
type partReader struct {
	root    sysroot.Root
	private bool
	err     error
}

// file reads a file, nothing for "".
func (r *partReader) file(what, name string) []byte {
	if name == "" || r.err != nil {
		return nil
	}
	path := name
	if r.root != "" && filepath.IsAbs(name) {
		path = r.root.Host(name)
	}
	st, err := os.Stat(path)
	if err == nil && st.Mode().Perm()&0o004 == 0 {
		r.private = true
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		r.err = fmt.Errorf("%s: %w", what, err)
	}
	return b
}

// text is what an option gives: a text, or the content of the file after an @.
func (r *partReader) text(what, value string) []byte {
	if name, ok := strings.CutPrefix(value, "@"); ok {
		return r.file(what, name)
	}
	if what == "command line" {
		value = strings.Join(strings.Fields(value), " ")
	}
	return []byte(value)
}

// parts reads what the image is made of.
func (s *ukiSource) parts(r *partReader) uki.Parts {
	p := uki.Parts{Addon: s.addon}
	private := r.private
	if s.linux != "" || s.kernel != "" {
		p.Kernel, r.err = s.readKernel(r)
	}
	whole := p.Kernel != nil
	if r.err == nil && !whole && !s.addon && s.profile == "" {
		r.err = usagef("an image needs a kernel (--kernel or --linux); --addon or --profile make a part of one")
	}
	p.Addon = !whole
	// Kernels and stubs are no secret, whatever mode a distribution gives them.
	p.Stub = s.readStub(r, p.Kernel)
	r.private = private
	for _, name := range s.initrds {
		p.Initrds = append(p.Initrds, r.file("initramfs", name))
	}
	p.Initrds = append(p.Initrds, s.archive...)
	p.Microcode = r.file("microcode", s.Microcode)
	p.Cmdline = r.text("command line", s.Cmdline)
	p.Splash = r.file("splash", s.Splash)
	p.DeviceTree = r.file("device tree", s.DeviceTree)
	for _, name := range s.DeviceTrees {
		p.DeviceTrees = append(p.DeviceTrees, r.file("device tree", name))
	}
	if s.HWIDs != "" {
		p.HWIDs = readHWIDs(r, s.HWIDs)
	}
	if s.SBAT != "" {
		p.SBAT = []string{string(r.file("SBAT", s.SBAT))}
	}
	if whole {
		p.OSRelease, p.Uname = s.osRelease(r), []byte(s.uname)
		if known, err := uki.Known(p.Stub); err == nil && s.uname == "" && slices.Contains(known, ".uname") {
			p.Uname = []byte(uki.Release(p.Kernel))
		}
	}
	for _, text := range s.section {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			r.err = errors.Join(r.err, usagef("--section %q: it is NAME:TEXT or NAME:@FILE", text))
		}
		p.Extra = append(p.Extra, uki.Section{Name: name, Data: r.text("section "+name, value)})
	}
	s.profilesOf(r, &p)
	s.policies(r, &p)
	return p
}

func (s *ukiSource) profilesOf(r *partReader, p *uki.Parts) {
	p.Profile = r.text("profile", s.profile)
	for _, own := range s.Profiles {
		text := "ID=" + own.ID + "\n"
		if own.Title != "" {
			text += "TITLE=" + own.Title + "\n"
		}
		sections := uki.Profile{{Name: ".profile", Data: []byte(text)}}
		if own.Cmdline != "" {
			sections = append(sections, uki.Section{Name: ".cmdline", Data: []byte(own.Cmdline)})
		}
		p.Profiles = append(p.Profiles, sections)
	}
	for _, name := range s.join {
		if b := r.file("profile", name); r.err == nil {
			own, err := uki.ReadProfile(b)
			if err != nil {
				r.err = fmt.Errorf("profile %s: %w", name, err)
				return
			}
			p.Profiles = append(p.Profiles, own)
		}
	}
}

// policies reads the keys for PCR 11. That they are private does not make the
// image so.
func (s *ukiSource) policies(r *partReader, p *uki.Parts) {
	private := r.private
	defer func() { r.private = private }()
	p.PublicKey = r.file("public key for PCR 11", s.pcrPub)
	paths, err := measure.ParsePaths(strings.Join(s.PCRPhases, ","))
	if err != nil {
		r.err = errors.Join(r.err, usageError{err})
	}
	if p.Banks, err = measure.FindBanks(s.PCRBanks); err != nil {
		r.err = errors.Join(r.err, usageError{err})
	}
	if len(paths) == 0 && len(s.PCRKeys) > 0 {
		paths = pathsWith(p.Initrds)
	}
	for _, name := range s.PCRKeys {
		b := r.file("key for PCR 11", name)
		if r.err != nil {
			return
		}
		key, err := sign.ParseKey(b)
		if err != nil {
			r.err = fmt.Errorf("key for PCR 11 %s: %w", name, err)
			return
		}
		p.Sign = append(p.Sign, uki.PolicyKey{Key: key, Paths: paths})
	}
}

// readKernel returns the kernel as firmware can start it.
func (s *ukiSource) readKernel(r *partReader) ([]byte, error) {
	name := s.linux
	if name == "" {
		pkgbase, _ := os.ReadFile(s.root.Host(filepath.Join(moduleDir, s.kernel, "pkgbase")))
		for _, f := range install.KernelFiles(s.bootDir, moduleDir, s.kernel, string(bytes.TrimSpace(pkgbase))) {
			if exists(s.root.Host(f)) {
				name = f
				break
			}
		}
		if name == "" {
			return nil, missingError(fmt.Sprintf("kernel %s: its file is in none of the places where kernels are; --linux names it", s.kernel))
		}
	}
	b := r.file("kernel", name)
	if r.err != nil {
		return nil, r.err
	}
	b, err := uki.Kernel(b)
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, err)
	}
	return b, nil
}

// readStub returns the stub: the one that is named, or that of systemd for the
// kernel's architecture, or this machine's.
func (s *ukiSource) readStub(r *partReader, kernel []byte) []byte {
	if s.Stub != "" {
		return r.file("stub", s.Stub)
	}
	arch := hostMachine()
	if p, err := pe.Parse(kernel); err == nil {
		arch = p.Machine
	}
	kind := "linux"
	if kernel == nil {
		kind = "addon"
	}
	name := fmt.Sprintf("/usr/lib/systemd/boot/efi/%s%s.efi.stub", kind, arch)
	if r.err == nil && !exists(s.root.Host(name)) {
		r.err = missingError(fmt.Sprintf("there is no systemd-stub %s: install the package that has it (systemd-boot-efi, systemd-boot-unsigned, systemd), or name another with --stub", name))
	}
	return r.file("stub", name)
}

// osRelease is the text by which boot loaders name the image.
func (s *ukiSource) osRelease(r *partReader) []byte {
	switch {
	case s.OSRelease == noOSRelease:
		return nil
	case s.OSRelease != "":
		return r.file("os-release", strings.TrimPrefix(s.OSRelease, "@"))
	case exists(s.root.Host("/etc/os-release")):
		return r.file("os-release", "/etc/os-release")
	case exists(s.root.Host("/usr/lib/os-release")):
		return r.file("os-release", "/usr/lib/os-release")
	}
	return nil
}

// readHWIDs makes the table of hardware ids of the descriptions in a directory.
func readHWIDs(r *partReader, dir string) []byte {
	path := dir
	if r.root != "" && filepath.IsAbs(dir) {
		path = r.root.Host(dir)
	}
	var files [][]byte
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".json") && d.Type().IsRegular() {
			var b []byte
			b, err = os.ReadFile(name)
			files = append(files, b)
		}
		return err
	})
	var out []byte
	if err == nil {
		out, err = uki.HWIDs(files)
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("hardware ids: %w", err)
	}
	return out
}

// signer reads the key for Secure Boot, nil if there is none.
func (s *ukiSource) signer() (*sign.Signer, error) {
	if s.Key == "" && s.Certificate == "" {
		return nil, nil
	}
	if s.Key == "" || s.Certificate == "" {
		return nil, usagef("a key and a certificate are needed to sign, and only one of them is there")
	}
	return readSigner(s.root, s.Key, s.Certificate)
}

func readSigner(root sysroot.Root, key, certificate string) (*sign.Signer, error) {
	r := &partReader{root: root}
	b, certs := r.file("key for Secure Boot", key), r.file("certificate", certificate)
	if r.err != nil {
		return nil, r.err
	}
	k, err := sign.ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("key for Secure Boot %s: %w", key, err)
	}
	list, err := sign.ParseCertificates(certs)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certificate, err)
	}
	return &sign.Signer{Key: k, Certificates: list}, nil
}

// hostMachine is the architecture of this program.
func hostMachine() pe.Machine {
	return map[string]pe.Machine{"amd64": pe.AMD64, "arm64": pe.ARM64, "riscv64": pe.RISCV64, "386": pe.I386, "arm": pe.ARM, "loong64": pe.LoongArch64}[goarch]
}
