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

// rootPackages is what a Debian root has beyond the packages that every
// Debian has: systemd as init, and the tools with which the real system looks
// after the stack that it was booted from.
var rootPackages = []string{
	"systemd", "systemd-sysv", "udev", "dbus", "kmod", "lvm2", "mdadm", "cryptsetup",
	"btrfs-progs", "xfsprogs", "e2fsprogs", "dosfstools", "util-linux", "procps",
}

// Root returns a tar file with a Debian root of a suite, made by mmdebstrap
// unless the cache has it. The root has no kernel, no password for root, and
// nothing in it that is particular to one disk layout. It has more packages if
// they are named.
func Root(ctx context.Context, suite string, more ...string) (string, error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Join(cache, "roots", suite+"-"+rootKey(more)))
	if err != nil {
		return "", fmt.Errorf("root of %s: %w", suite, err)
	}
	err = host.Once(dir, func(tmp string) error {
		return mmdebstrap(ctx, suite, tmp, target{format: "tar", name: "root.tar", packages: slices.Concat(rootPackages, more), setup: rootSetup})
	})
	return filepath.Join(dir, "root.tar"), err
}

// rootKey changes with everything that decides what a root contains.
func rootKey(more []string) string {
	return host.Hash([]byte(strings.Join(slices.Concat(rootPackages, more), ",")), []byte(rootSetup))
}

// rootSetup runs on the finished tree ($1), outside of it. First boots have a
// machine id (so that nothing asks for one), a name and no timers that start
// work in the background.
const rootSetup = `set -e
echo firstlight-test >"$1/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
rm -f "$1/var/lib/dbus/machine-id"
ln -s /etc/machine-id "$1/var/lib/dbus/machine-id"
chroot "$1" passwd -d root
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
  mdcheck_start.timer mdcheck_continue.timer mdmonitor-oneshot.timer systemd-tmpfiles-clean.timer e2scrub_reap.service; do
  ln -sf /dev/null "$1/etc/systemd/system/$unit"
done
rm -rf "$1/var/lib/apt/lists" "$1/var/cache/apt" "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale"
mkdir -p "$1/var/lib/apt/lists/partial" "$1/var/cache/apt/archives/partial"
`

// target is what mmdebstrap is to make, as NAME in a directory.
type target struct {
	format, name string
	packages     []string
	setup        string // shell commands for the finished tree, $1
	contrib      bool   // also of what is free but needs what is not, or has another licence than Linux
}

func mmdebstrap(ctx context.Context, suite, dir string, t target) error {
	sources, err := Sources(ctx, suite)
	if err != nil {
		return err
	}
	if t.contrib {
		sources = Contrib(sources)
	}
	setup := filepath.Join(dir, "setup")
	if err := os.WriteFile(setup, []byte("#!/bin/sh\n"+t.setup), 0o755); err != nil {
		return fmt.Errorf("root of %s: %w", suite, err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return fmt.Errorf("root of %s: %w", suite, err)
	}
	defer log.Close()
	argv := []string{"mmdebstrap", "--mode=auto", "--variant=minbase", "--format=" + t.format,
		"--include=" + strings.Join(t.packages, ","),
		"--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"", "--aptopt=APT::Sandbox::User \"root\"",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--customize-hook=" + setup, suite, filepath.Join(dir, t.name)}
	conf, err := fetchOptions(ctx)
	if err != nil {
		return err
	}
	for _, opt := range conf {
		argv = append(argv, "--aptopt="+opt)
	}
	_, err = host.Cmd{Argv: append(argv, sources...), Log: log, Env: []string{"DEBIAN_FRONTEND=noninteractive"}}.Run(ctx)
	return err
}
