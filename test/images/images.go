// Package images makes images with the generators of Debian, for the tests of
// what reads any image: in a chroot, so that nothing of this machine is in
// them, and once, since they go to the cache.
package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"firstlight/test/debian"
	"firstlight/test/host"
)

// Kind is a way to make an image.
type Kind struct {
	Name string
	argv []string          // the generator, that writes /out/image
	conf map[string]string // files of the chroot
	list []string          // prints what is in it, by the field's own tool; nil if none does
}

const microcode = "usr/lib/firmware/amd-ucode/microcode_amd.bin"

func tools(method string) Kind {
	list := []string{"lsinitramfs", "/out/image"}
	if method == "lzma" { // which lsinitramfs does not read
		list = nil
	}
	return Kind{Name: "initramfs-tools-" + method,
		argv: []string{"mkinitramfs", "-c", method, "-o", "/out/image"},
		conf: map[string]string{"etc/initramfs-tools/conf.d/test": "MODULES=most\nRESUME=none\n", "etc/fstab": "/dev/vda1 / ext4 ro 0 1\n"},
		list: list}
}

func dracut(method string) Kind {
	return Kind{Name: "dracut-" + method,
		argv: []string{"dracut", "--force", "--no-hostonly", "--early-microcode", "--compress", method, "--add", "lvm crypt mdraid", "/out/image", "--kver"},
		// A container of microcode without any: dracut asks only for its name.
		conf: map[string]string{"etc/fstab": "/dev/vda1 / ext4 ro 0 1\n", microcode: "DMA\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		list: []string{"lsinitrd", "/out/image"}}
}

// Kinds are the images: each compression that Debian's generators write.
func Kinds() []Kind {
	var out []Kind
	for _, m := range []string{"zstd", "gzip", "xz", "lz4", "bzip2", "lzma", "lzop"} {
		out = append(out, tools(m))
	}
	for _, m := range []string{"zstd", "gzip"} {
		out = append(out, dracut(m))
	}
	return out
}

// Made is an image and what is known of it.
type Made struct {
	Kind
	File string
	List string // a file with what Kind's tool printed
}

// packages are the compressors.
var packages = []string{"xz-utils", "lz4", "bzip2", "lzop"}

// Make makes the image of one kind with the kernel's suite, unless the cache
// has it.
func Make(ctx context.Context, k debian.Kernel, kind Kind) (Made, error) {
	cache, err := host.Cache()
	if err != nil {
		return Made{}, err
	}
	key := host.Hash([]byte(fmt.Sprintf("%s %v %v %v", k.Release, kind.argv, kind.conf, kind.list)))
	dir := filepath.Join(cache, "images", k.Suite+"-"+kind.Name+"-"+key)
	err = host.Once(dir, func(tmp string) error {
		c, err := Chroot(ctx, k, "images-"+kind.Name)
		if err != nil {
			return err
		}
		defer os.RemoveAll(c.Dir)
		for name, text := range kind.conf {
			if err := c.Write(name, text, 0o644); err != nil {
				return err
			}
		}
		if _, _, err := c.Run(ctx, k, append(kind.argv, k.Release)...); err != nil {
			return err
		}
		if kind.list == nil {
			_, err := host.Run(ctx, "cp", filepath.Join(c.Dir, "out/image"), tmp)
			return err
		}
		list := append([]string{"sh", "-c", `"$@" >/out/list`, "sh"}, kind.list...)
		if _, _, err := c.Run(ctx, k, list...); err != nil {
			return err
		}
		_, err = host.Run(ctx, "cp", filepath.Join(c.Dir, "out/image"), filepath.Join(c.Dir, "out/list"), tmp)
		return err
	})
	return Made{Kind: kind, File: filepath.Join(dir, "image"), List: filepath.Join(dir, "list")}, err
}

// Chroot returns a chroot with the generators, see debian.Generators.
func Chroot(ctx context.Context, k debian.Kernel, dir string) (debian.Chroot, error) {
	return debian.Generators(ctx, k, dir, packages...)
}
