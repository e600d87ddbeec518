package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
	"firstlight/internal/inventory"
)

// The exit codes of diff that differ from those of other commands: they are
// those of diff(1).
const (
	exitDiffer  = 1
	exitTrouble = 2
)

type diffFlags struct {
	json, all, quiet bool
}

func diffCommand() *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what is different between two images",
		Long: `Compare two initramfs images of any makers by what they hold: kernel modules by
name, firmware by the name that drivers ask for, libraries by the name that
programs ask for, settings line by line. The release of the kernel, compression,
the order of entries and /usr before a path make no difference.

For what only one image has it says who needs it there, as far as the image
tells: its manifest if Firstlight made it, else dependencies of modules, the
libraries and interpreters of programs, and the firmware that modules name.

Exit codes: 0 nothing differs; 1 something does; 2 it could not be done, or the
command line is wrong; 3 an image is not valid; 4 it is not there.`,
		Example: `  firstlight diff /boot/firstlight.img.old /boot/firstlight.img
  firstlight diff --all /boot/initrd.img-6.1.0-13-amd64 /boot/initrd.img-6.1.0-18-amd64
  firstlight diff --json a.img b.img | jq '.groups[] | select(.kind == "kernel modules") | .added[].name'`,
		Args: args(2, 2, "two images"),
		RunE: func(c *cobra.Command, a []string) error {
			err := runDiff(c.OutOrStdout(), a[0], a[1], f)
			var said exitError
			if err != nil && !errors.As(err, &said) && exitCode(err) == ExitFailed {
				say(c.ErrOrStderr(), err)
				return exitError(exitTrouble)
			}
			return err
		},
	}
	fl := c.Flags()
	fl.BoolVarP(&f.all, "all", "a", false, "list everything: directories, links, and all lines of texts")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing; the exit code tells")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func runDiff(out io.Writer, nameA, nameB string, f diffFlags) error {
	a, err := imageInventory(nameA)
	if err != nil {
		return err
	}
	b, err := imageInventory(nameB)
	if err != nil {
		return err
	}
	d, err := inventory.Compare(a, b, image.Limits{})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	switch {
	case f.quiet:
	case f.json:
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		if err := enc.Encode(diffJSON(d)); err != nil {
			return err
		}
	default:
		printDiff(w, nameA, nameB, d, f.all)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !d.Same() {
		return exitError(exitDiffer)
	}
	return nil
}

// shownLines is how many lines of a text, and shownNames how many links and the
// like, are shown without --all.
const (
	shownLines = 12
	shownNames = 8
)

// printDiff writes the difference for a person; an error of w stays until its
// Flush.
func printDiff(w *bufio.Writer, nameA, nameB string, d *inventory.Difference, all bool) {
	printFacts(w, "A", nameA, d.A)
	printFacts(w, "B", nameB, d.B)
	if d.Same() {
		fmt.Fprintln(w, "They hold the same.")
		return
	}
	for _, g := range d.Groups {
		var counts []string
		for _, c := range []struct {
			list []inventory.Change
			word string
		}{{g.Added, "added"}, {g.Removed, "removed"}, {g.Changed, "changed"}} {
			if len(c.list) > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", len(c.list), c.word))
			}
		}
		fmt.Fprintf(w, "\n%s: %s, %d the same, %s\n", g.Kind, strings.Join(counts, ", "), g.Same, signed(g.Packed))
		limit := len(g.Added) + len(g.Removed) + len(g.Changed)
		if minor := g.Kind == inventory.Directory || g.Kind == inventory.Link; minor && !all {
			limit = shownNames
		}
		printChanges(w, g, limit, all)
	}
	printLines(w, "kernel parameters in the image", d.Cmdline, all)
	printLines(w, "bootconfig", d.Bootconfig, all)
}

func printFacts(w *bufio.Writer, letter, name string, f inventory.Facts) {
	maker, kernels := f.Maker, strings.Join(f.Kernels, ", ")
	if maker == "" {
		maker = "an unknown tool"
	}
	if kernels == "" {
		kernels = "no kernel in particular"
	}
	fmt.Fprintf(w, "%s: %s\n   by %s, for %s; %s, unpacked %s, %s in %s\n", letter, name, printable(maker), printable(kernels),
		inventory.Size(f.Bytes), inventory.Size(f.Unpacked), plural(f.Files, "file"), plural(f.Frames, "segment"))
}

