package fsck

import (
	"strings"
	"testing"

	"firstlight/internal/bootcmd"
)

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

// A checker must be asked for what the person asked for, in its own words: -n
// to one that does not know it would be no check, or a repair.
func TestArgumentsOfEachChecker(t *testing.T) {
	for _, tt := range []struct {
		typ  string
		f    bootcmd.Fsck
		want string
	}{
		{"ext4", bootcmd.Fsck{}, "-a"},
		{"ext4", bootcmd.Fsck{Mode: bootcmd.FsckForce, Repair: bootcmd.RepairYes}, "-y -f"},
		{"ext3", bootcmd.Fsck{Repair: bootcmd.RepairNo}, "-n"},
		{"vfat", bootcmd.Fsck{Mode: bootcmd.FsckForce}, "-a"},
		{"exfat", bootcmd.Fsck{}, "-p"},
		{"f2fs", bootcmd.Fsck{Repair: bootcmd.RepairNo}, "--dry-run"},
		{"jfs", bootcmd.Fsck{Mode: bootcmd.FsckForce, Repair: bootcmd.RepairYes}, "-f"},
		{"reiserfs", bootcmd.Fsck{Repair: bootcmd.RepairNo}, "none"},
		{"xfs", bootcmd.Fsck{Mode: bootcmd.FsckForce}, "none"},
		{"btrfs", bootcmd.Fsck{}, "none"},
	} {
		args, ok := arguments(tt.typ, tt.f)
		got := strings.Join(args, " ")
		if !ok {
			got = "none"
		}
		if got != tt.want {
			t.Errorf("%s %+v: %q, want %q", tt.typ, tt.f, got, tt.want)
		}
	}
}
