package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/check"
	"firstlight/internal/handler/all"
	"firstlight/internal/snapshot"
	"firstlight/internal/version"
)

// Exit codes of firstlight check: its verdicts come first, so that a script
// can tell them from everything else. They do not change.
const (
	exitCheckUsage = 5 // wrong command line, where others have 2
)

const checkExitText = `Exit codes: 0 the machine would boot; 1 it would not; 2 that cannot be told;
3 an input is invalid (image, snapshot); 4 it is not there; 5 wrong command line.`

type checkFlags struct {
	snapshot, save, cmdline, extra, kernel, typed string
	withKeys, unattended, asJSON                  bool
}

func checkCommand() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check [IMAGE]",
		Short: "Say whether this machine would boot with an image",
		Long: `Say before a reboot whether this machine, or the one of a snapshot, would reach
its real system with IMAGE; if not, explain why, in the words of the screen that
the failed boot would show.

The boot is really run: the deciding code of /init with the modules, rules, keys
and configuration that are in the image, on a model of the machine. A device is
there when the drivers on the way to it could be loaded from the image; an array,
a logical volume or an encrypted device when the boot has activated it. Key files
in the image are tried against the headers on the disks. Of a passphrase that a
person would be asked for it is assumed that the right one is typed; the verdict
says so. With --passphrase-file those in the file are tried instead. Nothing on the machine is changed, and no device is written to.

The kernel command line is that of the boot loader's entry for the image, or for
its kernel, where one can be read (GRUB, the Boot Loader Specification), else that
of the running system; --cmdline says otherwise. What cannot be known (what is inside an encrypted device that is
locked, say) makes the verdict "cannot tell" where it matters, with the reason.

A snapshot holds the device tree, the metadata of the disks, the mounts, and
little else: neither file contents besides /etc/fstab, nor keys or passwords.
The key material of encrypted devices is left out unless --with-keys is given.

` + checkExitText,
		Example: `  firstlight check /boot/firstlight.img
  firstlight check --append 'resume=UUID=…' /boot/firstlight.img
  firstlight check --save machine.snap
  firstlight check --snapshot machine.snap --json new.img`,
		Args: func(c *cobra.Command, a []string) error {
			if len(a) > 1 || len(a) == 0 && f.save == "" {
				return checkUsage("check takes an image, or --save FILE, and got %d arguments (see firstlight check --help)", len(a))
			}
			return nil
		},
		RunE: func(c *cobra.Command, a []string) error { return f.run(c, a) },
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return checkUsage("%w (see firstlight check --help)", err)
	})
	fl := c.Flags()
	fl.StringVar(&f.snapshot, "snapshot", "", "check for the machine of this snapshot instead of this one")
	fl.StringVar(&f.save, "save", "", "write a snapshot of this machine to FILE")
	fl.BoolVar(&f.withKeys, "with-keys", false, "with --save: keep the key material of encrypted devices; the file is then as secret as the disks")
	fl.StringVar(&f.cmdline, "cmdline", "", "the kernel command line to boot with (default that of the boot entry or of the running system)")
	fl.StringVar(&f.extra, "append", "", "parameters to add to the kernel command line")
	fl.StringVarP(&f.kernel, "kernel", "k", "", "release of the kernel that is started (default that of the image)")
	fl.BoolVar(&f.unattended, "unattended", false, "nobody is there to type a passphrase")
	fl.StringVar(&f.typed, "passphrase-file", "", "what is typed for passphrases, a line each, in this order: each is tried against the disk (default the right one)")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

// checkUsageError is a wrong command line of firstlight check.
type checkUsageError struct{ error }

func checkUsage(format string, a ...any) error { return checkUsageError{fmt.Errorf(format, a...)} }

func (f *checkFlags) run(c *cobra.Command, a []string) error {
	switch {
	case f.withKeys && f.save == "":
		return checkUsage("--with-keys belongs to --save")
	case f.typed != "" && f.unattended:
		return checkUsage("--passphrase-file and --unattended exclude each other: nobody is there to type it")
	case f.save != "" && f.snapshot != "":
		return checkUsage("--save and --snapshot exclude each other: a snapshot is there already")
	}
	var im *check.Image
	if len(a) == 1 {
		b, err := readImage(a[0])
		if err != nil {
			return err
		}
		if im, err = check.Open(b); err != nil {
			return fmt.Errorf("%s: %w", a[0], err)
		}
	}
	snap, look, err := f.machine(im)
	if errors.Is(err, snapshot.ErrFormat) || errors.Is(err, os.ErrNotExist) && f.snapshot != "" {
		return err
	}
	if err != nil {
		return f.print(c, &check.Result{Verdict: check.Unknown, Explanation: []string{"This machine could not be looked at: " + err.Error()}})
	}
	var r *check.Result
	if im != nil {
		conf := f.config(c, snap, a[0], im)
		if f.typed != "" {
			if conf.Passphrases, err = lines(f.typed); err != nil {
				return err
			}
		}
		r = foresee(im, snap, look, conf)
	}
	if f.save != "" {
		if err := f.write(snap); err != nil {
			return err
		}
	}
	if r == nil {
		return nil
	}
	return f.print(c, r)
}

