package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Write a manual page for each command into DIR. They have the same source as the
help that --help prints. The pages are the same whenever they are written.`,
		Example: "  firstlight man /usr/local/share/man/man8",
		Args:    args(1, 1, "a directory"),
		RunE: func(_ *cobra.Command, a []string) error {
			if err := os.MkdirAll(a[0], 0o755); err != nil {
				return err
			}
			return writePages(root, a[0])
		},
	}
}

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
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
