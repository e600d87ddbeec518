package install

import (
	"slices"
	"testing"
)

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ release, kernel, pkgbase, want string }{
		{"ID=debian\nVERSION_ID=\"12\"\n", "6.1.0-13-amd64", "", "/boot/initrd.img-6.1.0-13-amd64"},
		{"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "6.8.0-50-generic", "", "/boot/initrd.img-6.8.0-50-generic"},
		{"ID=fedora\n", "6.17.1-300.fc43.x86_64", "", "/boot/initramfs-6.17.1-300.fc43.x86_64.img"},
		{"ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", "6.17.2-1-default", "", "/boot/initrd-6.17.2-1-default"},
		{"ID=arch\n", "6.17.1-arch1-1", "linux", "/boot/initramfs-linux.img"},
		{"ID=alpine\n", "6.12.1-0-lts", "", "/boot/initramfs-lts"},
		{"ID=gentoo\n", "6.12.1-gentoo", "", "/boot/initramfs-6.12.1-gentoo.img"},
		{"", "6.12.1", "", "/boot/initramfs-6.12.1.img"},
	} {
		if got := ParseSystem(c.release).Place("/boot", c.kernel, c.pkgbase); got != c.want {
			t.Errorf("%q: %s, want %s", c.release, got, c.want)
		}
	}
}

func TestNewestKernel(t *testing.T) {
	want := []string{"5.10.0-9-amd64", "5.10.0-26-amd64", "6.1.0~rc1-amd64", "6.1.0-9-amd64", "6.1.0-13-amd64", "6.1.0-13-rt-amd64", "6.12.0-rc2", "6.12.0", "6.12.48+deb13-amd64"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareReleases)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := Newest(want[:5]); n != "6.1.0-13-amd64" {
		t.Error(n)
	}
	if n := Newest(nil); n != "" {
		t.Error(n)
	}
}
