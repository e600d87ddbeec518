package overlay

import (
	"testing"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fstab"
)

const original = `# a comment
UUID=11111111-1111-4111-8111-111111111111 / ext4 errors=remount-ro 0 1
LABEL=home /home/all\040of\040us ext4 defaults,nofail 0 2
LABEL=efi /boot/efi vfat umask=0077 0 1
LABEL=usr /usr xfs defaults 0 2
tmpfs /tmp tmpfs nosuid 0 0
server:/srv /srv nfs defaults 0 0
/dev/sda9 none swap sw 0 0
`

func TestFstabOfACoveredRoot(t *testing.T) {
	for name, tt := range map[string]struct {
		o    bootcmd.Overlay
		want string
	}{
		"the line of the root alone": {bootcmd.Overlay{Kind: bootcmd.OverlayRun}, `# a comment
# covered: UUID=11111111-1111-4111-8111-111111111111 / ext4 errors=remount-ro 0 1
LABEL=home /home/all\040of\040us ext4 defaults,nofail 0 2
LABEL=efi /boot/efi vfat umask=0077 0 1
LABEL=usr /usr xfs defaults 0 2
tmpfs /tmp tmpfs nosuid 0 0
server:/srv /srv nfs defaults 0 0
/dev/sda9 none swap sw 0 0
`},
		"overlayroot, and nothing else covered": {bootcmd.Overlay{Kind: bootcmd.OverlayMedia, Swap: true}, `# a comment
# covered: UUID=11111111-1111-4111-8111-111111111111 / ext4 errors=remount-ro 0 1
LABEL=home /home/all\040of\040us ext4 defaults,nofail 0 2
LABEL=efi /boot/efi vfat umask=0077 0 1
LABEL=usr /usr xfs defaults 0 2
tmpfs /tmp tmpfs nosuid 0 0
server:/srv /srv nfs defaults 0 0
/dev/sda9 none swap sw 0 0
`},
		"overlayroot, all covered": {bootcmd.Overlay{Kind: bootcmd.OverlayMedia, Recurse: true}, `# a comment
# covered: UUID=11111111-1111-4111-8111-111111111111 / ext4 errors=remount-ro 0 1
LABEL=home /media/root-ro/home/all\040of\040us ext4 defaults,nofail,ro 0 0
/media/root-ro/home/all\040of\040us /home/all\040of\040us overlay lowerdir=/media/root-ro/home/all\040of\040us,upperdir=/media/root-rw/overlay-other/home-all\040of\040us,workdir=/media/root-rw/overlay-workdir/home-all\040of\040us,x-systemd.requires-mounts-for=/media/root-ro/home/all\040of\040us,nofail 0 0
LABEL=efi /boot/efi vfat umask=0077,ro 0 0
LABEL=usr /usr xfs defaults,ro 0 0
tmpfs /tmp tmpfs nosuid 0 0
server:/srv /srv nfs defaults 0 0
# covered: /dev/sda9 none swap sw 0 0
`},
	} {
		got := Fstab(original, tt.o)
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, tt.want)
		}
		if _, errs := fstab.Parse("", got); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// What is written can be read, and the root's line never counts.
func FuzzFstab(f *testing.F) {
	f.Add(original)
	f.Add("a /b\\134c ext4 x=\"1,2\"\n/ / /\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range []bootcmd.Overlay{{Kind: bootcmd.OverlayRun}, {Kind: bootcmd.OverlayMedia, Recurse: true}} {
			before, wrong := fstab.Parse("", text)
			after, errs := fstab.Parse("", Fstab(text, o))
			if len(errs) > len(wrong) {
				t.Errorf("%q: %v", text, errs)
			}
			if fstab.Root(after) != nil {
				t.Errorf("%q: the root's line counts", text)
			}
			if o.Kind == bootcmd.OverlayRun && len(after) > len(before) {
				t.Errorf("%q: %d lines became %d", text, len(before), len(after))
			}
		}
	})
}
