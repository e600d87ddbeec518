package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/journal"
	"firstlight/internal/trace"
	"firstlight/internal/trial"
)

type bootFlags struct {
	disks       []string
	hostDisks   bool
	kernel      string
	append      []string
	memory      string
	cpus        int
	interactive bool
	accel       string
	bus         string
	print       bool

	test       bool
	timeout    time.Duration
	passphrase string
	keep       string
	asJSON     bool
}

func bootCommand() *cobra.Command {
	var f bootFlags
	c := &cobra.Command{
		Use:   "boot IMAGE {--disk FILE… | --host-disks}",
		Short: "Try an image in a virtual machine",
		Long: `Boot an image in QEMU, with this machine's own kernel, on the given disks or with
--host-disks on those of this machine. Not a byte is written to them: they are
opened for reading only, and what the guest writes goes to a temporary file. A
filesystem that is in use looks to the guest as after a power failure.

At a terminal the console is connected to it, to type a passphrase on or to log
in; Ctrl-A X ends the machine. At the end it is said how the boot went, with its
timeline.

With --test the machine ends as soon as the real init runs, or the boot has
failed. This can stand in a script that installs a kernel; --passphrase-file
answers the question for a passphrase there.

Without --kernel the kernel is the one that the image is for: beside the image
or in /boot as vmlinuz-VERSION, or in /lib/modules/VERSION. With --host-disks the
command line is that of this machine, with --append after it. Unless told
otherwise the processor is emulated, which works everywhere; --accel kvm is
faster where the machine has it. Disks are connected as the image has drivers
for; those of this machine as they are here.

Exit codes: 0 the machine was run; 1 failed; 2 wrong command line; 3 an input is
invalid; 4 a file is not there. With --test: 0 the real init was started; 1 it
was not; 2 the image could not be tried.`,
		Example: `  firstlight boot image.img --disk root.img --append root=/dev/vda1
  firstlight boot image.img --disk a.img --disk b.qcow2 --journal boot.journal
  firstlight boot /boot/firstlight-$(uname -r).img --host-disks
  firstlight boot new.img --host-disks --test --timeout 10m --passphrase-file /run/secret`,
		Args: func(c *cobra.Command, a []string) error {
			return f.coded(c, args(1, 1, "one image")(c, a))
		},
		RunE: func(c *cobra.Command, a []string) error { return f.coded(c, f.run(c, a[0])) },
	}
	fl := c.Flags()
	fl.StringArrayVarP(&f.disks, "disk", "d", nil, "disk image or block device, read only; may be repeated")
	fl.BoolVar(&f.hostDisks, "host-disks", false, "the disks of this machine, read only, and its command line")
	fl.StringVarP(&f.kernel, "kernel", "k", "", "kernel file")
	fl.StringArrayVarP(&f.append, "append", "a", nil, "parameters for the kernel's command line; may be repeated")
	fl.StringVarP(&f.memory, "memory", "m", "1024", "memory in MiB")
	fl.IntVar(&f.cpus, "cpus", 1, "number of processors")
	fl.BoolVarP(&f.interactive, "interactive", "I", false, "connect the keyboard (default at a terminal)")
	fl.StringVar(&f.accel, "accel", "tcg", "tcg or kvm")
	fl.StringVar(&f.bus, "bus", "auto", "how disks are connected: auto, "+strings.Join(trial.Buses[:], ", "))
	fl.BoolVar(&f.print, "print", false, "print the command of the virtual machine and do not run it")
	fl.BoolVar(&f.test, "test", false, "end when it is known how the boot went, and say so by the exit code")
	fl.DurationVar(&f.timeout, "timeout", 0, "how long the boot may take (default 5m with --test, else for ever)")
	fl.StringVar(&f.passphrase, "passphrase-file", "", "type the first line of this file when a passphrase is asked for")
	fl.StringVar(&f.keep, "journal", "", "where to keep the journal of the boot")
	fl.BoolVar(&f.asJSON, "json", false, "print the verdict as JSON; the console goes to the standard error output")
	return c
}

// coded gives errors the exit code of --test: the image could not be tried.
func (f *bootFlags) coded(c *cobra.Command, err error) error {
	var said exitError
	if err == nil || !f.test || errors.As(err, &said) {
		return err
	}
	say(c.ErrOrStderr(), err)
	return exitError(2)
}

