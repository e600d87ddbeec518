package build

import (
	"slices"

	"firstlight/internal/kmod"
)

// onRequest are soft dependencies that a module of an image is loaded without:
// algorithms of which what it is loaded for uses one at most, and which the kernel
// asks modprobe for when it does (crypto_alloc_shash in btrfs_init_csum_hash). They
// are in the image, and /init answers the kernel. Each has to be verified and is
// tested by the kernel before it counts as loaded, for nothing in most boots.
// btrfs's usual checksum, crc32c, is not among them.
var onRequest = map[string][]string{
	"btrfs": {"xxhash64", "sha256", "blake2b-256"},
}

// leaveToRequest takes those out of what an image's index says of the modules.
func (b *builder) leaveToRequest(src kmod.Source) error {
	for i := range src.Modules {
		m := &src.Modules[i]
		for _, name := range onRequest[m.Name] {
			// The kernel asks for the algorithm by this alias: what has only the
			// other name would not be found.
			asked, err := b.mods.Resolve("crypto-" + name)
			if err != nil {
				return err
			}
			m.Pre = slices.DeleteFunc(m.Pre, func(pre string) bool { return slices.Contains(asked, pre) })
		}
	}
	return nil
}
