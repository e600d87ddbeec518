package fsck

import "testing"

func TestFinding(t *testing.T) {
	for output, want := range map[string]string{
		"": "",
		"/dev/vda was not cleanly unmounted, check forced.\n/dev/vda: Inode 14, i_mode is garbage.  \n\n" +
			"/dev/vda: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., without -a or -p options)\n": "Inode 14, i_mode is garbage.",
		"/dev/vda: Inode 12, end of extent exceeds allowed value\n\t(logical block 0, physical block 9)\n" +
			"/dev/vda: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n\t(i.e., without -a or -p options)\n": "Inode 12, end of extent exceeds allowed value (logical block 0, physical block 9)",
		"fsck.f2fs: run it by hand":  "fsck.f2fs: run it by hand",
		"\tan indented line alone\n": "an indented line alone",
	} {
		if got := finding("/dev/vda", output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
