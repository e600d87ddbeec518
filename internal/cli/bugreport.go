package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"firstlight/internal/image"
	"firstlight/internal/report"
	"firstlight/internal/snapshot"
	"firstlight/internal/version"
)

type bugReportFlags struct {
	output, boot, boots, image, snapshot, toCase string
}

func bugReportCommand() *cobra.Command {
	var f bugReportFlags
	c := &cobra.Command{
		Use:   "bug-report [--output FILE] | bug-report --to-case DIR REPORT",
		Short: "Collect what a report of a fault needs, or make a test of such a report",
		Long: `Collect in one archive what is needed to find out why a boot went as it did: its
journal and what the deciding core was given, the reasons of boots that failed
before it, the list of what is in the image, the machine's devices and the bytes
of its disks that identify what is on them, the kernel's log, mounts, modules
and versions.

There are no secrets in it: passphrases, keys and key files were never recorded;
the values of parameters and mount options that name a password are left out.
Serial numbers, UUIDs, names of volumes and the text of /etc/fstab are in it. The
archive is for its owner alone; look at it with tar before you give it away.

With --to-case a report becomes a directory that a test of this repository
replays, and that "firstlight trace replay DIR" replays: machines that nobody
here has become part of the tests. Put it below internal/replay/testdata/cases.

` + exitText,
		Example: `  sudo firstlight bug-report
  sudo firstlight bug-report --boot /var/lib/firstlight/boots/000041-3f2a… -o report.tar.gz
  tar tvf firstlight-report.tar.gz
  firstlight bug-report --to-case internal/replay/testdata/cases/thinkpad report.tar.gz`,
		Args: args(0, 1, "at most one report"),
		RunE: func(c *cobra.Command, a []string) error {
			switch {
			case f.toCase != "" && len(a) == 1:
				return f.makeCase(c, a[0])
			case f.toCase != "":
				return usagef("--to-case needs the report")
			case len(a) == 1:
				return usagef("%s: a report is only read with --to-case", a[0])
			}
			return f.run(c)
		},
	}
	fl := c.Flags()
	fl.StringVarP(&f.output, "output", "o", "firstlight-report.tar.gz", "the archive to write")
	fl.StringVar(&f.boot, "boot", runDir, "the records of the boot")
	fl.StringVar(&f.boots, "boots", keptDir, "where the records of boots are kept")
	fl.StringVar(&f.image, "image", "", "the image that was booted (default: looked for in /boot)")
	fl.StringVar(&f.snapshot, "snapshot", "", "a snapshot of the machine that was taken before, or none")
	fl.StringVar(&f.toCase, "to-case", "", "make a test case of a report in this directory")
	return c
}

func (f *bugReportFlags) run(c *cobra.Command) error {
	r := &report.Report{}
	f.records(r)
	f.imageOf(r)
	f.machineOf(r)
	r.AddFrom("mounts", "/proc/self/mountinfo", true)
	r.AddFrom("modules", "/proc/modules", true)
	r.AddFrom("os-release", "/etc/os-release", true)
	if b, err := os.ReadFile("/proc/cmdline"); err != nil {
		r.Missed("cmdline", err)
	} else {
		r.AddCommandLine("cmdline", string(b))
	}
	if text, err := kernelLog(); err != nil {
		r.Missed("kernel.log", err)
	} else {
		r.AddKernelLog("kernel.log", text)
	}
	r.AddText("about", about(r.Missing))
	if err := writePrivate(f.output, r); err != nil {
		return err
	}
	for _, m := range r.Missing {
		fmt.Fprintf(c.ErrOrStderr(), "firstlight: not in the report: %s\n", m)
	}
	st, err := os.Stat(f.output)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %d files, %d bytes\n", f.output, len(r.Files), st.Size())
	return nil
}

// records adds those of the boot, and the reasons of failed ones.
func (f *bugReportFlags) records(r *report.Report) {
	for _, name := range []string{journalName, inputsName, "summary"} {
		b, err := readRecord(f.boot, name)
		if err != nil {
			r.Missed("boot/"+name, err)
			continue
		}
		r.Add("boot/"+name, b)
	}
	failed, err := filepath.Glob(filepath.Join(f.boots, "*", "failure.txt"))
	if err != nil {
		r.Missed("failures", err)
	}
	for _, p := range failed {
		name := "failures/" + filepath.Base(filepath.Dir(p))
		r.AddFrom(name+".txt", p, true)
		// The last records are not always there.
		if last := filepath.Join(filepath.Dir(p), "journal"); exists(last) {
			r.AddFrom(name+".journal", last, true)
		}
	}
}

