package e2e

import (
	"slices"
	"time"

	"firstlight/test/disks"
)

// ofZFS are lines in which Firstlight is meant to differ. It has the pool know its
// disks by names that stay, and mounts datasets as their properties say; mount(8)
// of the other image adds relatime, which later versions of zfs-initramfs do not
// have it do.
var ofZFS = []string{
	`zpool (list|status): /dev/(disk/by-id/virtio-d[01]-part1|vd[ab]1) ONLINE( 0 0 0)?`,
	`mounts: (/|/srv|/mnt) rpool/\S+ zfs rw,(relatime,)?xattr,noacl`,
	`links: /dev/disk/by-(label/rpool|uuid/\d+) \.\./\.\./vd[ab]1`, // as of a btrfs
	`zfs get: rpool/\S+ relatime (on temporary|off default)`,
}

// interopMore are further stacks in which the tools have to see the same.
func interopMore() []Scenario {
	bcache, raid6, zfs := disks.InteropBcache, disks.InteropRAID6, disks.InteropZFS
	const root = "ro root=ZFS=rpool/ROOT/debian"
	pool := both(zfs, initramfsTools, small("zfs"), root, "boot=zfs "+root, "Enter passphrase for ", slices.Concat(noArrays, ofZFS), disks.Passphrase)
	pool.Memory, pool.Writes = 1536, anything
	// zfs load-key throws away what is typed before it has turned off the echo, after
	// its prompt, and nothing tells when that is.
	pool.Boots[1].Do[0].After = 10 * time.Second
	return []Scenario{
		same(bcache, initramfsTools, small("ext4", "bcache"), "ro "+uuid(bcache.FSUUID("cached")), anything, noArrays),
		same(raid6, initramfsTools, small("ext4", "md-raid6"), "ro "+uuid(raid6.FSUUID("root")), []string{`d[0-3] WSM? 1[45]\d{5}\+\d+ .*`}, nil), // the other array's journal begins
		pool,
	}
}
