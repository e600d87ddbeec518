package build

import (
	"strings"
	"testing"

	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
)

// Modules are laid out by columns only where nothing but the full /init loads
// them, and where that makes the image smaller.
func TestWhoGetsModulesByColumns(t *testing.T) {
	for name, c := range map[string]struct {
		config, program, compression string
		want                         bool
	}{
		"generic":               {config: "mode = \"generic\"\n", want: true},
		"of a described one":    {config: "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n"},
		"with kmod":             {config: "mode = \"generic\"\n", program: "usr/bin/kmod"},
		"with busybox":          {config: "mode = \"generic\"\n", program: "bin/busybox"},
		"not compressed at all": {config: "mode = \"generic\"\n", compression: "none"},
	} {
		o := options(t, c.config)
		o.InitFull = o.Init
		b := newBuilder(o)
		if err := b.plan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.program != "" {
			if err := b.tree.Add(image.Entry{Path: c.program, Mode: cpio.TypeRegular | 0o755, Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		spec := DefaultCompression()
		if c.compression != "" {
			spec = compress.Spec{Method: compress.Method(c.compression)}
		}
		z, err := compress.New(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		b.columns(z)
		for _, e := range b.tree.Entries() {
			if module := strings.HasSuffix(e.Path, ".ko"); e.Column != (module && c.want) {
				t.Errorf("%s: %s: by columns %v", name, e.Path, e.Column)
				break
			}
		}
	}
}
