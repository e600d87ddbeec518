// Package packages installs the package of Firstlight in a Debian that boots by
// itself, and takes it away again, in a virtual machine.
package packages

import (
	"context"
	"errors"
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

// TestDebian: a Debian 12 and a Debian 13 that UEFI starts with GRUB or
// systemd-boot get Firstlight over initramfs-tools, boot with it, get another
// kernel, boot that, lose it, go back to the image before by GRUB's menu, get
// initramfs-tools again, and boot with that. stage.sh is what is done in each boot.
func TestDebian(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_FULL") == "" || os.Getenv("FIRSTLIGHT_E2E") == "" {
		t.Skip("seven boots of a whole Debian each: FIRSTLIGHT_FULL=1 FIRSTLIGHT_E2E=1")
	}
	testtool.Need(t, "qemu-system-x86_64", "mmdebstrap", "sfdisk", "mkfs.fat", "mke2fs")
	for _, suite := range []string{"bookworm", "trixie"} {
		for _, loader := range []string{"grub", "systemd-boot"} {
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
	done, err := stage(ctx, t, first, filepath.Join(dir, "0"))
	// Each boot is one of a machine that was off. The firmware takes minutes for
	// one after a reset when QEMU interprets it.
	for n := 1; err == nil && !done && n < 10; n++ {
		done, err = stage(ctx, t, m, filepath.Join(dir, fmt.Sprint(n)))
	}
	if err == nil && !done {
		err = errors.New("it does not come to an end")
	}
	if err == nil {
		err = os.Remove(disk) // what failed can be looked at
	}
	return err
}

// stage boots a machine, waits until it reboots or switches itself off, and looks
// for what it has to say in the end: whether that was the last stage.
func stage(ctx context.Context, t *testing.T, m vm.Machine, log string) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	console, err := os.Create(log + ".console")
	if err != nil {
		return false, err
	}
	defer console.Close()
	m.Log = console
	v, err := vm.Run(ctx, m)
	if err != nil {
		return false, err
	}
	defer v.Close()
	start := time.Now()
	waitErr := v.Wait(ctx)
	text := v.Report.Text()
	if err := os.WriteFile(log+".report", []byte(text), 0o644); err != nil {
		return false, err
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "stage ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	t.Logf("after %v", time.Since(start).Round(time.Second))
	done = strings.Contains(text, ": ALL DONE\n") || strings.Contains(text, ": ALL DONE\r\n")
	if strings.Contains(text, "FAILED") || !done && !strings.Contains(text, ": done") {
		return false, fmt.Errorf("the stage has not come to its end (%v); console in %s.console, the end of its report:\n%s", waitErr, log, host.Tail(text, 30))
	}
	return done, waitErr
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
