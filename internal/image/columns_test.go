package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod/columns"
)

// aModule is the least that has a table: a header, a relocation, its section.
func aModule() []byte {
	b := make([]byte, 64+24+64)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[0x10:], 1)
	le.PutUint64(b[0x28:], 64+24)
	le.PutUint16(b[0x3a:], 64)
	le.PutUint16(b[0x3c:], 1)
	copy(b[64:], "offset..infoinfoaddend..")
	h := b[64+24:]
	le.PutUint32(h[4:], 4)
	le.PutUint64(h[24:], 64)
	le.PutUint64(h[32:], 24)
	le.PutUint64(h[56:], 24)
	return b
}

// A module that lies in the image by columns is read as it was, by whoever
// reads images with us, and the manifest has the sum of that.
func TestModulesByColumns(t *testing.T) {
	module := aModule()
	damaged, _ := columns.Arrange(module)
	damaged = damaged[:80]
	tree := NewTree()
	for _, e := range []Entry{
		{Path: "lib/modules/1/a.ko", Mode: file, Data: module, Column: true, Group: "modules-fs"},
		{Path: "lib/modules/1/b.ko", Mode: file, Data: module, Group: "modules-other"},
		{Path: "lib/modules/1/damaged.ko", Mode: file, Data: damaged},
		{Path: "lib/modules/1/short.ko", Mode: file, Data: []byte("x")},
	} {
		if err := tree.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	c, err := compress.New(t.Context(), compress.Spec{Method: compress.Zstd, Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	segments, err := Pack(t.Context(), tree, PackOptions{Compressor: c, Manifest: true})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, s := range segments {
		if s.Name == "modules-fs" {
			r, err := compress.Open(s.Frame, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(r)
			if err != nil || bytes.Contains(raw, []byte("\x7fELF")) || !bytes.Contains(raw, []byte(columns.Magic)) {
				t.Errorf("the module is not laid out by columns (%v)", err)
			}
		}
		b = append(b, s.Frame...)
	}
	dir := t.TempDir()
	if err := Extract(b, dir, Limits{}, func(name string, err error) { t.Errorf("%s: %v", name, err) }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"a.ko": module, "b.ko": module, "damaged.ko": damaged, "short.ko": []byte("x")} {
		got, err := os.ReadFile(filepath.Join(dir, "lib/modules/1", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q (%v), not %q", name, got, err, want)
		}
	}
	var manifest bytes.Buffer
	if err := Cat(&manifest, b, ManifestPath, Limits{}); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(module)
	if !bytes.Contains(manifest.Bytes(), []byte("lib/modules/1/a.ko\t"+hex.EncodeToString(sum[:]))) {
		t.Errorf("the manifest has another sum: %s", manifest.Bytes())
	}
	n := 0
	if err := Walk(b, Limits{}, func(Part, *cpio.Header, io.Reader) error { n++; return nil }); err != nil || n < 5 {
		t.Errorf("%d entries, without reading any (%v)", n, err)
	}
}
