package kmod

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// smallSource has something of everything the table can hold.
func smallSource() Source {
	return Source{
		Modules: []SourceModule{
			{Name: "virtio", Path: "/m/virtio.ko"},
			{Name: "virtio-ring", Path: "/m/virtio_ring.ko", Deps: []string{"virtio"}},
			{Name: "virtio_blk", Path: "/m/virtio_blk.ko", Deps: []string{"virtio", "virtio_ring"},
				Aliases: []string{"virtio:d00000002v*", "pci:v*d[0-3A]?x*"}, Pre: []string{"crc", "none"}, Post: []string{"late"}},
			{Name: "crc", Path: "/m/crc.ko", Aliases: []string{"crypto-crc*"}, Blacklisted: true},
			{Name: "late", Path: "/m/late.ko.xz"},
			{Name: "ext4", Builtin: true, Aliases: []string{"fs-ext4"}},
		},
		Aliases: []SourceAlias{{"disk-*", "virtio_blk"}, {"net-pf-*", "off"}},
		Options: []SourceOption{{"virtio-blk", "queues=1"}, {"disk-x", "a=b"}},
	}
}

func smallTable(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteIndex(&b, smallSource()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDamagedTablesAreRefused(t *testing.T) {
	good := smallTable(t)
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x20
		if _, err := OpenIndex(bad); !errors.Is(err, ErrIndex) {
			t.Fatalf("a flipped bit in byte %d passes: %v", i, err)
		}
		if _, err := OpenIndex(good[:i]); !errors.Is(err, ErrIndex) {
			t.Fatalf("a table cut to %d bytes passes: %v", i, err)
		}
	}
	if _, err := OpenIndex(good); err != nil {
		t.Fatal(err)
	}
}

func TestSameSourceSameBytes(t *testing.T) {
	if !bytes.Equal(smallTable(t), smallTable(t)) {
		t.Fatal("two tables of one source differ")
	}
}

func TestEmptyTable(t *testing.T) {
	var b bytes.Buffer
	if err := WriteIndex(&b, Source{}); err != nil {
		t.Fatal(err)
	}
	ix, err := OpenIndex(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if ids := ix.Match("pci:x"); ix.Len() != 0 || len(ids) != 0 || ix.Name(0) != "" {
		t.Fatalf("an empty table has %d modules and matches %v", ix.Len(), ids)
	}
}

// FuzzOpenIndex damages a table behind its checksum: no answer may panic,
// hang or grow without bound.
func FuzzOpenIndex(f *testing.F) {
	f.Add(smallTable(f), "virtio:d00000002v1")
	f.Add([]byte(magic), "")
	f.Fuzz(func(t *testing.T, data []byte, alias string) {
		data = slices.Clone(data)
		if _, err := OpenIndex(data); err != nil && !errors.Is(err, ErrIndex) {
			t.Fatal(err)
		}
		if len(data) < headerSize || len(data) > 1<<11 || len(alias) > 64 {
			return
		}
		copy(data, magic)
		binary.LittleEndian.PutUint32(data[8:], version)
		binary.LittleEndian.PutUint32(data[12:], uint32(len(data)))
		binary.LittleEndian.PutUint64(data[16:], checksum(data[24:]))
		ix, err := OpenIndex(data)
		if err != nil {
			return
		}
		cfg := Config{Deny: []string{"x"}, Blacklist: []string{"y"}}
		for _, a := range []string{alias, "virtio:d00000002v1", "disk-x", "ext4"} {
			for _, id := range ix.Match(a) {
				if int(id) >= ix.Len() {
					t.Fatalf("module %d of %d", id, ix.Len())
				}
			}
			plan, err := ix.PlanFor(a, cfg)
			if err != nil && !errors.Is(err, ErrUnknown) {
				t.Fatal(err)
			}
			for i, s := range plan.Steps {
				for _, n := range append(slices.Clone(s.Needs), s.After...) {
					if n >= i {
						t.Fatalf("step %d waits for %d", i, n)
					}
				}
			}
		}
		for id := range ModuleID(min(ix.Len(), 100)) {
			_, _, _ = ix.Name(id), ix.Path(id), ix.Deps(id)
			ix.Plan([]ModuleID{id}, Config{})
		}
	})
}

// FuzzMatch compares the tree with the patterns one by one, and these with a
// plain matcher.
func FuzzMatch(f *testing.F) {
	f.Add("a*b", "*[a-c]?", "a[!x]*", "a**?b", "axxb")
	f.Add("pci:v*d1sv*", "pci:v*d2*", "pci:*", "pci:v1d[0-9]*", "pci:v1d1sv3")
	f.Add("*a*b*c", "*a*c", "*a*b", "*", "aabbcc")
	f.Fuzz(func(t *testing.T, a, b, c, d, s string) {
		s, err := NormalizeAlias(s)
		if err != nil || len(s) > 24 || bytes.ContainsRune([]byte(s), 0) {
			return
		}
		var src Source
		var want []uint32
		for i, p := range []string{a, b, c, d} {
			p, err := NormalizeAlias(p)
			if err != nil || len(p) > 24 || strings.Count(p, "*") > 6 || bytes.ContainsRune([]byte(p), 0) {
				continue
			}
			id := uint32(len(src.Modules))
			src.Modules = append(src.Modules, SourceModule{Name: string(rune('a' + i)), Path: "/x"})
			src.Aliases = append(src.Aliases, SourceAlias{p, src.Modules[id].Name})
			got := CompilePattern(p).Match(s)
			if plain := plainMatch(p, s); got != plain {
				t.Fatalf("%q on %q: %v, should be %v", p, s, got, plain)
			}
			if got {
				want = append(want, id)
			}
		}
		var out bytes.Buffer
		if err := WriteIndex(&out, src); err != nil {
			t.Fatal(err)
		}
		ix, err := OpenIndex(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		w := walker{ix: ix}
		if got := w.walk(treeConfig, s); !slices.Equal(got, want) {
			t.Fatalf("%q on %q: the tree says %v, the patterns %v", s, src.Aliases, got, want)
		}
	})
}

// plainMatch is fnmatch(3) by the book, for everything but classes, which
// TestConfiguredPatternsAsModprobe covers.
func plainMatch(p, s string) bool {
	if p == "" {
		return s == ""
	}
	switch p[0] {
	case '*':
		return plainMatch(p[1:], s) || s != "" && plainMatch(p, s[1:])
	case '?':
		return s != "" && plainMatch(p[1:], s[1:])
	case '\\':
		return len(p) > 1 && s != "" && p[1] == s[0] && plainMatch(p[2:], s[1:])
	case '[':
		set, n, ok := parseBracket(p)
		if ok && n == 0 {
			return false
		}
		if ok {
			return s != "" && set.has(s[0]) && plainMatch(p[n:], s[1:])
		}
	}
	return s != "" && p[0] == s[0] && plainMatch(p[1:], s[1:])
}

func TestLongTextsOfManyStarsEndQuickly(t *testing.T) {
	// A device chooses its modalias; what it says must not cost exponential
	// time, on one pattern or on a tree of them.
	var src Source
	for _, end := range []string{"b", "c", "*d", "?e"} {
		src.Modules = append(src.Modules, SourceModule{Name: "m" + end[len(end)-1:], Path: "/x",
			Aliases: []string{"*a*a*a*a*a*a*a*a*a*a" + end, "*a*a?a*a*a*b*a*a*a*a*a" + end}})
	}
	var b bytes.Buffer
	if err := WriteIndex(&b, src); err != nil {
		t.Fatal(err)
	}
	ix, err := OpenIndex(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	text := string(bytes.Repeat([]byte("a"), maxAlias-1))
	w := walker{ix: ix}
	w.walk(treeModules, text)
	if w.budget < 0 {
		t.Fatal("more work than tree times text")
	}
	if ids := ix.Match(text + "c"); len(ids) != 1 || ix.Name(ids[0]) != "mc" {
		t.Fatalf("matched %v", ids)
	}
}

func TestNormalizeAlias(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a-b": "a_b", "a[0-9]-x": "a[0-9]_x", "x[-]": "x[-]",
		"a[": "!", "a]": "!", "[]]": "!", "a[b": "!",
	} {
		got, err := NormalizeAlias(in)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if !utf8.ValidString(got) {
			t.Errorf("%q: %q", in, got)
		}
	}
}
