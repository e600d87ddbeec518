package snapshot

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// The file: one zstd frame of one JSON document. Version counts changes that
// an older reader would misunderstand; fields that it does not know it passes
// over.
const (
	Format  = "firstlight machine snapshot"
	Version = 1
)

// Bounds of what Read takes.
const (
	maxFile  = 256 << 20 // bytes of JSON
	maxNodes = 1 << 20   // attributes, links, entries, ranges: each kind
)

// file is the document.
type file struct {
	Format      string              `json:"format"`
	Version     int                 `json:"version"`
	Program     string              `json:"program"`
	Kernel      string              `json:"kernel"`
	Cmdline     string              `json:"cmdline"`
	Memory      uint64              `json:"memory"`
	Boot        []BootEntry         `json:"boot"`
	Modules     []string            `json:"modules"`
	Builtin     map[string][]string `json:"builtin"`
	Filesystems []string            `json:"filesystems"`
	Attributes  map[string]string   `json:"attributes"`
	Links       map[string]string   `json:"links"`
	Blocks      []fileBlock         `json:"blocks"`
	Mounts      []fileMount         `json:"mounts"`
	Aside       []fileMount         `json:"aside,omitempty"`
	Swaps       []string            `json:"swaps"`
	Config      map[string]string   `json:"config"`
	ZFS         map[string]string   `json:"zfs,omitempty"`
	Notes       []string            `json:"notes"`
}

type fileBlock struct {
	Name        string            `json:"name"`
	Size        int64             `json:"size"`
	Sector      int               `json:"sector"`
	Ranges      []fileRange       `json:"ranges"`
	Identify    []byte            `json:"identify,omitempty"`
	Inquiry     map[string][]byte `json:"inquiry,omitempty"`
	KeyMaterial bool              `json:"key_material,omitempty"`
	Problem     string            `json:"problem,omitempty"`
}

type fileRange struct {
	Off  int64  `json:"off"`
	Len  int64  `json:"len"`
	Data []byte `json:"data,omitempty"`
}

type fileMount struct {
	Point   string               `json:"point"`
	Devnum  string               `json:"devnum"`
	Root    string               `json:"root"`
	FSType  string               `json:"fstype"`
	Source  string               `json:"source"`
	Options string               `json:"options"`
	Entries map[string]fileEntry `json:"entries"`
}

type fileEntry struct {
	Mode   uint32 `json:"mode"`
	Size   int64  `json:"size,omitempty"`
	Link   string `json:"link,omitempty"`
	Data   []byte `json:"data,omitempty"`
	Secret bool   `json:"secret,omitempty"`
}

// raw marks an attribute whose bytes are no text.
const raw = "base64:"

func encodeText(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, raw) {
		return s
	}
	return raw + base64.StdEncoding.EncodeToString([]byte(s))
}

