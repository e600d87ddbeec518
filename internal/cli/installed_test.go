package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What a boot loader's script is told: each image of each kernel, and whether it
// is there.
func TestInstallListsImages(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/os-release", "ID=debian\n")
	for _, name := range []string{"lib/modules/6.1/modules.dep", "boot/vmlinuz-6.1", "lib/modules/6.2/modules.dep", "boot/vmlinuz-6.2",
		"lib/modules/6.3/modules.dep", "boot/initrd.img-6.1", "boot/initrd.img-6.1.old", "boot/initrd.img-6.2", "boot/any-6.2"} {
		write(name, "")
	}
	list := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		c := installCommand()
		c.SetOut(&out)
		c.SetArgs(append([]string{"--list", "--sysroot", root}, args...))
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := list(), `image 6.1 present /boot/initrd.img-6.1
before 6.1 present /boot/initrd.img-6.1.old
image 6.2 present /boot/initrd.img-6.2
before 6.2 absent /boot/initrd.img-6.2.old
`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	write("etc/firstlight.toml", "[install]\nfallback = \"/boot/any-%v\"\n")
	if got, want := list("--kernel", "6.2"), `image 6.2 present /boot/initrd.img-6.2
before 6.2 absent /boot/initrd.img-6.2.old
fallback 6.2 present /boot/any-6.2
`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