func (f *bootFlags) run(c *cobra.Command, name string) error {
	o, err := f.options(c, name)
	if err != nil {
		return err
	}
	if f.print {
		_, err := fmt.Fprintln(c.OutOrStdout(), shellWords(append([]string{o.QEMU}, trial.Args(o, "DIR")...)))
		return err
	}
	if f.passphrase != "" {
		if o.Passphrase, err = firstLine(f.passphrase); err != nil {
			return err
		}
		defer clear(o.Passphrase)
	}
	if _, err := exec.LookPath(o.QEMU); err != nil {
		return fmt.Errorf("%s is not installed (package qemu-system-x86): %w", o.QEMU, err)
	}
	res, err := trial.Run(c.Context(), o)
	if err != nil {
		return err
	}
	if f.keep != "" {
		if err := os.WriteFile(f.keep, res.Journal, 0o644); err != nil {
			return err
		}
	}
	if err := f.report(c, res, o); err != nil {
		return err
	}
	switch {
	case !f.test || res.State == trial.Started:
		return nil
	case res.State == trial.Unknown:
		return exitError(2)
	}
	return exitError(1)
}

// options are what the flags ask for.
func (f *bootFlags) options(c *cobra.Command, name string) (o trial.Options, err error) {
	memory, err := strconv.Atoi(f.memory)
	switch {
	case err != nil || memory < 16:
		return o, usagef("--memory %q is not a number of MiB", f.memory)
	case f.cpus < 1:
		return o, usagef("--cpus %d", f.cpus)
	case f.accel != "tcg" && f.accel != "kvm":
		return o, usagef("--accel %q: it is tcg or kvm", f.accel)
	case f.bus != "auto" && !slices.Contains(trial.Buses[:], f.bus):
		return o, usagef("--bus %q: it is auto, %s", f.bus, strings.Join(trial.Buses[:], ", "))
	case f.hostDisks && len(f.disks) > 0:
		return o, usagef("--disk and --host-disks exclude each other")
	case f.timeout < 0:
		return o, usagef("--timeout %v", f.timeout)
	case f.interactive && f.passphrase != "":
		return o, usagef("--interactive and --passphrase-file exclude each other")
	}
	b, err := readImage(name)
	if err != nil {
		return o, err
	}
	o = trial.Options{Image: name, Memory: memory, CPUs: f.cpus, Accel: f.accel, QEMU: "qemu-system-x86_64", Test: f.test, Timeout: f.timeout,
		Console: c.OutOrStdout(), Keyboard: f.interactive || f.passphrase == "" && !f.asJSON && onTerminal(c)}
	if f.asJSON {
		o.Console = c.ErrOrStderr()
	}
	if o.Test && o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Kernel, err = bootKernel(f.kernel, name, b); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	bus := f.bus
	if bus == "auto" {
		bus = busFor(b)
	}
	for _, d := range f.disks {
		disk, err := trial.OpenDisk(d, bus)
		if err != nil {
			return o, fmt.Errorf("--disk: %w", err)
		}
		o.Disks = append(o.Disks, disk)
	}
	if f.hostDisks {
		if err := f.ownDisks(&o); err != nil {
			return o, fmt.Errorf("--host-disks: %w", err)
		}
	}
	o.Append = append(o.Append, f.append...)
	return o, nil
}