func signed(n int64) string {
	if n >= 0 {
		return "+" + inventory.Size(n)
	}
	return inventory.Size(n)
}

func printChanges(w *bufio.Writer, g inventory.Group, limit int, all bool) {
	shown := 0
	each := func(list []inventory.Change, mark string) {
		for _, c := range list {
			if shown++; shown > limit {
				continue
			}
			it := c.B
			if it == nil {
				it = c.A
			}
			detail := strings.Join(c.What, "; ")
			if detail == "" {
				detail = c.Why
			}
			size := ""
			if it.Size > 0 && it.Target == "" && mark != "~" {
				size = inventory.Size(it.Size)
			}
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %s %-32s %9s  %s", mark, printable(c.Name), size, printable(detail)), " "))
			for i, l := range c.Lines {
				if i == shownLines && !all {
					fmt.Fprintf(w, "      … %s more\n", plural(len(c.Lines)-i, "line"))
					break
				}
				fmt.Fprintf(w, "      %s\n", printable(l))
			}
		}
	}
	each(g.Added, "+")
	each(g.Removed, "-")
	each(g.Changed, "~")
	if shown > limit {
		fmt.Fprintf(w, "  … %d more, shown by --all\n", shown-limit)
	}
}

func printLines(w *bufio.Writer, title string, lines []string, all bool) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for i, l := range lines {
		if i == shownLines && !all {
			fmt.Fprintf(w, "  … %s more\n", plural(len(lines)-i, "line"))
			return
		}
		fmt.Fprintf(w, "  %s\n", printable(l))
	}
}

// The JSON of diff. Sizes are in bytes; "packed" is a share of the image file,
// estimated.
type (
	diffOut struct {
		A          diffFacts   `json:"a"`
		B          diffFacts   `json:"b"`
		Same       bool        `json:"same"`
		Groups     []diffGroup `json:"groups"`
		Cmdline    []string    `json:"cmdline"`
		Bootconfig []string    `json:"bootconfig"`
	}
	diffFacts struct {
		Maker    string   `json:"maker"`
		Kernels  []string `json:"kernels"`
		Bytes    int64    `json:"bytes"`
		Unpacked int64    `json:"unpacked"`
		Segments int      `json:"segments"`
		Files    int      `json:"files"`
	}
	diffGroup struct {
		Kind    string       `json:"kind"`
		Same    int          `json:"same"`
		Packed  int64        `json:"packed"`
		Added   []diffChange `json:"added"`
		Removed []diffChange `json:"removed"`
		Changed []diffChange `json:"changed"`
	}
	diffChange struct {
		Name   string    `json:"name"`
		A      *diffItem `json:"a,omitempty"`
		B      *diffItem `json:"b,omitempty"`
		What   []string  `json:"what,omitempty"`
		Lines  []string  `json:"lines,omitempty"`
		Why    string    `json:"why,omitempty"`
		Packed int64     `json:"packed"`
	}
	diffItem struct {
		Path   string `json:"path"`
		Mode   string `json:"mode"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256,omitempty"`
		Target string `json:"target,omitempty"`
	}
)

func diffJSON(d *inventory.Difference) diffOut {
	facts := func(f inventory.Facts) diffFacts {
		return diffFacts{f.Maker, orEmpty(f.Kernels), f.Bytes, f.Unpacked, f.Frames, f.Files}
	}
	item := func(it *inventory.Item) *diffItem {
		if it == nil {
			return nil
		}
		return &diffItem{it.Path, modeString(it.Mode), it.Size, it.Sum, it.Target}
	}
	changes := func(list []inventory.Change) []diffChange {
		out := []diffChange{}
		for _, c := range list {
			out = append(out, diffChange{c.Name, item(c.A), item(c.B), c.What, c.Lines, c.Why, c.Packed})
		}
		return out
	}
	out := diffOut{A: facts(d.A), B: facts(d.B), Same: d.Same(), Groups: []diffGroup{}, Cmdline: orEmpty(d.Cmdline), Bootconfig: orEmpty(d.Bootconfig)}
	for _, g := range d.Groups {
		out.Groups = append(out.Groups, diffGroup{string(g.Kind), g.Same, g.Packed, changes(g.Added), changes(g.Removed), changes(g.Changed)})
	}
	return out
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
