package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firstlight/internal/bootdoc"
)

func manCommand(root *cobra.Command) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Write the manual pages into the directories man5, man7 and man8 of DIR: one for
each command in section 8, from the source of what --help prints, firstlight.toml(5),
firstlight(7) and firstlight-cmdline(7). The pages are the same whenever they are written.`,
		Example: "  firstlight man /usr/local/share/man",
		Args:    args(0, 1, "a directory"),
		RunE: func(_ *cobra.Command, a []string) error {
			if len(a) == 1 {
				dir = a[0]
			}
			if dir == "" {
				return usagef("man needs a directory to write to")
			}
			for _, section := range []string{"man5", "man7", "man8"} {
				if err := os.MkdirAll(filepath.Join(dir, section), 0o755); err != nil {
					return err
				}
			}
			for name, text := range map[string]string{"man7/firstlight.7": overview, "man7/firstlight-cmdline.7": bootdoc.Man(), "man5/firstlight.toml.5": configPage()} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					return err
				}
			}
			return writePages(root, filepath.Join(dir, "man8"))
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the same as the argument DIR")
	return c
}

// overview is firstlight(7).
const overview = `.TH FIRSTLIGHT 7 "" "Firstlight"
.SH NAME
firstlight \- an event\-driven initramfs
.SH DESCRIPTION
Firstlight is the small system that the kernel starts first. It finds the root
filesystem, assembles, unlocks and checks what that is on, mounts it, and starts
the real init. It is one static program, /init, in an image that
.BR firstlight\-build (8)
makes.
.PP
It acts on events. The kernel reports a device; udev rules, compiled into the
image, say what it is and load its driver; arrays, volume groups, encrypted
devices and filesystems that it is part of are dealt with as soon as they are
complete; each reaction makes the kernel report more. Nothing is polled, and no
time passes unused on a boot that succeeds. Hibernation images are resumed before
anything is written.
.SH WHILE IT WAITS
After 5 seconds without progress one line on the console says what is waited for,
why, since when, and what happens at the deadline. After 10 seconds the whole
situation is explained. A goal that is not met after 90 seconds is given up: a
screen says what was wanted, what is there, what is missing and what to try. Then
follows a shell if the image has one, or what
.B panic=
and
.B rd.emergency=
ask for. Devices that come later still count: the boot goes on by itself.
.SH FILES
.TP
.IR /etc/firstlight.toml ", " /etc/firstlight.d/*.toml
Configuration of the builder, see
.BR firstlight.toml (5).
.TP
.I /etc/firstlight/features/
Features of your own.
.TP
.I /run/firstlight/journal
The record of the last boot, for
.BR firstlight\-trace (8).
.TP
.I /run/firstlight/summary
What the last boot cost, as key=value lines.
.SH GOING BACK
An image is a file beside those of the distribution, with a boot entry of its own.
Keep the old image and its entry, and choose that to go back.
.SH SEE ALSO
.BR firstlight (8),
.BR firstlight\-build (8),
.BR firstlight.toml (5),
.BR firstlight\-boot (8),
.BR firstlight\-trace (8),
.BR firstlight\-cmdline (7)
`

func writePages(c *cobra.Command, dir string) error {
	if c.Name() == "help" || c.Hidden {
		return nil
	}
	name := filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".8")
	var b strings.Builder
	manPage(&b, c)
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// manPage writes the page of one command in man(7) macros.
func manPage(w io.Writer, c *cobra.Command) {
	title := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(w, ".TH %s 8 \"\" \"Firstlight\"\n", roff(strings.ToUpper(title)))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(title), roff(lower(c.Short)))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	text, codes, _ := strings.Cut(text, "Exit codes: ")
	fmt.Fprintf(w, ".SH DESCRIPTION\n")
	paragraphs(w, text)
	if subs := c.Commands(); len(subs) > 0 {
		fmt.Fprintf(w, ".SH COMMANDS\n")
		for _, s := range subs {
			if s.Name() == "help" || s.Hidden {
				continue
			}
			fmt.Fprintf(w, ".TP\n.BR %s (8)\n%s\n", roff(title+"-"+s.Name()), roff(s.Short))
		}
	}
	header := false
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if !header {
			header = true
			fmt.Fprintf(w, ".SH OPTIONS\n")
		}
		kind, usage := pflag.UnquoteUsage(f)
		opt := "--" + f.Name
		if f.Shorthand != "" {
			opt = "-" + f.Shorthand + ", " + opt
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(opt+" "+kind)), roff(usage))
	})
	if codes != "" {
		fmt.Fprintf(w, ".SH EXIT STATUS\n%s\n", roff(strings.TrimSpace(codes)))
	}
	if c.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
}

// paragraphs writes text; indented blocks stay as they are.
func paragraphs(w io.Writer, text string) {
	// What is to be typed is set in by blanks, or by a tab in the texts of cobra.
	text = strings.ReplaceAll(text, "\n\t", "\n  ")
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		switch {
		case strings.HasPrefix(p, "  "):
			fmt.Fprintf(w, ".PP\n.nf\n%s\n.fi\n", roff(p))
		case i > 0:
			fmt.Fprintf(w, ".PP\n%s\n", roff(p))
		default:
			fmt.Fprintf(w, "%s\n", roff(p))
		}
	}
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// roff keeps text from being read as markup.
func roff(s string) string { return bootdoc.Roff(s) }