func decodeText(s string) (string, error) {
	text, ok := strings.CutPrefix(s, raw)
	if !ok {
		return s, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return string(b), err
}

// Write writes the snapshot as a file. The same snapshot gives the same
// bytes.
func Write(w io.Writer, s *Snapshot) error {
	f := file{Format: Format, Version: Version, Program: s.Program, Kernel: s.Kernel, Cmdline: s.Cmdline, Memory: s.Memory, Boot: s.Boot,
		Modules: s.Modules, Builtin: s.Builtin, Filesystems: s.Filesystems, Attributes: map[string]string{}, Links: s.Sys.Links,
		Swaps: s.Swaps, Config: s.Config, ZFS: s.ZFS, Notes: s.Notes}
	for p, v := range s.Sys.Files {
		f.Attributes[p] = encodeText(v)
	}
	for _, b := range s.Blocks {
		fb := fileBlock{Name: b.Name, Size: b.Size, Sector: b.Sector, Identify: b.Identify, Inquiry: b.Inquiry, KeyMaterial: b.KeyMaterial, Problem: b.Problem}
		for _, r := range b.Ranges {
			fb.Ranges = append(fb.Ranges, fileRange(r))
		}
		f.Blocks = append(f.Blocks, fb)
	}
	for _, m := range s.Mounts {
		f.Mounts = append(f.Mounts, m.file())
	}
	for _, m := range s.Aside {
		f.Aside = append(f.Aside, m.file())
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	enc := json.NewEncoder(z)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := errors.Join(enc.Encode(f), z.Close()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Read reads a snapshot that Write wrote. Errors wrap ErrFormat or are r's.
func Read(r io.Reader) (*Snapshot, error) {
	invalid := func(why string, a ...any) error {
		return fmt.Errorf("%s: %w", fmt.Sprintf(why, a...), ErrFormat)
	}
	z, err := zstd.NewReader(bufio.NewReader(r), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	defer z.Close()
	in := &io.LimitedReader{R: z, N: maxFile}
	var f file
	if err := json.NewDecoder(in).Decode(&f); err != nil {
		if in.N <= 0 {
			return nil, invalid("it unpacks to more than %d bytes", int64(maxFile))
		}
		return nil, invalid("%v", err)
	}
	switch {
	case f.Format != Format:
		return nil, invalid("format %.40q", f.Format)
	case f.Version != Version:
		return nil, invalid("version %d; this program reads version %d", f.Version, Version)
	case max(len(f.Attributes), len(f.Links), len(f.Blocks), len(f.Mounts), len(f.Aside)) > maxNodes:
		return nil, invalid("it is larger than any machine")
	}
	s := &Snapshot{Program: f.Program, Kernel: f.Kernel, Cmdline: f.Cmdline, Memory: f.Memory, Boot: f.Boot, Modules: f.Modules, Builtin: f.Builtin,
		Filesystems: f.Filesystems, Sys: NewTree(), Swaps: f.Swaps, Config: f.Config, ZFS: f.ZFS, Notes: f.Notes}
	for p, v := range f.Attributes {
		if s.Sys.Files[p], err = decodeText(v); err != nil {
			return nil, invalid("attribute %.80q: %v", p, err)
		}
	}
	maps.Copy(s.Sys.Links, f.Links)
	for p := range s.Sys.Files {
		if !proper(p) {
			return nil, invalid("attribute %.80q", p)
		}
	}
	for p, target := range s.Sys.Links {
		if _, both := s.Sys.Files[p]; both || !proper(p) || !proper(target) {
			return nil, invalid("link %.80q", p)
		}
	}
	s.Sys.index()
	for _, fb := range f.Blocks {
		b, err := fb.block()
		if err != nil {
			return nil, invalid("block device %.40q: %v", fb.Name, err)
		}
		s.Blocks = append(s.Blocks, b)
	}
	for _, fm := range f.Mounts {
		if !proper(fm.Point) && fm.Point != "/" || len(fm.Entries) > maxNodes {
			return nil, invalid("mount %.80q", fm.Point)
		}
		m := fm.mount()
		if m.Entries == nil {
			m.Entries = map[string]Entry{}
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, fm := range f.Aside {
		if len(fm.Entries) > maxNodes {
			return nil, invalid("filesystem on %.80q", fm.Source)
		}
		s.Aside = append(s.Aside, fm.mount())
	}
	return s, nil
}

func (m *Mount) file() fileMount {
	f := fileMount{Point: m.Point, Devnum: m.Devnum, Root: m.Root, FSType: m.FSType, Source: m.Source, Options: m.Options}
	if m.Entries != nil {
		f.Entries = map[string]fileEntry{}
	}
	for p, e := range m.Entries {
		f.Entries[p] = fileEntry(e)
	}
	return f
}

func (f fileMount) mount() *Mount {
	m := &Mount{Point: f.Point, Devnum: f.Devnum, Root: f.Root, FSType: f.FSType, Source: f.Source, Options: f.Options}
	if f.Entries != nil {
		m.Entries = map[string]Entry{}
	}
	for p, e := range f.Entries {
		m.Entries[p] = Entry(e)
	}
	return m
}

// proper says whether a path is absolute, clean, not the root, and of a bearable depth.
func proper(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) > 1 && len(p) < 4096 && path.Clean(p) == p && strings.Count(p, "/") < 128
}

func (f fileBlock) block() (*Block, error) {
	b := &Block{Name: f.Name, Size: f.Size, Sector: f.Sector, Identify: f.Identify, Inquiry: f.Inquiry, KeyMaterial: f.KeyMaterial, Problem: f.Problem}
	if f.Name == "" || strings.Contains(f.Name, "/") || f.Size < 0 || len(f.Ranges) > maxNodes {
		return nil, errors.New("its name, size or ranges are impossible")
	}
	if f.Sector < 512 || f.Sector > 64<<10 || f.Sector&(f.Sector-1) != 0 {
		return nil, fmt.Errorf("sectors of %d bytes", f.Sector)
	}
	end := int64(0)
	for _, r := range f.Ranges {
		if r.Off < end || r.Len <= 0 || r.Len > b.Size-r.Off || r.Data != nil && int64(len(r.Data)) != r.Len {
			return nil, fmt.Errorf("a range of %d bytes at %d", r.Len, r.Off)
		}
		end = r.Off + r.Len
		b.Ranges = append(b.Ranges, Range(r))
	}
	return b, nil
}

// sorted is a slice in order, without repetitions and never nil.
func sorted(list []string) []string {
	out := slices.Compact(slices.Sorted(slices.Values(list)))
	if out == nil {
		return []string{}
	}
	return out
}
