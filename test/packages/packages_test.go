// Package packages installs the package of Firstlight in a Debian that boots by
// itself, and takes it away again, in a virtual machine.
package packages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
// kernel, boot that, lose it, boot with the image for any machine and with the one
// before by the boot loader's menu, get initramfs-tools again, and boot with that. stage.sh is what is done in each boot.
func TestDebian(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_FULL") == "" || os.Getenv("FIRSTLIGHT_E2E") == "" {
		t.Skip("eight boots of a whole Debian each: FIRSTLIGHT_FULL=1 FIRSTLIGHT_E2E=1")
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
	from, err := firstStage()
	if err != nil {
		return err
	}
	if from == 0 {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tools, err := toolsDisk(ctx, dir, loader)
	if err != nil {
		return err
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if from == 0 {
		if err := vm.Overlay(ctx, filepath.Join(base, "disk.img"), disk); err != nil {
			return err
		}
	}
	// Of a plain CPU, for which fewer drivers are loaded and less is saved and
	// restored when QEMU interprets it.
	m := vm.Machine{Memory: 1024, CPUs: 1, CPU: "qemu64,svm=off", Firmware: filepath.Join(dir, "firmware"),
		Disks: []vm.Disk{{File: disk, Serial: "disk", Boots: true}, {File: tools, Serial: "tools", ReadOnly: true}}}
	done := false
	for n := from; err == nil && !done && n < 10; n++ {
		if err = keep(ctx, m, n, n == from && n > 0); err != nil {
			break
		}
		// Each boot is one of a machine that was off. The firmware takes minutes
		// for one after a reset when QEMU interprets it.
		boot := m
		if n == 0 {
			// Without the boot loader, which that boot installs.
			boot.Kernel, boot.Initrd = filepath.Join(base, "vmlinuz"), filepath.Join(base, "initrd.img")
			boot.Append = "console=ttyS0 tsc=reliable mitigations=off norandmaps systemd.default_device_timeout_sec=1800 ro root=UUID=" + debian.InstalledRoot
		}
		done, err = stage(ctx, t, boot, filepath.Join(dir, fmt.Sprint(n)))
	}
	if err == nil && !done {
		err = errors.New("it does not come to an end")
	}
	if err == nil {
		err = os.Remove(disk) // what failed can be looked at
	}
	return err
}

// firstStage is the stage that FIRSTLIGHT_STAGE says to begin with again, with the
// disk that a test before has left there.
func firstStage() (int, error) {
	text := os.Getenv("FIRSTLIGHT_STAGE")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("FIRSTLIGHT_STAGE=%q is not a stage", text)
	}
	return n, nil
}

// keep keeps the machine's disk and the variables of its firmware as they are
// before a stage, or brings them back.
func keep(ctx context.Context, m vm.Machine, n int, back bool) error {
	name, disk := fmt.Sprintf("stage%d", n), m.Disks[0].File
	variables := m.Firmware + "." + name
	if back {
		if _, err := host.Run(ctx, "qemu-img", "snapshot", "-a", name, disk); err != nil {
			return err
		}
		_, err := host.Run(ctx, "cp", variables, m.Firmware)
		return err
	}
	if n == 0 {
		if err := vm.FirmwareVariables(m.Firmware); err != nil {
			return err
		}
	}
	if _, err := host.Run(ctx, "cp", m.Firmware, variables); err != nil {
		return err
	}
	_, err := host.Run(ctx, "qemu-img", "snapshot", "-c", name, disk)
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
	report, err := os.Create(log + ".report")
	if err != nil {
		return false, err
	}
	defer report.Close()
	m.Log, m.ReportLog = console, report
	v, err := vm.Run(ctx, m)
	if err != nil {
		return false, err
	}
	defer v.Close()
	waitErr := v.Wait(ctx)
	text := v.Report.Text()
	for _, line := range v.Report.Lines() {
		if strings.HasPrefix(line.Text, "stage ") {
			t.Logf("%4.0f s: %s", line.At.Seconds(), line.Text)
		}
	}
	t.Logf("%4.0f s: off", time.Since(v.Start).Seconds())
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
