package columns

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// Every module of Debian's kernels comes back as it was, its signature with it,
// is nothing that a kernel would load meanwhile, and is smaller compressed.
func TestEveryModuleComesBack(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			root, release := testtool.Kernel(t, suite)
			var n, sizeBefore, sizeAfter int
			err := filepath.WalkDir(filepath.Join(root, "lib/modules", release), func(p string, d fs.DirEntry, err error) error {
				if err != nil || !strings.HasSuffix(p, ".ko") {
					return err
				}
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				out, ok := Arrange(b)
				if !ok || len(out) != len(b) || !Is(out) || bytes.HasPrefix(out, []byte("\x7fELF")) {
					t.Fatalf("%s: not rearranged", p)
				}
				if n%50 == 0 {
					sizeBefore, sizeAfter = sizeBefore+deflated(t, b), sizeAfter+deflated(t, out)
				}
				if err := Restore(out); err != nil || !bytes.Equal(out, b) {
					t.Fatalf("%s: does not come back: %v", p, err)
				}
				n++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				t.Skip("the modules of this kernel are compressed")
			}
			if n < 1000 || sizeAfter*10 > sizeBefore*9 {
				t.Errorf("%d modules; a sample of them has %d bytes compressed, %d by columns", n, sizeBefore, sizeAfter)
			}
		})
	}
}

func deflated(t *testing.T, b []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// module has the given sections, each a type, a place and a size, behind a
// header, content and their headers at the end.
func module(size int, sections ...[3]uint64) []byte {
	b := make([]byte, size, size+len(sections)*sectionSize)
	for i := range b {
		b[i] = byte(i * 7)
	}
	copy(b, elfMagic)
	le := binary.LittleEndian
	le.PutUint16(b[0x10:], typeRelocatable)
	le.PutUint64(b[0x28:], uint64(size))
	le.PutUint16(b[0x3a:], sectionSize)
	le.PutUint16(b[0x3c:], uint16(len(sections)))
	for _, s := range sections {
		h := make([]byte, sectionSize)
		le.PutUint32(h[4:], uint32(s[0]))
		le.PutUint64(h[24:], s[1])
		le.PutUint64(h[32:], s[2])
		le.PutUint64(h[56:], record)
		b = append(b, h...)
	}
	return b
}

func TestWhatIsLeftAlone(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":               nil,
		"text":                []byte("#!/bin/sh\n"),
		"no table":            module(256),
		"beyond the end":      module(256, [3]uint64{sectionRela, 200, 24 * 100}),
		"far beyond the end":  module(256, [3]uint64{sectionRela, 1 << 63, 24}),
		"over the header":     module(256, [3]uint64{sectionRela, 40, 48}),
		"over the headers":    module(256, [3]uint64{sectionRela, 240, 48}),
		"no whole records":    module(256, [3]uint64{sectionRela, 64, 30}),
		"another kind":        module(256, [3]uint64{9, 64, 48}),
		"rearranged":          mustArrange(t, module(256, [3]uint64{sectionRela, 64, 48})),
		"of the other endian": append([]byte("\x7fELF\x02\x02\x01"), module(256, [3]uint64{sectionRela, 64, 48})[7:]...),
	} {
		if out, ok := Arrange(b); ok {
			t.Errorf("%s: rearranged to %d bytes", name, len(out))
		}
	}
	if err := Restore(module(256, [3]uint64{sectionRela, 64, 48})); err != ErrForm {
		t.Errorf("a module as it is: %v", err)
	}
	if err := Restore([]byte(Magic + "\x02\x01\x01")); err != ErrForm {
		t.Errorf("no more than the beginning: %v", err)
	}
}

// Of two tables in one place the first is rearranged, here and back.
func TestTablesInOnePlace(t *testing.T) {
	b := module(512, [3]uint64{sectionSymbols, 112, 72}, [3]uint64{sectionRela, 64, 96}, [3]uint64{sectionRela, 160, 48})
	out := mustArrange(t, b)
	if bytes.Equal(out[64:160], b[64:160]) || bytes.Equal(out[160:208], b[160:208]) || !bytes.Equal(out[208:], b[208:]) {
		t.Error("another part is rearranged")
	}
	if err := Restore(out); err != nil || !bytes.Equal(out, b) {
		t.Error("it does not come back")
	}
}

func mustArrange(t *testing.T, b []byte) []byte {
	t.Helper()
	out, ok := Arrange(b)
	if !ok {
		t.Fatal("not rearranged")
	}
	return out
}

func FuzzRestore(f *testing.F) {
	f.Add(module(512, [3]uint64{sectionSymbols, 112, 72}, [3]uint64{sectionRela, 64, 96}))
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, ok := Arrange(b); ok {
			if err := Restore(out); err != nil || !bytes.Equal(out, b) {
				t.Fatalf("it does not come back: %v", err)
			}
		}
		_ = Restore(bytes.Clone(b))
	})
}
