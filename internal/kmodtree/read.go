package kmodtree

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/kmod"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// MaxModule bounds one module, decompressed, in bytes. The largest of a
// distribution's kernel is below 10 MiB, with debug information below 100.
const MaxModule = 512 << 20

// ErrTooBig is returned for a module larger than MaxModule.
var ErrTooBig = errors.New("module is too big")

// Info is the section .modinfo of a module: what its source declares.
type Info struct {
	// Name is the module's name, "" in kernels before 4.12.
	Name string
	// Firmware are the files that it may ask for, below /lib/firmware.
	Firmware []string
	// Depends are the names of the modules whose symbols it uses.
	Depends []string
	// Softdeps are lines as in modprobe.d without the module:
	// "pre: crc32c post: x".
	Softdeps []string
	// Weakdeps are lines of names of modules that it may ask for.
	Weakdeps []string
	// Aliases are patterns.
	Aliases []string
	// Params are the names of its parameters.
	Params []string
	// Vermagic says which kernel it is for.
	Vermagic string
	// Version is the author's, Source a sum of the source that it was built
	// from; both may be "".
	Version, Source string
}

// add takes a "key=value" field.
func (in *Info) add(field string) {
	key, value, ok := strings.Cut(field, "=")
	if !ok || value == "" {
		return
	}
	switch key {
	case "name":
		in.Name = kmod.NormalizeName(value)
	case "firmware":
		if !slices.Contains(in.Firmware, value) {
			in.Firmware = append(in.Firmware, value)
		}
	case "depends":
		for _, d := range strings.Split(value, ",") {
			if d != "" {
				in.Depends = append(in.Depends, kmod.NormalizeName(d))
			}
		}
	case "softdep":
		in.Softdeps = append(in.Softdeps, value)
	case "weakdep":
		in.Weakdeps = append(in.Weakdeps, value)
	case "alias":
		in.Aliases = append(in.Aliases, value)
	case "parm":
		name, _, _ := strings.Cut(value, ":")
		in.Params = append(in.Params, name)
	case "vermagic":
		in.Vermagic = value
	case "version":
		in.Version = value
	case "srcversion":
		in.Source = value
	}
}

// ParseInfo reads .modinfo of a module, an uncompressed ELF file. A module
// without that section gives an empty Info.
func ParseInfo(ko io.ReaderAt) (Info, error) {
	f, err := elf.NewFile(ko)
	if err != nil {
		return Info{}, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return Info{}, nil
	}
	if s.Size > 16<<20 || s.Type == elf.SHT_NOBITS {
		return Info{}, fmt.Errorf("section .modinfo of %d bytes: %w", s.Size, ErrTooBig)
	}
	b, err := s.Data()
	if err != nil {
		return Info{}, fmt.Errorf("section .modinfo: %w", err)
	}
	var in Info
	for _, field := range bytes.Split(b, []byte{0}) {
		in.add(string(field))
	}
	return in, nil
}

// Path returns the module's file on this machine, "" for a built-in one.
func (m *Module) Path() string {
	if m.Builtin || filepath.IsAbs(m.File) {
		return m.File
	}
	return filepath.Join(m.dir, m.File)
}

// Info returns what the module declares. The file is read at the first call;
// of a compressed one all of it has to be, so a caller that has its content
// anyway is better served by ParseInfo.
func (m *Module) Info() (Info, error) { return m.info() }

func (m *Module) info() (Info, error) {
	m.once.Do(func() { m.in, m.problem = m.readInfo() })
	return m.in, m.problem
}

// Firmware returns the firmware files that the module may ask for, below
// /lib/firmware: see Info.
func (m *Module) Firmware() ([]string, error) {
	in, err := m.info()
	return slices.Clone(in.Firmware), err
}

func (m *Module) readInfo() (Info, error) {
	var in Info
	if compression(m.File) == "" {
		f, err := os.Open(m.Path())
		if err != nil {
			return Info{}, fmt.Errorf("kernel module %s: %w", m.Name, err)
		}
		defer f.Close()
		if in, err = ParseInfo(f); err != nil {
			return Info{}, fmt.Errorf("kernel module %s: %s: %w", m.Name, m.Path(), err)
		}
		return in, nil
	}
	b, err := m.Read()
	if err != nil {
		return Info{}, err
	}
	if in, err = ParseInfo(bytes.NewReader(b)); err != nil {
		return Info{}, fmt.Errorf("kernel module %s: %s: %w", m.Name, m.Path(), err)
	}
	return in, nil
}

// Read returns the module's content, decompressed. It fails for a built-in
// one with fs.ErrNotExist and for one above MaxModule with ErrTooBig.
func (m *Module) Read() ([]byte, error) {
	if m.Builtin {
		return nil, fmt.Errorf("kernel module %s: is built in: %w", m.Name, os.ErrNotExist)
	}
	b, err := readModule(m.Path())
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", m.Name, err)
	}
	return b, nil
}

// compression is the suffix of a compressed module's file: ".xz", ".zst",
// ".gz", or "".
func compression(file string) string {
	for _, s := range [...]string{".xz", ".zst", ".gz"} {
		if strings.HasSuffix(file, s) {
			return s
		}
	}
	return ""
}

func readModule(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := decompress(f, compression(file), st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// Unpack returns the content of a module's file that may be compressed, as its
// name says.
func Unpack(name string, b []byte) ([]byte, error) {
	if compression(name) == "" {
		return b, nil
	}
	return decompress(bytes.NewReader(b), compression(name), int64(len(b)))
}

// decompress reads all of r, whose size in bytes is a hint.
func decompress(r io.Reader, suffix string, size int64) ([]byte, error) {
	switch suffix {
	case ".xz":
		x, err := xz.NewReader(r, 64<<20) // the largest dictionary that xz -9 uses
		if err != nil {
			return nil, err
		}
		r, size = x, 4*size
	case ".gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r, size = z, 3*size
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxModule))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r, size = z, 4*size
	}
	var buf bytes.Buffer
	buf.Grow(int(min(size, 64<<20)) + bytes.MinRead)
	n, err := buf.ReadFrom(io.LimitReader(r, MaxModule+1))
	if err != nil {
		return nil, err
	}
	if n > MaxModule {
		return nil, ErrTooBig
	}
	return buf.Bytes(), nil
}
