// Package floor makes the image of the least initramfs there can be (see
// firstlight/test/guest/floor).
package floor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/debian"
	"firstlight/test/host"
	"firstlight/test/initrd"
)

// Modules are what a kernel needs for an ext4 on a virtio disk.
var Modules = []string{"virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "ext4"}

// Build writes an uncompressed image that boots from an ext4 on a device
// ("vda1"). With strip, the modules' debug sections are left out. It loads more
// modules too, if asked to.
func Build(ctx context.Context, k debian.Kernel, device, out string, strip bool, more ...string) error {
	dir, err := os.MkdirTemp("", "flfloor")
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	defer os.RemoveAll(dir)
	init, err := host.GoBuild(ctx, "./test/guest/floor", dir)
	if err != nil {
		return err
	}
	m := initrd.New()
	if err := m.Copy(init, "init", 0o755); err != nil {
		return err
	}
	order, err := m.Modules(k, slices.Concat(Modules, more)...)
	if err != nil {
		return err
	}
	if strip {
		for _, p := range order {
			file := filepath.Join(dir, "module.ko")
			if _, err := host.Run(ctx, "strip", "-g", "-o", file, filepath.Join(k.Modules(), strings.TrimPrefix(p, "/lib/modules/"))); err != nil {
				return err
			}
			if err := m.Copy(file, strings.TrimPrefix(p, "/"), 0o644); err != nil {
				return err
			}
		}
	}
	m.File("floor", 0o644, []byte(device+" ext4 "+strings.Join(order, " ")+"\n"))
	for _, d := range []string{"dev", "proc", "sys", "run", "root"} {
		m.Dir(d)
	}
	return m.WriteFile(out)
}
