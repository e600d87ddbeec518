package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"firstlight/internal/inventory"
	"firstlight/internal/treemap"
)

type sizeFlags struct {
	json, unpacked bool
	by, svg        string
	width, height  int
	largest        int
}

func sizeCommand() *cobra.Command {
	var f sizeFlags
	c := &cobra.Command{
		Use:   "size IMAGE",
		Short: "Show what the bytes of an image are used for",
		Long: `Draw a map of an initramfs image of any maker: nested boxes whose areas are the
sizes of what they stand for. Below it is a table of the kinds of files, and the
largest files.

The size of a file is its share of the image file. That is an estimate: what is
compressed together is taken to shrink alike. With --unpacked it is the memory
that the file takes once it is unpacked.

--svg writes the map as a picture, in which the pointer shows the names of what
is too small for one. --json prints the tree.

` + exitText,
		Example: `  firstlight size /boot/initrd.img
  firstlight size --by path --unpacked /boot/initrd.img
  firstlight size --svg map.svg /boot/initrd.img`,
		Args: args(1, 1, "one image"),
		RunE: func(c *cobra.Command, a []string) error {
			if by := inventory.By(f.by); by != inventory.ByKind && by != inventory.ByPath && by != inventory.BySegment {
				return usagef("--by %q: it is kind, path or segment", f.by)
			}
			if f.width < 0 || f.height < 0 || f.width > 1000 || f.height > 1000 || f.largest < 0 {
				return usagef("--width and --height are from 0 to 1000, --largest is not negative")
			}
			return runSize(c.OutOrStdout(), a[0], f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.by, "by", string(inventory.ByKind), "what goes together: kind, path or segment")
	fl.BoolVarP(&f.unpacked, "unpacked", "u", false, "measure the unpacked content")
	fl.StringVar(&f.svg, "svg", "", "write the map to a file, as SVG")
	fl.BoolVar(&f.json, "json", false, "print the tree as JSON")
	fl.IntVar(&f.width, "width", 0, "of the map, in characters (default the terminal's, or 80)")
	fl.IntVar(&f.height, "height", 0, "of the map, in lines (default a third of the width)")
	fl.IntVar(&f.largest, "largest", 10, "how many files to name")
	return c
}

func runSize(out io.Writer, name string, f sizeFlags) error {
	inv, err := imageInventory(name)
	if err != nil {
		return err
	}
	root := inv.Tree(filepath.Base(name), inventory.By(f.by), f.unpacked)
	if f.json {
		root.Tidy(0)
		enc := json.NewEncoder(out)
		enc.SetIndent("", " ")
		return enc.Encode(root)
	}
	root.Tidy(root.Size / 2000)
	if f.svg != "" {
		b := treemap.SVG(root, treemap.Options{Width: 1200, Height: 720, Label: inventory.Size})
		if err := os.WriteFile(f.svg, b, 0o644); err != nil {
			return fmt.Errorf("--svg: %w", err)
		}
	}
	o := treemap.Options{Width: f.width, Height: f.height, Label: inventory.Size}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		o.Color = useColor()
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && o.Width == 0 {
			o.Width = min(w, 1000)
		}
	}
	if o.Width == 0 {
		o.Width = 80
	}
	if o.Height == 0 {
		o.Height = max(o.Width/3, 8)
	}
	w := bufio.NewWriter(out)
	_, _ = w.WriteString(treemap.Text(root, o)) // an error stays until Flush
	sizeTable(w, inv, f)
	return w.Flush()
}

// sizeTable writes the kinds and the largest files; an error of w stays until
// its Flush.
func sizeTable(w *bufio.Writer, inv *inventory.Inventory, f sizeFlags) {
	type row struct {
		files            int
		packed, unpacked int64
	}
	rows := map[inventory.Kind]*row{}
	for _, it := range inv.Items {
		r := rows[it.Kind]
		if r == nil {
			r = &row{}
			rows[it.Kind] = r
		}
		r.files++
		r.packed += it.Packed
		r.unpacked += it.Size
	}
	fmt.Fprintf(w, "\n%-16s %7s %11s %6s %11s\n", "", "files", "in the file", "", "unpacked")
	for _, k := range inventory.Kinds() {
		if r := rows[k]; r != nil {
			fmt.Fprintf(w, "%-16s %7d %11s %5.1f%% %11s\n", k, r.files, inventory.Size(r.packed), 100*float64(r.packed)/float64(max(inv.Bytes, 1)), inventory.Size(r.unpacked))
		}
	}
	fmt.Fprintf(w, "%-16s %7d %11s %6s %11s\n", "all", len(inv.Items), inventory.Size(inv.Bytes), "", inventory.Size(inv.Unpacked))
	list := slices.Clone(inv.Items)
	size := func(it *inventory.Item) int64 {
		if f.unpacked {
			return it.Size
		}
		return it.Packed
	}
	slices.SortStableFunc(list, func(a, b *inventory.Item) int { return cmp.Compare(size(b), size(a)) })
	if n := min(f.largest, len(list)); n > 0 {
		fmt.Fprintf(w, "\nthe largest:\n")
		for _, it := range list[:n] {
			fmt.Fprintf(w, "%11s  %s\n", inventory.Size(size(it)), printable(it.Path))
		}
	}
	if inv.Maker != "" {
		fmt.Fprintf(w, "\nmade by %s, %s\n", printable(inv.Maker), plural(len(inv.Frames), "segment"))
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
