package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/handler"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
	"firstlight/internal/mdsuper"
	"firstlight/internal/udevd/rules"
)

// Where an image keeps what /init reads (docs/image.md).
const (
	imageFile  = "/etc/firstlight/image"
	indexFile  = "/etc/firstlight/modules.idx"
	rulesFile  = "/etc/firstlight/rules.tab"
	cmdlineDir = "/etc/firstlight/cmdline.d"
)

// Image is an opened image: its files as the kernel would have unpacked them.
type Image struct {
	Info   handler.Image // what the image says of itself
	Mode   string        // host, generic, target
	Size   int64         // bytes of the file
	index  *kmod.Index
	rules  *rules.Table
	files  map[string]*imageFileEntry
	broken []string // why /init could not even begin
	ours   bool
}

// imageFileEntry is a file of an image.
type imageFileEntry struct {
	mode   uint32
	size   int64
	target string
	data   []byte
}

// maxUnpacked bounds an image, unpacked, in bytes: the largest generic ones
// have some hundred megabytes.
const maxUnpacked = 2 << 30

// Open reads an image. An error says that it is no image at all; one that
// cannot boot is for Run to say.
func Open(b []byte) (*Image, error) {
	im := &Image{files: map[string]*imageFileEntry{}, Size: int64(len(b))}
	type linkKey struct {
		part          int
		ino, maj, min uint32
	}
	hard := map[linkKey]*imageFileEntry{}
	err := image.Walk(b, image.Limits{Bytes: maxUnpacked}, func(p image.Part, h *cpio.Header, body io.Reader) error {
		name := im.place("/" + strings.TrimPrefix(path.Clean("/"+h.Name), "/"))
		f := &imageFileEntry{mode: h.Mode, size: int64(h.Size)}
		if h.Type() == cpio.TypeRegular || h.Type() == cpio.TypeSymlink {
			data, err := io.ReadAll(body)
			if err != nil {
				return fmt.Errorf("%s: %w: %w", name, image.ErrImage, err)
			}
			if h.Type() == cpio.TypeSymlink {
				f.target = string(data)
			} else {
				f.data = data
			}
		}
		if old := im.files[name]; old != nil && old.mode&cpio.TypeMask == cpio.TypeDir && h.Type() != cpio.TypeDir && im.holds(name) {
			return nil // a directory with something in it stays, as for the kernel
		}
		if h.Type() == cpio.TypeRegular && h.Nlink > 1 {
			k := linkKey{p.Index, h.Ino, h.DevMajor, h.DevMinor}
			if first := hard[k]; first != nil {
				if h.Size > 0 {
					first.data, first.size = f.data, f.size
				}
				f = first
			} else {
				hard[k] = f
			}
		}
		im.files[name] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	im.read()
	return im, nil
}

// holds says whether something is below a directory.
func (im *Image) holds(dir string) bool {
	for name := range im.files {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// place is where an entry goes: links among its directories are followed.
func (im *Image) place(name string) string {
	dir, base := path.Split(name)
	if real, ok := im.resolve(path.Clean(dir)); ok {
		return path.Join(real, base)
	}
	return name
}

// resolve follows every link of a path of the image; ok is false for a link
// that leads in circles.
func (im *Image) resolve(p string) (string, bool) {
	p = path.Clean("/" + p)
	for range 40 {
		next := p
		for i := 1; i <= len(p); i++ {
			if i < len(p) && p[i] != '/' {
				continue
			}
			if f := im.files[p[:i]]; f != nil && f.mode&cpio.TypeMask == cpio.TypeSymlink {
				target := f.target
				if !path.IsAbs(target) {
					target = path.Join(path.Dir(p[:i]), target)
				}
				next = path.Clean("/" + target + p[i:])
				break
			}
		}
		if next == p {
			return p, true
		}
		p = next
	}
	return p, false
}

// get returns the file that a path leads to, or nil.
func (im *Image) get(p string) *imageFileEntry {
	real, ok := im.resolve(p)
	if !ok {
		return nil
	}
	return im.files[real]
}

// Has says whether a path of the image leads to anything.
func (im *Image) Has(p string) bool { return im.get(p) != nil }

// executable says whether a path leads to a program.
func (im *Image) executable(p string) bool {
	f := im.get(p)
	return f != nil && f.mode&cpio.TypeMask == cpio.TypeRegular && f.mode&0o111 != 0
}

// content returns the bytes of a regular file.
func (im *Image) content(p string) ([]byte, error) {
	f := im.get(p)
	switch {
	case f == nil:
		return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
	case f.mode&cpio.TypeMask != cpio.TypeRegular:
		return nil, fmt.Errorf("read %s: it is a %s", p, image.TypeName(f.mode))
	}
	return f.data, nil
}

// text is the content of a file that need not be there.
func (im *Image) text(p string) string {
	b, err := im.content(p)
	if err != nil {
		return ""
	}
	return string(b)
}

// list returns the names in a directory, sorted.
func (im *Image) list(dir string) []string {
	real, _ := im.resolve(dir)
	var out []string
	for p := range im.files {
		if path.Dir(p) == real && p != "/" {
			out = append(out, path.Base(p))
		}
	}
	slices.Sort(out)
	return out
}

// read reads what /init reads before it begins, and notes for what it could
// not.
func (im *Image) read() {
	im.ours = im.Has(imageFile) || im.Has(indexFile) || im.Has(rulesFile)
	for line := range strings.SplitSeq(im.text(imageFile), "\n") {
		k, v, _ := strings.Cut(line, "=")
		switch k {
		case "version":
			im.Info.Version = v
		case "kernel":
			im.Info.Kernel = v
		case "mode":
			im.Mode = v
		case "features":
			im.Info.Features = strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })
		case "init":
			im.Info.Full = v == "full"
		case "hostname":
			im.Info.Hostname = v
		case "system_id":
			im.Info.SystemID = v
		case "extra_system_ids":
			im.Info.ExtraSystemIDs = strings.Fields(v)
		}
	}
	im.Info.Crypttab = im.text("/etc/crypttab")
	im.Info.MdadmConf = mdsuper.ConfText(im.text, im.list)
	stop := func(why string) { im.broken = append(im.broken, why) }
	switch f := im.get("/init"); {
	case f == nil:
		stop("the image has no /init: the kernel finds nothing to start in it, and panics")
	case f.mode&cpio.TypeMask != cpio.TypeRegular || f.mode&0o111 == 0:
		stop("/init in the image cannot be executed: the kernel panics")
	case !bytes.HasPrefix(f.data, []byte("\x7fELF")):
		stop("/init in the image is not a program (ELF): the kernel panics")
	case cutOff(f.data):
		stop("/init in the image is cut off: it ends before what it is to load")
	}
	b, err := im.content(indexFile)
	if err == nil {
		im.index, err = kmod.OpenIndex(b)
	}
	if err != nil {
		stop("firstlight cannot start: " + indexFile + ": " + cause(err))
	}
	if b, err = im.content(rulesFile); err == nil {
		im.rules, err = rules.Open(b)
	}
	if err != nil {
		stop("firstlight cannot start: " + rulesFile + ": " + cause(err))
	}
}

// cutOff says whether a program (ELF, 64 bits, little endian) ends before the
// segments that the kernel would load of it. The section headers do not count.
func cutOff(program []byte) bool {
	const header, segment, load = 64, 56, 1 // sizes; PT_LOAD
	le := binary.LittleEndian
	if len(program) < header {
		return true
	}
	at, size, n := le.Uint64(program[0x20:]), uint64(le.Uint16(program[0x36:])), uint64(le.Uint16(program[0x38:]))
	for i := range n {
		off := at + i*size
		if at > uint64(len(program)) || size < segment || off+segment > uint64(len(program)) {
			return true
		}
		h := program[off:]
		from, length := le.Uint64(h[8:]), le.Uint64(h[32:])
		if le.Uint32(h) == load && (from > uint64(len(program)) || length > uint64(len(program))-from) {
			return true
		}
	}
	return false
}

func cause(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it is not in the image"
	}
	return err.Error()
}

// config is the typed configuration of a boot of the image with a kernel
// command line, as /init reads it.
func (im *Image) config(cmdline string) (*bootcmd.Config, []bootcmd.Problem) {
	var sources []bootcmd.Source
	for _, n := range im.list(cmdlineDir) {
		if !strings.HasSuffix(n, ".conf") {
			continue
		}
		p := path.Join(cmdlineDir, n)
		if b, err := im.content(p); err == nil {
			sources = append(sources, bootcmd.Source{Name: p, Text: string(b)})
		}
	}
	return bootcmd.Parse(append(sources, bootcmd.Source{Name: "/proc/cmdline", Text: cmdline})...)
}
