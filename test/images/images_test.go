package images

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/image"
	"firstlight/internal/inventory"
	"firstlight/internal/testtool"
	"firstlight/test/debian"
)

// What we see in the images of Debian's generators is what their own tools see,
// however they are compressed.
func TestImagesOfDebian(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_IMAGES") == "" {
		t.Skip("makes images in a chroot for minutes: make images")
	}
	testtool.Root(t)
	testtool.Need(t, "mmdebstrap")
	k, err := debian.GetKernel(t.Context(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			m, err := Make(t.Context(), k, kind)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(m.File)
			if err != nil {
				t.Fatal(err)
			}
			inv, err := inventory.Read(b, image.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if maker, _, _ := strings.Cut(inv.Maker, " "); !strings.HasPrefix(kind.Name, maker) || maker == "" {
				t.Errorf("made by %q", inv.Maker)
			}
			if !slices.Equal(inv.Kernels, []string{k.Release}) {
				t.Errorf("for %v", inv.Kernels)
			}
			if m.list == nil { // its entries are those of the others
				other, err := Make(t.Context(), k, tools("zstd"))
				if err != nil {
					t.Fatal(err)
				}
				m.List = other.List
			}
			compare(t, m, inv)
			extracted(t, b, inv)
		})
	}
}

// compare compares with the list of the field's own tool: of initramfs-tools the
// names, of dracut the lines of ls -l.
func compare(t *testing.T, m Made, inv *inventory.Inventory) {
	list, err := os.ReadFile(m.List)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSuffix(line, "\n")
		name := line
		if strings.HasPrefix(m.Name, "dracut") {
			f := strings.Fields(line)
			if len(f) < 9 || len(f[0]) != 10 || !strings.Contains("-dlcbps", f[0][:1]) {
				continue
			}
			// A node has "5, 1" for its size; the date has three words.
			at := 8
			if f[0][0] == 'c' || f[0][0] == 'b' {
				at = 9
			}
			name = f[at]
		}
		if name = strings.TrimPrefix(name, "./"); name != "." && name != "" {
			want = append(want, name)
		}
	}
	for _, it := range inv.Items {
		if it.Path != "." {
			got = append(got, it.Path)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	slices.Sort(got)
	if len(want) < 1000 || !slices.Equal(got, want) {
		t.Errorf("%d entries, and the tool has %d; it alone: %v; we alone: %v", len(got), len(want), without(want, got), without(got, want))
	}
}

func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if _, ok := slices.BinarySearch(b, s); !ok && len(out) < 10 {
			out = append(out, s)
		}
	}
	return out
}

// extracted unpacks the image and compares each file with what was read of it.
func extracted(t *testing.T, b []byte, inv *inventory.Inventory) {
	dir := t.TempDir()
	if err := image.Extract(b, dir, image.Limits{}, func(name string, err error) { t.Errorf("passed over %s: %v", name, err) }); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, it := range inv.Items {
		if it.Text == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, it.Path))
		if err != nil || !bytes.Equal(text, []byte(it.Text)) {
			t.Errorf("%s: %d bytes unpacked, %d read, %v", it.Path, len(text), len(it.Text), err)
		}
		compared++
	}
	if compared == 0 {
		t.Error("no file was compared")
	}
}