// imageNames are where images are by custom; the running kernel's release is
// put in for %s.
var imageNames = [...]string{"/boot/firstlight-%s.img", "/boot/initrd.img-%s", "/boot/initramfs-%s.img", "/boot/initramfs-%s", "/boot/initrd-%s",
	"/boot/firstlight.img", "/boot/initramfs-linux.img"}

// imageOf adds the list of what is in the image, and what it says of itself.
func (f *bugReportFlags) imageOf(r *report.Report) {
	name := f.image
	if name == "" {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			r.Missed("image", err)
			return
		}
		for _, pattern := range imageNames {
			p := strings.ReplaceAll(pattern, "%s", unix.ByteSliceToString(u.Release[:]))
			if _, err := os.Stat(p); err == nil {
				name = p
				break
			}
		}
	}
	if name == "" {
		r.Missed("image", errors.New("none was found in /boot: name it with --image"))
		return
	}
	b, err := readImage(name)
	if err != nil {
		r.Missed("image", err)
		return
	}
	var list, said bytes.Buffer
	fmt.Fprintf(&list, "%s\n%d bytes\nsha256 %x\n\n", name, len(b), sha256.Sum256(b))
	if err := runLs(&list, name, nil, lsFlags{}); err != nil {
		r.Missed("image", err)
		return
	}
	r.AddText("image.list", list.String())
	if err := image.Cat(&said, b, "etc/firstlight/image", image.Limits{}); err != nil {
		r.Missed("image.said", fmt.Errorf("%s is no image of Firstlight's: %w", name, err))
		return
	}
	r.AddText("image.said", said.String())
}

// machineOf adds the snapshot of the machine. Keyslots are left out.
func (f *bugReportFlags) machineOf(r *report.Report) {
	var s *snapshot.Snapshot
	var err error
	switch f.snapshot {
	case "none":
		return
	case "":
		s, err = snapshot.Take(snapshot.Host("firstlight "+version.Version, ""))
	default:
		var file *os.File
		if file, err = os.Open(f.snapshot); err == nil {
			s, err = snapshot.Read(file)
			file.Close()
		}
	}
	var b bytes.Buffer
	if err == nil {
		err = snapshot.Write(&b, s.WithoutKeys())
	}
	if err != nil {
		r.Missed("machine.snapshot", err)
		return
	}
	r.Add("machine.snapshot", b.Bytes())
}

// about says what made the report and what is not in it.
func about(missing []string) string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	text := func(b [65]byte) string { return unix.ByteSliceToString(b[:]) }
	var b strings.Builder
	fmt.Fprintf(&b, "firstlight %s\nkernel %s %s %s\nmade %s\n", version.Version, text(u.Release), text(u.Version), text(u.Machine),
		time.Now().UTC().Format(time.RFC3339))
	for _, m := range missing {
		fmt.Fprintf(&b, "missing %s\n", m)
	}
	return b.String()
}

// kernelLog reads the kernel's ring buffer.
func kernelLog() (string, error) {
	const readAll = 3 // SYSLOG_ACTION_READ_ALL
	b := make([]byte, 4<<20)
	n, err := unix.Klogctl(readAll, b)
	if err != nil {
		return "", fmt.Errorf("the kernel's log: %w", err)
	}
	return string(b[:n]), nil
}

// writePrivate writes an archive whole or not at all, for its owner alone.
func writePrivate(name string, r *report.Report) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := r.Write(tmp); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

func (f *bugReportFlags) makeCase(c *cobra.Command, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := report.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := r.Case(f.toCase, packed); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: made of %s\n", f.toCase, name)
	res, err := replayOf(f.toCase)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "firstlight: it cannot be replayed yet: %v\n", err)
		return nil
	}
	return printReplay(c.OutOrStdout(), res, false)
}

func packed(b []byte) ([]byte, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(b, nil), nil
}
