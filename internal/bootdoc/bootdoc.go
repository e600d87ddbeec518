// Package bootdoc is the description of the kernel command line, in one
// place: docs/command-line.md and the manual page firstlight-cmdline(7) are
// made from it. It is for the builder, and no part of /init.
package bootdoc

import (
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
)

type section struct {
	title, intro string
	params       []param
}

type param struct {
	name  string // as package bootcmd has it
	usage string
	text  string
}

const intro = `The parameters of the kernel's command line that Firstlight reads. They may also
stand in files of the image, /etc/firstlight/cmdline.d/*.conf, as "firstlight
build --cmdline" writes them; those of the real command line win.

Parameters are separated by blanks, values with blanks stand in double quotes,
and - and _ in a name are the same. BOOL is 1, yes, true or on, or 0, no, false
or off; a parameter without its value is on. SECONDS are a number, or a time
span as in "1min 30s". An unknown rd. parameter and a value that cannot be read
are reported once, with the nearest name there is, and have no effect.

What is said of the network (ip=, nfsroot=, rd.neednet= …) is read by a helper
where the boot needs a network; docs/network.md describes it. An image with the
SSH server, or for volumes that Clevis has bound to servers, has a network as with
rd.neednet (docs/remote.md).`

// Markdown returns docs/command-line.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# The kernel command line\n\n<!-- Made from internal/bootdoc by go test ./internal/bootdoc -update. -->\n\n")
	b.WriteString(intro + "\n")
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.intro != "" {
			b.WriteString(s.intro + "\n\n")
		}
		b.WriteString("| parameter | meaning |\n|---|---|\n")
		for _, p := range s.params {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(p.usage, "|", `\|`), strings.ReplaceAll(p.text, "|", `\|`))
		}
	}
	b.WriteString("\n## Other spellings\n\nSpellings marked as old are reported when they are used.\n\n| spelling | stands for | |\n|---|---|---|\n")
	for _, a := range bootcmd.Spellings() {
		old := ""
		if a.Obsolete {
			old = "old"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", a.Old, stands(a), old)
	}
	b.WriteString("\n## Known, and not supported yet\n\nUsing one of these is reported; the boot goes on without it.\n\n| subject | parameters |\n|---|---|\n")
	for _, a := range unsupported() {
		fmt.Fprintf(&b, "| %s | `%s` |\n", a.Subject, strings.Join(a.Names, "` `"))
	}
	return b.String()
}

// unsupported are the subjects that no image has.
func unsupported() []bootcmd.Area {
	return slices.DeleteFunc(bootcmd.Areas(), func(a bootcmd.Area) bool { return a.Feature != "" })
}

func stands(a bootcmd.Spelling) string {
	if a.Value != "" {
		return a.Name + "=" + a.Value
	}
	return a.Name
}

// Man returns the manual page firstlight-cmdline(7) in man(7) macros.
func Man() string {
	var b strings.Builder
	b.WriteString(".TH FIRSTLIGHT\\-CMDLINE 7 \"\" \"Firstlight\"\n.SH NAME\nfirstlight\\-cmdline \\- kernel command line of Firstlight\n.SH DESCRIPTION\n")
	for i, p := range strings.Split(intro, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(Roff(p) + "\n")
	}
	for _, s := range sections {
		fmt.Fprintf(&b, ".SH %s\n", Roff(strings.ToUpper(s.title)))
		if s.intro != "" {
			b.WriteString(Roff(s.intro) + "\n")
		}
		for _, p := range s.params {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", Roff(p.usage), Roff(p.text))
		}
	}
	b.WriteString(".SH OTHER SPELLINGS\nThose that are obsolete are reported when they are used.\n")
	for _, a := range bootcmd.Spellings() {
		old := ""
		if a.Obsolete {
			old = " (obsolete)"
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s%s\n", Roff(a.Old), Roff(stands(a)), old)
	}
	b.WriteString(".SH NOT SUPPORTED YET\nUsing one of these is reported; the boot goes on without it.\n")
	for _, a := range unsupported() {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", Roff(a.Subject), Roff(strings.Join(a.Names, ", ")))
	}
	b.WriteString(".SH SEE ALSO\n.BR firstlight (7),\n.BR firstlight (8)\n")
	return b.String()
}

// Roff keeps text from being read as markup.
func Roff(s string) string {
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