// lines are those of a file with passphrases.
func lines(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// maxLooks bounds how often a check is repeated with what it has missed: a root
// that is not mounted is found out about file by file.
const maxLooks = 40

// foresee runs a check. On the machine of the snapshot, which look describes,
// files that the boot looks for and that the snapshot does not know are looked
// at, and the check is run again.
func foresee(im *check.Image, snap *snapshot.Snapshot, look *snapshot.Options, c check.Config) *check.Result {
	r := check.Run(im, snap, c)
	asked := map[snapshot.File]bool{}
	for range maxLooks {
		files := slices.DeleteFunc(slices.Clone(r.Unseen), func(f snapshot.File) bool { return asked[f] })
		if look == nil || len(files) == 0 {
			break
		}
		for _, f := range files {
			asked[f] = true
		}
		if !snap.Look(*look, files) {
			break
		}
		r = check.Run(im, snap, c)
	}
	return r
}

// config is the boot that is meant.
func (f *checkFlags) config(c *cobra.Command, s *snapshot.Snapshot, name string, im *check.Image) check.Config {
	line, _ := commandLine(s, name, cmp.Or(f.kernel, im.Info.Kernel))
	if c.Flags().Changed("cmdline") {
		line = f.cmdline
	}
	return check.Config{Cmdline: strings.TrimSpace(line + " " + f.extra), Kernel: f.kernel, Unattended: f.unattended, Handlers: all.Handlers()}
}

// commandLine is what the image would be started with: the boot entry's that
// names it, or else the kernel; the running system's where there is none.
func commandLine(s *snapshot.Snapshot, image, kernel string) (line, from string) {
	if e := s.Entry(image, kernel); e != nil {
		return e.Cmdline, e.From
	}
	return s.Cmdline, "/proc/cmdline"
}

// machine reads the snapshot that was given, or takes one; look is then how more
// can be found out.
func (f *checkFlags) machine(im *check.Image) (s *snapshot.Snapshot, look *snapshot.Options, err error) {
	if f.snapshot == "" {
		o := snapshot.Host("firstlight "+version.Version, "")
		o.Keys = im != nil || f.withKeys
		o.Cmdlines = []string{f.cmdline + " " + f.extra}
		s, err := snapshot.Take(o)
		return s, &o, err
	}
	file, err := os.Open(f.snapshot)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if s, err = snapshot.Read(file); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.snapshot, err)
	}
	return s, nil, nil
}

// write saves a snapshot: whole or not at all, and for the owner alone.
func (f *checkFlags) write(s *snapshot.Snapshot) (err error) {
	if !f.withKeys {
		s = s.WithoutKeys()
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.save), "."+filepath.Base(f.save)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := snapshot.Write(tmp, s); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.save)
}

// checked is what check --json prints.
type checked struct {
	Verdict     string          `json:"verdict"`
	Code        int             `json:"code"`
	Kernel      string          `json:"kernel"`
	Root        string          `json:"root"`
	Init        string          `json:"init"`
	Seconds     float64         `json:"seconds"`
	Explanation []string        `json:"explanation"`
	Conditions  []string        `json:"conditions"`
	Warnings    []string        `json:"warnings"`
	Asked       []string        `json:"asked"`
	Unseen      []snapshot.File `json:"unseen"` // files that the snapshot knows nothing of
}

func (f *checkFlags) print(c *cobra.Command, r *check.Result) error {
	if f.asJSON {
		err := printJSON(c, checked{r.Verdict.String(), int(r.Verdict), r.Kernel, r.Root, r.Init, r.Took.Seconds(),
			never(r.Explanation), never(r.Conditions), never(r.Warnings), never(r.Asked), never(r.Unseen)})
		if err != nil {
			return err
		}
	} else if err := printText(c, checkText(r)); err != nil {
		return err
	}
	if r.Verdict != check.Boots {
		return exitError(r.Verdict)
	}
	return nil
}

// never is a list that is not nil: JSON shows an empty one as [].
func never[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// checkText is the verdict for a person.
func checkText(r *check.Result) string {
	var b strings.Builder
	switch r.Verdict {
	case check.Boots:
		fmt.Fprintf(&b, "It would boot: kernel %s mounts %s and starts %s.\n", r.Kernel, r.Root, r.Init)
	case check.Fails:
		fmt.Fprintf(&b, "It would not boot.\n%s\n", strings.Join(r.Explanation, "\n"))
	default:
		fmt.Fprintf(&b, "Whether it would boot cannot be told.\n%s\n", strings.Join(r.Explanation, "\n"))
	}
	for _, p := range r.Conditions {
		fmt.Fprintf(&b, "provided that: %s\n", p)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// notBootable is the error for an image that would not boot: it is not
// installed.
type notBootable struct{ result *check.Result }

func (e notBootable) Error() string {
	return "the new image would not boot this machine, and is not installed; what was there stays:\n" +
		strings.Join(e.result.Explanation, "\n") + "\n(firstlight build --force installs it all the same, --no-check does not look)"
}

// checkBuilt checks an image of this machine before it takes the place of
// another. An error says that it would not boot.
func checkBuilt(kernel, output, line string, frames [][]byte, stderr io.Writer, quiet bool) error {
	say := func(format string, a ...any) {
		if !quiet {
			fmt.Fprintf(stderr, format+"\n", a...)
		}
	}
	var whole []byte
	for _, frame := range frames {
		whole = append(whole, frame...)
	}
	im, err := check.Open(whole)
	if err != nil {
		return fmt.Errorf("the new image cannot be read: %w", err)
	}
	o := snapshot.Host("firstlight "+version.Version, "")
	o.Keys = true
	snap, err := snapshot.Take(o)
	if err != nil {
		say("warning: the image was not checked: %v", err)
		return nil
	}
	if line == "" {
		line, _ = commandLine(snap, output, kernel)
	}
	r := foresee(im, snap, &o, check.Config{Cmdline: line, Kernel: kernel, Handlers: all.Handlers()})
	switch r.Verdict {
	case check.Fails:
		return notBootable{r}
	case check.Unknown:
		say("warning: whether this machine would boot with the image cannot be told: %s", strings.Join(r.Explanation, "; "))
	}
	for _, p := range r.Conditions {
		say("note: it boots provided that %s", p)
	}
	for _, w := range r.Warnings {
		say("warning: %s", w)
	}
	return nil
}
