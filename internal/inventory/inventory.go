// Package inventory says what an image of any maker holds, in the words of
// whoever asks: kernel modules, firmware, programs, settings; which tool made
// it; why something is in it, as far as the image itself tells; and what is
// different in another.
//
// Builder only. It reads bytes and returns values: no files, no clock.
package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/image/elf"
)

// Inventory is what an image holds.
type Inventory struct {
	Maker      string        // "dracut 106", "" if unknown
	Kernels    []string      // releases that the modules are for
	Frames     []image.Frame // in the order of the file
	Items      []*Item       // in the order of their paths
	Bytes      int64         // of the file
	Unpacked   int64         // of all archives
	Cmdline    []string      // kernel parameters that the image brings along, as lines
	Bootconfig string
	Sections   []string // of a unified kernel image

	byPath  map[string]*Item
	modules map[string]*Item // by name, once asked for
	view    *image.View
	data    []byte
}

// Item is one file, link, directory or node, as it is once all archives are
// unpacked.
type Item struct {
	Path   string
	Kind   Kind
	Mode   uint32 // type and permissions as in stat(2)
	UID    uint32
	GID    uint32
	Size   int64  // bytes of content
	Packed int64  // its share of the file, estimated by its size: bytes
	Target string // of a symlink
	Sum    string // SHA-256 of the content of a regular file, hexadecimal
	Text   string // content, if it is text that a person reads
	Why    []string

	key     string // what it is compared by
	name    string // of a module, or of a firmware file
	entry   int
	frame   int
	link    bool // another name for a file that was counted already
	linking elf.Linking
	module  *module
}

// maxText is the largest text that is kept, in bytes.
const maxText = 128 << 10

// maxELF is the largest program that is looked into, in bytes.
const maxELF = 256 << 20

// content is what one pass over an entry's content finds out.
type content struct {
	sum     string
	text    string
	script  bool
	elf     bool
	linking elf.Linking
}

// Read reads an image.
func Read(b []byte, limits image.Limits) (*Inventory, error) {
	inv := &Inventory{Bytes: int64(len(b)), byPath: map[string]*Item{}, data: b}
	found := map[int]*content{}
	var err error
	inv.view, err = image.NewViewOf(b, limits, func(entry int, h *cpio.Header, body io.Reader) error {
		c, err := look(h, body)
		found[entry] = c
		return err
	}, func(f image.Frame) error {
		inv.Frames = append(inv.Frames, f)
		inv.Unpacked += f.Unpacked
		return nil
	})
	if err != nil {
		return nil, err
	}
	counted := map[int]bool{}
	for _, e := range inv.view.Entries() {
		it := &Item{Path: e.Path, Mode: e.Header.Mode, UID: e.Header.UID, GID: e.Header.GID, Target: e.Target, entry: e.Entry, frame: e.Frame}
		if e.Header.Type() == cpio.TypeRegular {
			it.Size = int64(e.Header.Size)
			if c := found[e.Entry]; c != nil {
				it.Sum, it.Text, it.linking = c.sum, c.text, c.linking
			}
			it.link = counted[e.Entry]
			counted[e.Entry] = true
		}
		it.classify(found[e.Entry])
		if f := inv.Frames[e.Frame]; f.Unpacked > 0 && !it.link {
			// 110 bytes of header and the name belong to it as well.
			it.Packed = int64(float64(f.Size) * float64(it.Size+110+int64(len(e.Path))) / float64(f.Unpacked))
		}
		inv.Items = append(inv.Items, it)
		inv.byPath[it.Path] = it
	}
	if err := inv.around(b); err != nil {
		return nil, err
	}
	inv.identify()
	return inv, nil
}

// Get returns what is at a path, symlinks followed, or nil.
func (inv *Inventory) Get(p string) *Item {
	to, err := inv.view.Resolve(p)
	if err != nil {
		return nil
	}
	return inv.byPath[to]
}

