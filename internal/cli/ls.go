package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/inventory"
)

// maxImage bounds an image file, in bytes.
const maxImage = 4 << 30

// readImage reads an image file.
func readImage(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is not a file: %w", name, image.ErrImage)
	}
	if st.Size() > maxImage {
		return nil, fmt.Errorf("%s: %d bytes are more than an image has: %w", name, st.Size(), image.ErrImage)
	}
	return os.ReadFile(name)
}

// lsEntry is an entry as --json prints it, one a line.
type lsEntry struct {
	Archive     int    `json:"archive"`
	Offset      int64  `json:"offset"`
	Compression string `json:"compression"`
	Section     string `json:"section,omitempty"`
	Path        string `json:"path"`
	Type        string `json:"type"`
	Mode        string `json:"mode"`
	UID         uint32 `json:"uid"`
	GID         uint32 `json:"gid"`
	Nlink       uint32 `json:"nlink"`
	Size        uint32 `json:"size"`
	Target      string `json:"target,omitempty"`
	Major       uint32 `json:"major,omitempty"`
	Minor       uint32 `json:"minor,omitempty"`
	Mtime       uint32 `json:"mtime"`
}

type lsFlags struct {
	json, long, names, segments bool
}

func lsCommand() *cobra.Command {
	var f lsFlags
	c := &cobra.Command{
		Use:   "ls IMAGE [PATTERN…]",
		Short: "List what is in an image",
		Long: `List the entries of an initramfs image of any maker, archive by archive, as the
kernel would unpack them. The image may consist of several archives, plain or
compressed with gzip, bzip2, lzma, xz, lzo, lz4 or zstd, have a bootconfig at its
end, or be a unified kernel image.

A PATTERN chooses entries: a path, with * and ? for parts of a name, and all
that is below it. Without a slash it is looked for as a name at any depth.

--segments lists the pieces of the file instead: where each begins, how it is
compressed, how much it holds. With --json each entry, or piece, is one line of
JSON.

` + exitText,
		Example: `  firstlight ls /boot/firstlight.img
  firstlight ls -l /boot/initrd.img etc '*.ko*'
  firstlight ls --segments /boot/initrd.img
  firstlight ls --json /boot/initrd.img | jq -r 'select(.size > 1000000) | .path'`,
		Args: args(1, -1, "an image and patterns"),
		RunE: func(c *cobra.Command, a []string) error {
			if f.long && f.names {
				return usagef("--long and --names exclude each other")
			}
			for _, p := range a[1:] {
				if _, err := path.Match(p, ""); err != nil {
					return usagef("pattern %q: %v", p, err)
				}
			}
			return runLs(c.OutOrStdout(), a[0], a[1:], f)
		},
	}
	fl := c.Flags()
	fl.BoolVarP(&f.long, "long", "l", false, "show links, owners and times, and where a segment begins")
	fl.BoolVar(&f.names, "names", false, "show the names alone")
	fl.BoolVar(&f.segments, "segments", false, "list the pieces of the file")
	fl.BoolVar(&f.json, "json", false, "print JSON, one entry a line")
	return c
}

