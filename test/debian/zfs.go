package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/host"
)

// zfsBuild runs on a tree with zfs-dkms and the kernel's headers ($1): it builds
// the modules for the kernel of the headers. zfs-dkms may have done so as it was
// installed.
const zfsBuild = `set -e
version=$(ls "$1/usr/src" | sed -n 's/^zfs-//p')
release=$(ls "$1/usr/lib/modules" 2>/dev/null || ls "$1/lib/modules")
test -d "$1/var/lib/dkms/zfs/$version/$release/x86_64/module" ||
  chroot "$1" dkms build -m zfs -v "$version" -k "$release" || {
    cat "$1/var/lib/dkms/zfs/$version/build/make.log" >&2
    exit 1
  }
mkdir "$1/../built"
cp "$1/var/lib/dkms/zfs/$version/$release/x86_64/module/"*.ko* "$1/../built"
`

// ZFSKernel is a kernel with Debian's ZFS among its modules, built by dkms in a
// tree of its own unless the cache has it. That takes some minutes. The files of
// the kernel itself are links to those of k.
func ZFSKernel(ctx context.Context, k Kernel) (Kernel, error) {
	cache, err := host.Cache()
	if err != nil {
		return Kernel{}, err
	}
	packages := []string{"dkms", "zfs-dkms", "linux-headers-" + k.Release}
	dir := filepath.Join(cache, "kernels", k.Suite+"-zfs-"+host.Hash([]byte(k.Release), []byte(zfsBuild)))
	err = host.Once(dir, func(tmp string) error {
		t := target{format: "directory", name: "root", packages: packages, setup: zfsBuild, contrib: true}
		if err := mmdebstrap(ctx, k.Suite, tmp, t); err != nil {
			return err
		}
		if err := host.RemoveAll(filepath.Join(tmp, "root")); err != nil {
			return fmt.Errorf("ZFS for %s: %w", k.Release, err)
		}
		// Links: the kernel's own files are big and never written to.
		for _, name := range []string{"boot", "lib"} {
			if _, err := host.Run(ctx, "cp", "-al", filepath.Join(k.Root, name), tmp); err != nil {
				return err
			}
		}
		modules := filepath.Join(tmp, "lib/modules", k.Release)
		if _, err := host.Run(ctx, "sh", "-c", `rm -f "$1"/modules.*.bin "$1"/modules.dep "$1"/modules.alias "$1"/modules.symbols "$1"/modules.softdep "$1"/modules.devname && mkdir "$1/updates" && mv "$2" "$1/updates/dkms"`, "sh", modules, filepath.Join(tmp, "built")); err != nil {
			return err
		}
		_, err := host.Run(ctx, "depmod", "-b", tmp, k.Release)
		return err
	})
	return Kernel{Suite: k.Suite, Root: dir, Release: k.Release}, err
}

// zfsPackages are what an installation on ZFS has beyond a root's packages.
var zfsPackages = []string{"zfsutils-linux", "zfs-initramfs", "initramfs-tools", "busybox", "zstd"}

// ZFSRoot returns a directory with root, the tree of a Debian of a suite with
// ZFS's tools and with what makes its initramfs, and root.tar, the same packed.
// The tree is for looking and for running programs in; nothing may be written to
// its files.
func ZFSRoot(ctx context.Context, suite string) (dir string, err error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	packages := slices.Concat(rootPackages, zfsPackages)
	dir = filepath.Join(cache, "roots", "zfs-"+suite+"-"+host.Hash([]byte(strings.Join(packages, ",")), []byte(rootSetup)))
	return dir, host.Once(dir, func(tmp string) error {
		err := mmdebstrap(ctx, suite, tmp, target{format: "directory", name: "root", packages: packages, setup: rootSetup, contrib: true})
		if err != nil {
			return err
		}
		_, err = host.Run(ctx, "tar", "-C", filepath.Join(tmp, "root"), "--numeric-owner", "--xattrs", "-cf", filepath.Join(tmp, "root.tar"), ".")
		return err
	})
}

// ZFSImage makes the initramfs that a Debian with ZFS makes for itself, by
// initramfs-tools and zfs-initramfs, and returns its file. k has ZFS.
func ZFSImage(ctx context.Context, k Kernel) (string, error) {
	dir, err := ZFSRoot(ctx, k.Suite)
	if err != nil {
		return "", err
	}
	const conf = "MODULES=most\nRESUME=none\n"
	out := filepath.Join(filepath.Dir(dir), "zfs-image-"+k.Suite+"-"+host.Hash([]byte(filepath.Base(dir)), []byte(filepath.Base(k.Root)), []byte(conf)))
	err = host.Once(out, func(tmp string) error {
		root := filepath.Join(tmp, "root")
		// Links to the same files: what is written to is replaced.
		if _, err := host.Run(ctx, "cp", "-al", filepath.Join(dir, "root"), root); err != nil {
			return err
		}
		for _, d := range []string{"boot", filepath.Join("usr/lib/modules", k.Release), "out"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				return fmt.Errorf("ZFS image: %w", err)
			}
		}
		c := Chroot{Dir: root}
		if err := c.Write("etc/initramfs-tools/conf.d/test", conf, 0o644); err != nil {
			return err
		}
		if _, _, err := c.Run(ctx, k, "mkinitramfs", "-c", "zstd", "-o", "/out/image", k.Release); err != nil {
			return err
		}
		if _, err := host.Run(ctx, "cp", filepath.Join(root, "out/image"), tmp); err != nil {
			return err
		}
		return host.RemoveAll(root)
	})
	return filepath.Join(out, "image"), err
}
