package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"firstlight/internal/sysroot"
)

// entries are what a machine below a directory has of boot entries: files by
// where they are, "" for one of testdata/debian.
func entries(t *testing.T, files map[string]string) *Snapshot {
	t.Helper()
	dir := t.TempDir()
	for p, text := range files {
		b := []byte(text)
		if text == "" {
			var err error
			if b, err = os.ReadFile(filepath.Join("testdata/debian", filepath.Base(p))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x := &taker{o: Options{Root: sysroot.Root(dir)}, s: &Snapshot{}}
	x.bootEntries()
	return x.s
}

// The command line of the next boot is the one that Debian's own tools have
// written for the loader, of the kernel that the image is for, and not that of
// its recovery entry.
func TestCommandLineIsThatOfDebiansLoader(t *testing.T) {
	const (
		root  = "root=UUID=6f1a1f3e-5d1c-4a53-9d1b-0d5a2f6b7c11 ro "
		crypt = "rd.luks.name=0e5f1c9e-6a39-4ea4-8c65-3a0f2f4e8f11=cryptroot"
		grub  = root + crypt + ` "dyndbg=file dm-crypt.c +p" systemd.log_level=info quiet splash`
		id    = "4c1b9a5f2d3e4f6088aa0b1c2d3e4f50"
		bls   = root + "quiet " + crypt + " systemd.machine_id=" + id
	)
	menu, entry := "/boot/grub/grub.cfg", "/boot/loader/entries/"+id+"-6.1.0-57-amd64.conf"
	for _, tt := range []struct {
		name           string
		files          []string
		image, release string
		line, from     string
		kernel         string
	}{
		{"GRUB, by the image", []string{menu}, "/boot/initrd.img-6.1.0-57-amd64", "6.1.0-57-amd64", grub, menu, "/boot/vmlinuz-6.1.0-57-amd64"},
		{"GRUB, an older kernel", []string{menu}, "/boot/initrd.img-6.1.0-50-amd64", "6.1.0-50-amd64", grub, menu, "/boot/vmlinuz-6.1.0-50-amd64"},
		{"GRUB, an image that it does not name", []string{menu}, "/tmp/new.img", "6.1.0-50-amd64", grub, menu, "/boot/vmlinuz-6.1.0-50-amd64"},
		{"systemd-boot, by the image", []string{entry}, "/boot/" + id + "/6.1.0-57-amd64/initrd.img-6.1.0-57-amd64", "", bls, entry, "/boot/" + id + "/6.1.0-57-amd64/linux"},
		{"systemd-boot, by the kernel", []string{entry}, "/tmp/new.img", "6.1.0-57-amd64", bls, entry, "/boot/" + id + "/6.1.0-57-amd64/linux"},
		{"neither names it", []string{entry, menu}, "/tmp/new.img", "6.9", "", "", ""},
	} {
		files := map[string]string{}
		for _, f := range tt.files {
			files[f] = ""
		}
		e := entries(t, files).Entry(tt.image, tt.release)
		if e == nil {
			e = &BootEntry{}
		}
		if e.Cmdline != tt.line || e.From != tt.from || e.Kernel != tt.kernel {
			t.Errorf("%s: %q from %s for %s", tt.name, e.Cmdline, e.From, e.Kernel)
		}
	}
}

// systemd's own name of an image is the same for every kernel: the directory
// says which it is, or the release where the image is not in its place yet.
func TestImagesOfOneNameAreToldApart(t *testing.T) {
	entry := func(version string) string {
		return "linux /id/" + version + "/linux\ninitrd /id/" + version + "/initrd\noptions root=/dev/" + version + "\n"
	}
	s := entries(t, map[string]string{"/boot/loader/entries/a.conf": entry("6.1"), "/boot/loader/entries/b.conf": entry("6.2")})
	for _, tt := range [][3]string{
		{"/boot/id/6.2/initrd", "", "root=/dev/6.2"}, {"/boot/id/6.1/initrd", "6.2", "root=/dev/6.1"},
		{"/tmp/initrd", "6.2", "root=/dev/6.2"}, {"/tmp/initrd", "", "root=/dev/6.1"},
	} {
		if e := s.Entry(tt[0], tt[1]); e == nil || e.Cmdline != tt[2] {
			t.Errorf("%s for %s: %+v", tt[0], tt[1], e)
		}
	}
}
