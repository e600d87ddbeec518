package inventory

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
)

// made is an image with some files.
func made(t testing.TB, files map[string]string, method compress.Method) []byte {
	t.Helper()
	tree := image.NewTree()
	for p, text := range files {
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = tree.Symlink(p, target, "")
		} else {
			err = tree.File(p, 0o755, []byte(text), "")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := compress.New(context.Background(), compress.Spec{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	segments, err := image.Pack(context.Background(), tree, image.PackOptions{Compressor: c})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, s := range segments {
		b = append(b, s.Frame...)
	}
	return b
}

func read(t testing.TB, b []byte) *Inventory {
	t.Helper()
	inv, err := Read(b, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// Each maker is known by what its images cannot do without, and each file by
// where it is and what is in it.
func TestMakersAndKinds(t *testing.T) {
	for maker, files := range map[string]map[string]string{
		"initramfs-tools": {"conf/initramfs.conf": "MODULES=dep\n", "scripts/functions": "#\n"},
		"dracut 106-6":    {"usr/lib/dracut/dracut-106-6": "dracut-106-6\n", "lib": "-> usr/lib"},
		"mkinitcpio 39.2": {"VERSION": "39.2\n", "buildconfig": "MODULES=()\n", "init_functions": "#\n"},
		"booster":         {"etc/booster.init.yaml": "networkInterfaces: []\n", "init": "#"},
		"make-initrd":     {".initrd/kernenv": "", "lib/initrd/pre": ""},
		"firstlight 1.2":  {"etc/firstlight/image": "version=1.2\nkernel=6.1\n"},
		"":                {"init": "#!/bin/sh\n"},
	} {
		if got := read(t, made(t, files, compress.Gzip)).Maker; got != maker {
			t.Errorf("%q is said to be by %q", maker, got)
		}
	}
	inv := read(t, made(t, map[string]string{
		"kernel/x86/microcode/AuthenticAMD.bin": "x", "lib/modules/6.1/kernel/fs/a.ko.xz": "x", "usr/lib/firmware/c/d.bin.zst": "x",
		"lib/modules/6.1/modules.dep": "", "etc/fstab": "# none\n", "bin/x": "#!/bin/sh\n", "usr/lib/udev/rules.d/1.rules": "x", "bin/l": "-> x",
		"lib/systemd/system/a.service": "[Unit]\n", "usr/share/x": "\x00"}, compress.None))
	want := map[string]Kind{"kernel/x86/microcode/AuthenticAMD.bin": Microcode, "lib/modules/6.1/kernel/fs/a.ko.xz": Module, "usr/lib/firmware/c/d.bin.zst": Firmware,
		"lib/modules/6.1/modules.dep": Index, "etc/fstab": Setting, "bin/x": Script, "usr/lib/udev/rules.d/1.rules": Rules, "bin/l": Link,
		"lib/systemd/system/a.service": Unit, "usr/share/x": Data, "usr": Directory}
	for p, k := range want {
		if it := inv.byPath[p]; it == nil || it.Kind != k {
			t.Errorf("%s: %+v", p, it)
		}
	}
	if !slices.Equal(inv.Kernels, []string{"6.1"}) {
		t.Error(inv.Kernels)
	}
}

// Another kernel's release, /usr and compression are no difference; who needs
// what was added is said.
func TestCompare(t *testing.T) {
	a := read(t, made(t, map[string]string{"lib/modules/6.1/kernel/fs/a.ko": "A", "lib/firmware/f": "F", "etc/x.conf": "one\ntwo\nthree\n",
		"lib/modules/6.1/modules.dep": "kernel/fs/a.ko:\n"}, compress.None))
	b := read(t, made(t, map[string]string{"usr/lib/modules/6.2/kernel/fs/a.ko": "A", "usr/lib/modules/6.2/kernel/fs/b.ko": "B", "usr/lib/firmware/f": "F",
		"etc/x.conf": "one\n2\nthree\n", "usr/lib/modules/6.2/modules.dep": "kernel/fs/a.ko: kernel/fs/b.ko\nkernel/fs/c.ko: kernel/fs/b.ko\n"}, compress.Gzip))
	d, err := Compare(a, b, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	groups := map[Kind]Group{}
	for _, g := range d.Groups {
		groups[g.Kind] = g
	}
	m := groups[Module]
	if len(m.Added) != 1 || m.Added[0].Name != "b" || m.Added[0].Why != "needed by a" || m.Same != 1 || len(m.Removed)+len(m.Changed) != 0 {
		t.Errorf("%+v", m)
	}
	if _, ok := groups[Firmware]; ok {
		t.Errorf("%+v", groups[Firmware])
	}
	s := groups[Setting]
	if len(s.Changed) != 1 || !slices.Equal(s.Changed[0].Lines, []string{"-two", "+2"}) {
		t.Errorf("%+v", s)
	}
	if d, err := Compare(a, a, image.Limits{}); err != nil || !d.Same() {
		t.Errorf("with itself: %+v %v", d, err)
	}
}

func TestLines(t *testing.T) {
	for _, c := range [][3]string{{"a b c", "a b c", ""}, {"a b c", "a c", "-b"}, {"a c", "a b c", "+b"}, {"", "x", "+x"}, {"a b", "b a", "-a +a"}, {"x y z", "p y q", "-x +p -z +q"}} {
		if got := strings.Join(lines(strings.Fields(c[0]), strings.Fields(c[1])), " "); got != c[2] {
			t.Errorf("%q and %q: %q", c[0], c[1], got)
		}
	}
}

func FuzzInventory(f *testing.F) {
	a := made(f, map[string]string{"lib/modules/6.1/a.ko": "\x7fELF", "etc/x": "one", "bin/y": "#!/bin/sh\n", "bin/z": "-> y"}, compress.None)
	f.Add(a, made(f, map[string]string{"usr/lib/modules/6.2/a.ko": "\x7fELF\x02", "etc/x": "two", "lib/firmware/f": "F"}, compress.Gzip))
	f.Add(a, bytes.ReplaceAll(a, []byte("etc/x"), []byte("../x.")))
	limits := image.Limits{Bytes: 1 << 20, Entries: 200}
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, err := Read(x, limits)
		if err != nil {
			return
		}
		for _, by := range []By{ByKind, ByPath, BySegment} {
			a.Tree("image", by, by == ByPath).Tidy(1)
		}
		for _, it := range a.Items {
			if it.Packed < 0 || it.Size < 0 || it.Mode&cpio.TypeMask == cpio.TypeDir && it.Sum != "" {
				t.Fatalf("%+v", it)
			}
		}
		b, err := Read(y, limits)
		if err != nil {
			b = a
		}
		d, err := Compare(a, b, limits)
		if err == nil && a == b && !d.Same() {
			t.Fatalf("an image differs from itself: %+v", d)
		}
	})
}