func runLs(out io.Writer, name string, patterns []string, f lsFlags) error {
	b, err := readImage(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 64<<10)
	switch {
	case f.segments:
		err = lsSegments(w, b, f.json)
	default:
		err = lsEntries(w, b, patterns, f)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	// What comes before the damage is listed.
	return errors.Join(err, w.Flush())
}

func lsEntries(w *bufio.Writer, b []byte, patterns []string, f lsFlags) error {
	enc := json.NewEncoder(w)
	shown, frame := 0, -1
	err := image.Walk(b, image.Limits{}, func(p image.Part, h *cpio.Header, body io.Reader) error {
		if len(patterns) > 0 && !chosen(patterns, h.Name) {
			return nil
		}
		shown++
		if f.names {
			_, _ = w.WriteString(printable(h.Name)) // an error stays until Flush
			return w.WriteByte('\n')
		}
		target := ""
		if h.Type() == cpio.TypeSymlink {
			t, err := io.ReadAll(io.LimitReader(body, cpio.MaxName))
			if err != nil {
				return fmt.Errorf("%s: %w: %w", h.Name, image.ErrImage, err)
			}
			target = string(t)
		}
		if f.json {
			return enc.Encode(lsEntry{p.Index, p.Offset, string(p.Compression), p.Section, h.Name, image.TypeName(h.Mode),
				fmt.Sprintf("%04o", h.Perm()), h.UID, h.GID, h.Nlink, h.Size, target, h.RdevMajor, h.RdevMinor, h.Mtime})
		}
		if f.long && p.Frame != frame {
			frame = p.Frame
			fmt.Fprintf(w, "segment %d at byte %d, %s%s:\n", frame, p.Offset, p.Compression, inSection(p.Section))
		}
		lsLine(w, h, target, f.long)
		return nil
	})
	if err == nil && shown == 0 && len(patterns) > 0 {
		return fmt.Errorf("nothing in it is called %s: %w", strings.Join(patterns, " or "), fs.ErrNotExist)
	}
	return err
}

// lsLine writes one entry; an error of w stays until its Flush.
func lsLine(w *bufio.Writer, h *cpio.Header, target string, long bool) {
	size := strconv.FormatUint(uint64(h.Size), 10)
	if t := h.Type(); t == cpio.TypeChar || t == cpio.TypeBlock {
		size = fmt.Sprintf("%d,%d", h.RdevMajor, h.RdevMinor)
	}
	_, _ = w.WriteString(modeString(h.Mode))
	if long {
		fmt.Fprintf(w, " %2d %5d %5d %9s %s", h.Nlink, h.UID, h.GID, size, time.Unix(int64(h.Mtime), 0).UTC().Format("2006-01-02 15:04"))
	} else {
		fmt.Fprintf(w, " %9s", size)
	}
	_, _ = w.WriteString(" " + printable(h.Name))
	if target != "" {
		_, _ = w.WriteString(" -> " + printable(target))
	}
	_ = w.WriteByte('\n')
}

func inSection(s string) string {
	if s == "" {
		return ""
	}
	return " in section " + s
}

// chosen says whether a name, or a directory above it, matches a pattern.
func chosen(patterns []string, name string) bool {
	for _, p := range patterns {
		anywhere := !strings.Contains(p, "/")
		p = strings.Trim(path.Clean("/"+p), "/")
		for n := name; n != "." && n != "/"; n = path.Dir(n) {
			if ok, _ := path.Match(p, n); ok { // patterns were looked at before
				return true
			}
			if ok, _ := path.Match(p, path.Base(n)); ok && anywhere {
				return true
			}
		}
	}
	return false
}

// lsSegment is a piece of the file as --segments --json prints it.
type lsSegment struct {
	Segment     int    `json:"segment"`
	Section     string `json:"section,omitempty"`
	What        string `json:"what"` // archives, bootconfig, section
	Offset      int64  `json:"offset"`
	Size        int64  `json:"size"`
	Compression string `json:"compression,omitempty"`
	Unpacked    int64  `json:"unpacked,omitempty"`
	Archives    int    `json:"archives,omitempty"`
	Entries     int    `json:"entries,omitempty"`
	First       string `json:"first,omitempty"` // what it begins with, apart from directories
}

func lsSegments(w *bufio.Writer, b []byte, asJSON bool) error {
	list, err := segments(b)
	if asJSON {
		enc := json.NewEncoder(w)
		for _, s := range list {
			if err := enc.Encode(s); err != nil {
				return err
			}
		}
		return err
	}
	fmt.Fprintf(w, "%7s %10s %10s %-11s %11s %7s  %s\n", "segment", "offset", "size", "compression", "unpacked", "entries", "what")
	for _, s := range list {
		number, unpacked, entries, what := strconv.Itoa(s.Segment), strconv.FormatInt(s.Unpacked, 10), strconv.Itoa(s.Entries), printable(s.First)+" …"
		if s.Section != "" {
			what = s.Section + ": " + what
		}
		if s.What != "archives" {
			number, unpacked, entries, what = "", "", "", strings.TrimSpace(s.What+" "+printable(s.Section))
		}
		fmt.Fprintf(w, "%7s %10d %10d %-11s %11s %7s  %s\n", number, s.Offset, s.Size, s.Compression, unpacked, entries, what)
	}
	return err
}

// segments are the pieces of an image file, those that could be read.
func segments(b []byte) ([]lsSegment, error) {
	c, err := image.Open(b)
	if err != nil {
		return nil, err
	}
	var out []lsSegment
	profiles := c.Profiles()
	for i, s := range c.Sections {
		out = append(out, lsSegment{Section: image.SectionName(profiles[i], s.Name), What: "section", Offset: s.Offset, Size: s.Size})
	}
	first := ""
	err = image.Visit(b, image.Limits{}, image.Visitor{
		Entry: func(_ image.Part, h *cpio.Header, _ io.Reader) error {
			if first == "" && h.Type() != cpio.TypeDir {
				first = h.Name
			}
			return nil
		},
		Frame: func(f image.Frame) error {
			out = append(out, lsSegment{Segment: f.Frame, Section: f.Section, What: "archives", Offset: f.Offset, Size: f.Size,
				Compression: string(f.Compression), Unpacked: f.Unpacked, Archives: f.Archives, Entries: f.Entries, First: first})
			first = ""
			return nil
		},
	})
	if t := c.Bootconfig; t != nil {
		out = append(out, lsSegment{Section: t.Section, What: "bootconfig", Offset: t.Offset, Size: t.Size})
	}
	return out, err
}

// printable is a text from an image without what a terminal would act on.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f || s[i] == 0xc2 { // the last begins the controls beyond ASCII
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}

// modeString is the mode as ls -l prints it.
func modeString(mode uint32) string {
	letter := map[uint32]byte{cpio.TypeDir: 'd', cpio.TypeSymlink: 'l', cpio.TypeChar: 'c',
		cpio.TypeBlock: 'b', cpio.TypeFIFO: 'p', cpio.TypeSocket: 's', cpio.TypeRegular: '-'}[mode&cpio.TypeMask]
	if letter == 0 {
		letter = '?'
	}
	m := []byte(string(letter) + fs.FileMode(mode & 0o777).String()[1:])
	for i, bit := range []uint32{0o4000, 0o2000, 0o1000} { // as s, s and t in the place of x
		if mode&bit == 0 {
			continue
		}
		at := &m[3*i+3]
		special := "sst"[i]
		if *at == '-' {
			special -= 'a' - 'A'
		}
		*at = special
	}
	return string(m)
}

// imageInventory reads what an image holds.
func imageInventory(name string) (*inventory.Inventory, error) {
	b, err := readImage(name)
	if err != nil {
		return nil, err
	}
	inv, err := inventory.Read(b, image.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return inv, nil
}