// look reads the content of one entry once.
func look(h *cpio.Header, body io.Reader) (*content, error) {
	sum := sha256.New()
	var head [4]byte
	n, err := io.ReadFull(body, head[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	sum.Write(head[:n])
	c := &content{elf: string(head[:n]) == "\x7fELF", script: strings.HasPrefix(string(head[:n]), "#!")}
	isModule := moduleName(h.Name) != ""
	switch {
	case c.elf && !isModule && int64(h.Size) <= maxELF:
		b, err := whole(head[:n], body, h.Size)
		if err != nil {
			return nil, err
		}
		sum.Write(b[n:])
		// One that cannot be read has no libraries that we know of.
		c.linking, _ = elf.ReadLinking(bytes.NewReader(b))
	case int(h.Size) <= textLimit(h.Name) && !c.elf && !isModule:
		b, err := whole(head[:n], body, h.Size)
		if err != nil {
			return nil, err
		}
		sum.Write(b[n:])
		if utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
			c.text = string(b)
		}
	default:
		if _, err := io.Copy(sum, body); err != nil {
			return nil, err
		}
	}
	c.sum = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// textLimit is the largest text of a name that is kept, in bytes: all of what
// says how the rest belongs together.
func textLimit(name string) int {
	if b := base(name); b == "modules.dep" || b == base(image.ManifestPath) {
		return 64 << 20
	}
	return maxText
}

func whole(head []byte, body io.Reader, size uint32) ([]byte, error) {
	// What a header says of a size is not believed before the bytes are there.
	var b bytes.Buffer
	b.Grow(int(min(size, 1<<20)) + bytes.MinRead)
	b.Write(head)
	_, err := b.ReadFrom(body)
	return b.Bytes(), err
}

// around reads what stands beside the archives.
func (inv *Inventory) around(b []byte) error {
	c, err := image.Open(b)
	if err != nil {
		return err
	}
	if c.Bootconfig != nil {
		inv.Bootconfig = string(c.Bootconfig.Text)
	}
	profiles := c.Profiles()
	for i, s := range c.Sections {
		inv.Sections = append(inv.Sections, image.SectionName(profiles[i], s.Name))
		if profiles[i] > 0 && s.Size > 0 {
			inv.section(image.SectionName(profiles[i], s.Name), b[s.Offset:s.Offset+s.Size])
		}
	}
	if text, ok := c.Section(b, ".cmdline"); ok && len(text) <= maxText && utf8.Valid(text) {
		inv.Cmdline = append(inv.Cmdline, strings.TrimSpace(strings.TrimRight(string(text), "\x00")))
	}
	for _, name := range []string{".uname", ".osrel", ".linux", ".dtb", ".splash", ".profile"} {
		if content, ok := c.Section(b, name); ok {
			inv.section(name, content)
		}
	}
	return nil
}

// section takes a section of a unified kernel image for a file: one that is text
// for a setting.
func (inv *Inventory) section(name string, content []byte) {
	sum := sha256.Sum256(content)
	it := &Item{Path: name, Kind: Data, Mode: cpio.TypeRegular | 0o444, Size: int64(len(content)), Packed: int64(len(content)),
		Sum: hex.EncodeToString(sum[:]), key: "section " + name}
	switch path.Base(name) {
	case ".cmdline", ".uname", ".osrel", ".profile":
		if len(content) > maxText || !utf8.Valid(content) {
			return
		}
		it.Kind, it.Text = Setting, strings.TrimRight(string(content), "\x00")
	}
	inv.Items = append(inv.Items, it)
	inv.byPath[name] = it
}

func sumOf(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

// base is the last part of a path.
func base(p string) string { return path.Base(p) }

// segmentOf is a name for the frame that an item is in.
func (inv *Inventory) segmentOf(it *Item) string {
	if strings.HasPrefix(it.key, "section ") {
		return "section " + it.Path
	}
	return SegmentName(inv.Frames[it.frame])
}

// SegmentName is a name for a frame of an image: "1 (zstd)".
func SegmentName(f image.Frame) string {
	name := fmt.Sprintf("%d (%s", f.Frame, f.Compression)
	if f.Section != "" {
		name += ", " + f.Section
	}
	return name + ")"
}
