package build

import (
	"testing"

	"firstlight/internal/image"
)

// multipath.conf of the image says what the files of the directory say, too, in
// the order in which multipath-tools read them.
func TestMultipathConfigurationIsOneFile(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"etc/multipath.conf": "a\n"}, "a\n"},
		{map[string]string{"etc/multipath/conf.d/b.conf": "b\n", "etc/multipath/conf.d/a.conf": "a"}, "a\nb\n"},
		{map[string]string{"etc/multipath.conf": "c", "etc/multipath/conf.d/b.conf": "b\n", "etc/multipath/conf.d/a.conf": "a\n", "etc/multipath/conf.d/x.txt": "x"}, "c\na\nb\n"},
	} {
		b := &builder{tree: image.NewTree()}
		for name, text := range c.files {
			if err := b.tree.File(name, 0o644, []byte(text), "test"); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.multipath(); err != nil {
			t.Fatal(err)
		}
		if got := string(b.tree.Get("etc/multipath.conf").Data); got != c.want {
			t.Errorf("%v: %q, want %q", c.files, got, c.want)
		}
	}
}