// ownDisks adds the disks of this machine and its command line.
func (f *bootFlags) ownDisks(o *trial.Options) (err error) {
	if o.Disks, err = trial.HostDisks("/sys", "/dev"); err != nil {
		return err
	}
	for i := range o.Disks {
		if f.bus != "auto" {
			o.Disks[i].Bus = f.bus
		}
		if err := unix.Access(o.Disks[i].File, unix.R_OK); err != nil {
			return fmt.Errorf("%s: %w; it takes root to read the disks", o.Disks[i].File, err)
		}
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	o.Append = trial.HostParameters(string(cmdline))
	return nil
}

func onTerminal(c *cobra.Command) bool {
	out, ok := c.OutOrStdout().(*os.File)
	return ok && term.IsTerminal(int(out.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
}

// firstLine reads a passphrase.
func firstLine(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// bootVerdict is what boot --json prints.
type bootVerdict struct {
	Verdict     trial.State `json:"verdict"`
	Why         string      `json:"why,omitempty"`
	Init        string      `json:"init,omitempty"`
	Seconds     float64     `json:"seconds,omitempty"` // from /init to the real init, in the guest's time
	Explanation []string    `json:"explanation,omitempty"`
	Image       string      `json:"image"`
	Kernel      string      `json:"kernel"`
	Journal     string      `json:"journal,omitempty"` // the file that was kept
}

// report says how the boot went.
func (f *bootFlags) report(c *cobra.Command, res *trial.Result, o trial.Options) error {
	v := bootVerdict{Verdict: res.State, Why: res.Why, Init: res.Init, Seconds: res.Took.Seconds(), Image: o.Image, Kernel: o.Kernel, Journal: f.keep}
	if res.State != trial.Started {
		v.Explanation = res.Explanation()
	}
	if f.asJSON {
		return printJSON(c, v)
	}
	var out strings.Builder
	out.WriteString("\n")
	records, _, err := journal.ReadCut(bytes.NewReader(res.Journal))
	if err == nil && len(records) > 0 {
		view := traceFlags{}
		s := view.style(c)
		if s.Width == 0 {
			s.Width = 100
		}
		out.WriteString(trace.New(records).Timeline().Text(s, trace.DefaultLines) + "\n")
	}
	for _, line := range v.Explanation {
		out.WriteString(line + "\n")
	}
	switch res.State {
	case trial.Started:
		fmt.Fprintf(&out, "Verdict: it boots. %s was started %.2f s after /init.\n", v.Init, v.Seconds)
	case trial.Unknown:
		fmt.Fprintf(&out, "Verdict: unknown. %s.\n", sentence(v.Why))
	default:
		fmt.Fprintf(&out, "Verdict: it does not boot. %s.\n", sentence(v.Why))
	}
	return printText(c, out.String())
}

// sentence begins with a capital letter.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// bootKernel finds the kernel that goes with an image: the one that is given,
// the one that the image says it is for, or the one that runs.
func bootKernel(kernel, name string, b []byte) (string, error) {
	if kernel != "" {
		if _, err := os.Stat(kernel); err != nil {
			return "", fmt.Errorf("kernel: %w", err)
		}
		return kernel, nil
	}
	release, whose := "", "its kernel"
	var info strings.Builder
	if err := image.Cat(&info, b, "/etc/firstlight/image", image.Limits{}); err == nil {
		for line := range strings.Lines(info.String()) {
			if v, ok := strings.CutPrefix(line, "kernel="); ok {
				release = filepath.Base(strings.TrimSpace(v))
			}
		}
	}
	if release == "" {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return "", err
		}
		release, whose = unix.ByteSliceToString(u.Release[:]), "it does not say which kernel it is for, and the running one,"
	}
	beside := filepath.Dir(name)
	places := []string{filepath.Join(beside, "vmlinuz-"+release), "/boot/vmlinuz-" + release, "/lib/modules/" + release + "/vmlinuz", "/boot/vmlinux-" + release}
	for _, p := range places {
		if exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s %s is not in %s; give one with --kernel: %w", whose, release, strings.Join(places, ", "), fs.ErrNotExist)
}

// busFor is a bus of which the image has the driver.
func busFor(b []byte) string {
	drivers := map[string]string{"virtio_blk": "virtio-blk", "virtio_scsi": "virtio-scsi", "nvme": "nvme", "ahci": "ahci", "usb-storage": "usb", "usb_storage": "usb"}
	found := map[string]bool{}
	// What cannot be read to its end is for QEMU to complain of.
	_ = image.Walk(b, image.Limits{}, func(_ image.Part, h *cpio.Header, _ io.Reader) error {
		module, _, ok := strings.Cut(filepath.Base(h.Name), ".ko")
		if bus := drivers[module]; ok && bus != "" {
			found[bus] = true
		}
		return nil
	})
	for _, bus := range trial.Buses {
		if found[bus] {
			return bus
		}
	}
	return trial.Buses[0] // the driver may be built in
}

// shellWords quotes a command for a shell.
func shellWords(argv []string) string {
	var out []string
	for _, a := range argv {
		if a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%") != "" {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
