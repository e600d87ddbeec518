package disks

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"firstlight/test/debian"
)

// WWN is what a disk with several paths is called in the world.
func WWN(disk string) uint64 {
	h := sha256.Sum256([]byte(disk))
	return 5<<60 | binary.BigEndian.Uint64(h[:])>>4
}

// WWID is what multipath-tools call it where it is a SCSI disk.
func WWID(disk string) string { return fmt.Sprintf("3%016x", WWN(disk)) }

// WWIDs is the file that lists disks as multipath-tools do.
func WWIDs(disks ...string) string {
	text := "# Multipath wwids, Version : 1.0\n"
	for _, d := range disks {
		text += "/" + WWID(d) + "/\n"
	}
	return text
}

// askPaths fails unless multipath-tools see the disk that Firstlight has mapped,
// d0, as they see the one that multipathd has mapped itself, d1, and have taken
// it over without a new table.
const askPaths = `#!/bin/sh
see() {
  dmsetup table $1 | sed 's/^0 [0-9]* //; s/[0-9]*:[0-9]*/N:N/g'
  multipath -ll $1 | sed "s/$1/ID/; s/dm-[0-9]*/dm-N/; s/size=[^ ]*//; s/[0-9]*:[0-9]*:[0-9]*:[0-9]* *sd[a-z]* *[0-9]*:[0-9]* */PATH /"
  dmsetup table $1-part1 | sed 's/^0 [0-9]* //; s/[0-9]*:[0-9]*/N:N/g'
  dmsetup info -c --noheadings -o uuid,attr $1 $1-part1 | sed "s/$1/ID/"
  multipathd show maps raw format '%n %w %N %Q %p %r' | grep "^$1" | sed "s/$1/ID/g"
}
udevadm settle
see $1 >/run/ours
see $2 >/run/theirs
journalctl -b -o cat -u multipathd --no-pager
echo "ours:"; cat /run/ours
echo "theirs:"; cat /run/theirs
cmp /run/ours /run/theirs || exit 1
test "$(grep -c PATH /run/theirs)" = 2 || exit 2
test "$(grep -c . /run/theirs)" -ge 8 || exit 3
if journalctl -b -o cat -u multipathd --no-pager | grep -q "$1: \(reload\|rename\|addmap\)"; then exit 4; fi
journalctl -b -o cat -u multipathd --no-pager | grep -q "$2: addmap" || exit 5
`

// DebianPaths is a Debian of bookworm with multipath-tools, and a second disk of
// the same size that only the real system knows to have paths.
func DebianPaths() Layout {
	const name = "bookworm-paths"
	return Layout{Name: name, Disks: two(1200), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		GPT{On: "d1", Parts: []Part{{Name: "data"}}},
		FS{On: "root", Type: "ext4", Content: Content{Tree: name, Files: append([]File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "root") + " / ext4 errors=remount-ro 0 1\n"},
			{Path: "etc/multipath/wwids", Data: WWIDs("d0", "d1")},
			{Path: "usr/lib/fltest/askpaths", Data: askPaths},
		}, askUnit("What multipath-tools say of the disks", "/bin/sh /usr/lib/fltest/askpaths "+WWID("d0")+" "+WWID("d1"), "multipathd.service sysinit.target", "multipathd.service")...)}},
		FS{On: "data", Type: "ext4", Content: Content{}},
	}}
}

// multipathPackages are what a system has that minds the paths to its disks.
var multipathPackages = []string{"multipath-tools", "kpartx", "sg3-utils-udev"}

// pathsTree is a Debian of bookworm with multipath-tools.
func pathsTree(ctx context.Context) ([]string, error) {
	base, err := debianTree(ctx, "bookworm")
	if err != nil {
		return nil, err
	}
	base[0], err = debian.Root(ctx, "bookworm", multipathPackages...)
	return base, err
}
