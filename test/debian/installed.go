package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// installedPackages are what a Debian has that boots by itself, with one of two
// boot loaders: its own kernel and generator of images.
var installedPackages = []string{"systemd", "systemd-sysv", "udev", "dbus", "kmod", "e2fsprogs", "dosfstools", "util-linux", "procps",
	"linux-image-amd64", "initramfs-tools", "zstd", "grub-efi-amd64", "grub-common", "efibootmgr"}

// laterPackages are files of packages in /root/debs of that Debian, which are
// installed there later: a second kernel, the generator again, and another boot
// loader.
func laterPackages(suite string) []string {
	list := []string{"linux-image-cloud-amd64", "initramfs-tools", "systemd-boot", "systemd-boot-efi"}
	if suite != "bookworm" {
		list = append(list, "systemd-boot-tools")
	}
	return list
}

const (
	// Two kernels with the images of initramfs-tools fit on the ESP.
	espStart, espSize   = 1 << 20, 256 << 20
	rootStart, rootSize = espStart + espSize, 2600 << 20
	// InstalledRoot and InstalledESP are the UUIDs of the filesystems.
	InstalledRoot = "5ca1ab1e-0000-4000-8000-00000000d0c5"
	InstalledESP  = "F1A5-B007"
)

// Installed returns a disk with an installed Debian of a suite and its kernel
// and image beside it, DIR/disk.img, DIR/vmlinuz and DIR/initrd.img, made unless
// the cache has it. The EFI system partition is empty.
func Installed(ctx context.Context, suite string) (dir string, err error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	key := host.Hash([]byte(strings.Join(installedPackages, ",")), []byte(strings.Join(laterPackages(suite), ",")), []byte(installedSetup), []byte(rootSetup),
		fmt.Append(nil, espSize, rootSize))
	dir = filepath.Join(cache, "roots", "installed-"+suite+"-"+key)
	return dir, host.Once(dir, func(tmp string) error { return install(ctx, suite, tmp) })
}

func install(ctx context.Context, suite, dir string) error {
	debs, err := download(ctx, suite, filepath.Join(dir, "debs"))
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	err = mmdebstrap(ctx, suite, dir, target{format: "directory", name: "root", packages: installedPackages, setup: rootSetup + installedSetup})
	if err != nil {
		return err
	}
	if _, err := host.Run(ctx, "cp", "-r", debs, filepath.Join(root, "root/debs")); err != nil {
		return err
	}
	for _, name := range []string{"vmlinuz", "initrd.img"} {
		found, err := filepath.Glob(filepath.Join(root, "boot", name+"-*"))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("installed %s: /boot has %q for %s (%v)", suite, found, name, err)
		}
		if _, err := host.Run(ctx, "cp", found[0], filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := disk(ctx, root, filepath.Join(dir, "disk.img")); err != nil {
		return err
	}
	for _, p := range []string{root, debs} {
		if err := host.RemoveAll(p); err != nil {
			return fmt.Errorf("installed %s: %w", suite, err)
		}
	}
	return nil
}

// download fetches the files of packages, and of what these stand for.
func download(ctx context.Context, suite, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("packages of %s: %w", suite, err)
	}
	apt, err := NewApt(ctx, suite)
	if err != nil {
		return "", err
	}
	if _, err := apt.Run(ctx, dir, "apt-get", "update"); err != nil {
		return "", err
	}
	for _, name := range laterPackages(suite) {
		if strings.HasPrefix(name, "linux-image-") {
			// The package of that name only needs the one of the release.
			out, err := apt.Run(ctx, dir, "apt-cache", "depends", name)
			if err != nil {
				return "", err
			}
			_, rest, ok := strings.Cut(out, "Depends: linux-image-")
			if !ok {
				return "", fmt.Errorf("package %s of %s: it needs no kernel:\n%s", name, suite, out)
			}
			name = "linux-image-" + strings.Fields(rest)[0]
		}
		if _, err := apt.Run(ctx, dir, "apt-get", "download", name); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// disk puts the tree of a root on a disk with an EFI system partition.
func disk(ctx context.Context, root, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if err := f.Truncate(rootStart + rootSize + 1<<20); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	table := filepath.Join(filepath.Dir(name), "table")
	text := fmt.Sprintf("label: gpt\nstart=%d, size=%d, type=U\nstart=%d, size=%d, type=L\n", espStart/512, espSize/512, rootStart/512, rootSize/512)
	if err := os.WriteFile(table, []byte(text), 0o644); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, argv := range [][]string{
		{"sh", "-c", `sfdisk -q "$1" <"$2"`, "sh", name, table},
		{"mkfs.fat", "-F", "32", "-s", "2", "-i", strings.ReplaceAll(InstalledESP, "-", ""), "--offset", fmt.Sprint(espStart / 512), name, fmt.Sprint(espSize >> 10)},
		{"mke2fs", "-q", "-F", "-t", "ext4", "-U", InstalledRoot, "-d", root, "-E", fmt.Sprintf("offset=%d", rootStart), name, fmt.Sprintf("%dk", rootSize>>10)},
	} {
		if _, err := host.Run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// installedSetup is the rest of an installation: mounts, the boot loader's
// configuration, and a unit that runs what a test puts on the disk of tools.
const installedSetup = `
cat >"$1/etc/fstab" <<EOF
UUID=` + InstalledRoot + ` / ext4 errors=remount-ro 0 1
UUID=` + InstalledESP + ` /boot/efi vfat umask=0077 0 1
EOF
mkdir -p "$1/boot/efi" "$1/etc/kernel"
cat >"$1/etc/default/grub" <<EOF
GRUB_DEFAULT=saved
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX="console=ttyS0"
GRUB_CMDLINE_LINUX_DEFAULT=
GRUB_TERMINAL=console
EOF
echo "root=UUID=` + InstalledRoot + ` ro console=ttyS0" >"$1/etc/kernel/cmdline"
cat >"$1/etc/systemd/system/stage.service" <<EOF
[Unit]
Description=A stage of the test
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh -c "mkdir -p /run/tools && mount -o ro /dev/disk/by-id/virtio-tools /run/tools && exec /run/tools/stage"
Environment=HOME=/root DEBIAN_FRONTEND=noninteractive
[Install]
WantedBy=graphical.target
EOF
ln -s /lib/systemd/system/graphical.target "$1/etc/systemd/system/default.target"
mkdir -p "$1/etc/systemd/system/graphical.target.wants"
ln -s /etc/systemd/system/stage.service "$1/etc/systemd/system/graphical.target.wants/stage.service"
`
