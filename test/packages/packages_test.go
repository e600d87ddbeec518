// Package packages installs the package of Firstlight in a Debian that boots by
// itself, and takes it away again, in a virtual machine.
package packages

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// TestDebian: a Debian 12 and a Debian 13 that UEFI starts with GRUB get
// Firstlight over initramfs-tools, boot with it, get another kernel, boot that,
// lose it, go back to the image before by the menu, and get initramfs-tools
// again. stage.sh is what is done in each boot.
func TestDebian(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_FULL") == "" || os.Getenv("FIRSTLIGHT_E2E") == "" {
		t.Skip("seven boots of a whole Debian each: FIRSTLIGHT_FULL=1 FIRSTLIGHT_E2E=1")
	}
	testtool.Need(t, "qemu-system-x86_64", "mmdebstrap", "sfdisk", "mkfs.fat", "mke2fs")
	for _, suite := range []string{"bookworm", "trixie"} {
		for _, loader := range []string{"grub"} {
			t.Run(suite+"-"+loader, func(t *testing.T) {
				t.Parallel()
				if err := live(t.Context(), t, suite, loader); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// live lets a machine go through its stages.
func live(ctx context.Context, t *testing.T, suite, loader string) error {
	base, err := debian.Installed(ctx, suite)
	if err != nil {
		return err
	}
	cache, err := host.Cache()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "packages-test", suite+"-"+loader)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tools, err := toolsDisk(ctx, dir, loader)
	if err != nil {
		return err
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if err := vm.Overlay(ctx, filepath.Join(base, "disk.img"), disk); err != nil {
		return err
	}
	m := vm.Machine{Memory: 1024, CPUs: 1, Firmware: filepath.Join(dir, "firmware"),
		Disks: []vm.Disk{{File: disk, Serial: "disk", Boots: true}, {File: tools, Serial: "tools", ReadOnly: true}}}
	if err := vm.FirmwareVariables(m.Firmware); err != nil {
		return err
	}
	// Once without the boot loader, which that boot installs.
	first := m
	first.Kernel, first.Initrd = filepath.Join(base, "vmlinuz"), filepath.Join(base, "initrd.img")
	first.Append = "console=ttyS0 ro root=UUID=" + debian.InstalledRoot
	if err := stages(ctx, t, first, filepath.Join(dir, "first"), "stage 0: done", 10*time.Minute); err != nil {
		return err
	}
	m.Reboots = true
	return stages(ctx, t, m, filepath.Join(dir, "rest"), "ALL DONE", 45*time.Minute)
}

// stages runs a machine until it switches itself off, and looks for what it has
// to say in the end.
func stages(ctx context.Context, t *testing.T, m vm.Machine, log, last string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	console, err := os.Create(log + ".console")
	if err != nil {
		return err
	}
	defer console.Close()
	m.Log = console
	v, err := vm.Run(ctx, m)
	if err != nil {
		return err
	}
	defer v.Close()
	waitErr := v.Wait(ctx)
	text := v.Report.Text()
	if err := os.WriteFile(log+".report", []byte(text), 0o644); err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "stage ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if !strings.Contains(text, last) || strings.Contains(text, "FAILED") {
		return fmt.Errorf("the machine has not said %q (%v); console in %s.console, its end:\n%s", last, waitErr, log, host.Tail(text, 30))
	}
	return waitErr
}

// toolsDisk is a disk with what the guest runs and installs.
func toolsDisk(ctx context.Context, dir, loader string) (string, error) {
	checkout, err := host.Checkout()
	if err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(checkout, "bin/packages/firstlight_*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("bin/packages has %q: make packages makes the one that is needed (%v)", debs, err)
	}
	tree := filepath.Join(dir, "tools")
	if err := os.MkdirAll(filepath.Join(tree, "debs"), 0o755); err != nil {
		return "", err
	}
	for from, to := range map[string]string{debs[0]: "debs/", filepath.Join(checkout, "test/packages/stage.sh"): "stage"} {
		if _, err := host.Run(ctx, "cp", from, filepath.Join(tree, to)); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "loader"), []byte(loader+"\n"), 0o644); err != nil {
		return "", err
	}
	image := filepath.Join(dir, "tools.img")
	if _, err := host.Run(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image, "64M"); err != nil {
		return "", err
	}
	return image, nil
}
