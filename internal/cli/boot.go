package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"firstlight/internal/image"
)

type bootFlags struct {
	disks       []string
	kernel      string
	append      []string
	memory      string
	cpus        int
	interactive bool
	accel       string
	bus         string
	print       bool
}

func bootCommand() *cobra.Command {
	var f bootFlags
	c := &cobra.Command{
		Use:   "boot IMAGE --disk FILE…",
		Short: "Try an image in a virtual machine",
		Long: `Boot an image in QEMU with the given disks. Nothing is written to the disks: the
machine works on throw-away overlays. The console is printed; with
--interactive it can also be typed on (Ctrl-A X ends the machine).

Without --kernel the kernel is the one that the image is for, /boot/vmlinuz-….
Unless told otherwise the processor is emulated, which works everywhere;
--accel kvm is faster where the machine has it.

` + exitText,
		Example: `  firstlight boot image.img --disk root.img --append root=/dev/vda1
  firstlight boot image.img --disk a.img --disk b.qcow2 --interactive`,
		Args: args(1, 1, "one image"),
		RunE: func(c *cobra.Command, a []string) error { return runBoot(c, a[0], &f) },
	}
	fl := c.Flags()
	fl.StringArrayVarP(&f.disks, "disk", "d", nil, "disk image or block device, read only; may be repeated")
	fl.StringVarP(&f.kernel, "kernel", "k", "", "kernel file")
	fl.StringArrayVarP(&f.append, "append", "a", nil, "parameters for the kernel's command line; may be repeated")
	fl.StringVarP(&f.memory, "memory", "m", "1024", "memory in MiB")
	fl.IntVar(&f.cpus, "cpus", 1, "number of processors")
	fl.BoolVarP(&f.interactive, "interactive", "I", false, "connect the keyboard")
	fl.StringVar(&f.accel, "accel", "tcg", "tcg or kvm")
	fl.StringVar(&f.bus, "bus", "virtio-blk", "how disks are attached: virtio-blk, virtio-scsi, nvme, ahci or usb")
	fl.BoolVar(&f.print, "print", false, "print the command of the virtual machine and do not run it")
	return c
}

func runBoot(c *cobra.Command, name string, f *bootFlags) error {
	b, err := readImage(name)
	if err != nil {
		return err
	}
	kernel, err := bootKernel(f.kernel, b)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	argv, err := qemuArgs(name, kernel, f)
	if err != nil {
		return err
	}
	if f.print {
		_, err := fmt.Fprintln(c.OutOrStdout(), shellWords(argv))
		return err
	}
	cmd := exec.CommandContext(c.Context(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = c.OutOrStdout(), c.ErrOrStderr()
	if f.interactive {
		cmd.Stdin = os.Stdin
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed (package qemu-system-x86, or that of the architecture): %w", argv[0], err)
	case errors.As(err, &exit):
		return fmt.Errorf("the virtual machine: %w", err)
	}
	return err
}

// bootKernel finds the kernel that goes with an image.
func bootKernel(kernel string, b []byte) (string, error) {
	if kernel != "" {
		if _, err := os.Stat(kernel); err != nil {
			return "", fmt.Errorf("kernel: %w", err)
		}
		return kernel, nil
	}
	var info strings.Builder
	if err := image.Cat(&info, b, "/etc/firstlight/image", image.Limits{}); err != nil {
		return "", fmt.Errorf("it does not say which kernel it is for (%w); give one with --kernel", err)
	}
	release := ""
	for line := range strings.Lines(info.String()) {
		if v, ok := strings.CutPrefix(line, "kernel="); ok {
			release = filepath.Base(strings.TrimSpace(v))
		}
	}
	places := []string{"/boot/vmlinuz-" + release, "/lib/modules/" + release + "/vmlinuz", "/boot/vmlinux-" + release}
	for _, p := range places {
		if exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("its kernel %s is not in %s; give one with --kernel: %w", release, strings.Join(places, ", "), os.ErrNotExist)
}

// qemuArgs is the command of the virtual machine.
func qemuArgs(img, kernel string, f *bootFlags) ([]string, error) {
	if _, err := strconv.Atoi(f.memory); err != nil {
		return nil, usagef("--memory %q is not a number of MiB", f.memory)
	}
	if f.cpus < 1 {
		return nil, usagef("--cpus %d", f.cpus)
	}
	if f.accel != "tcg" && f.accel != "kvm" {
		return nil, usagef("--accel %q: it is tcg or kvm", f.accel)
	}
	cpu := "max"
	if f.accel == "kvm" {
		cpu = "host"
	}
	argv := []string{"qemu-system-x86_64", "-machine", "q35", "-accel", f.accel, "-cpu", cpu,
		"-smp", strconv.Itoa(f.cpus), "-m", f.memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", kernel, "-initrd", img,
		"-append", strings.Join(append([]string{"console=ttyS0 panic=-1"}, f.append...), " ")}
	if f.interactive {
		argv = append(argv, "-serial", "mon:stdio")
	} else {
		argv = append(argv, "-serial", "stdio")
	}
	switch f.bus {
	case "virtio-scsi":
		argv = append(argv, "-device", "virtio-scsi-pci,id=bus")
	case "usb":
		argv = append(argv, "-device", "qemu-xhci,id=bus")
	case "virtio-blk", "nvme", "ahci":
	default:
		return nil, usagef("--bus %q: it is virtio-blk, virtio-scsi, nvme, ahci or usb", f.bus)
	}
	for i, d := range f.disks {
		if _, err := os.Stat(d); err != nil {
			return nil, fmt.Errorf("--disk: %w", err)
		}
		format, err := diskFormat(d)
		if err != nil {
			return nil, err
		}
		id := "disk" + strconv.Itoa(i)
		// snapshot=on: QEMU writes to a temporary file instead. Commas in a
		// name are doubled.
		argv = append(argv, "-drive", fmt.Sprintf("if=none,id=%s,format=%s,snapshot=on,cache=unsafe,file=%s",
			id, format, strings.ReplaceAll(d, ",", ",,")))
		dev := map[string]string{
			"virtio-blk":  "virtio-blk-pci,drive=%s,serial=%[1]s",
			"virtio-scsi": "scsi-hd,bus=bus.0,drive=%s,serial=%[1]s",
			"nvme":        "nvme,drive=%s,serial=%[1]s",
			"ahci":        "ide-hd,drive=%s,serial=%[1]s,bus=ide." + strconv.Itoa(i),
			"usb":         "usb-storage,bus=bus.0,drive=%s,serial=%[1]s",
		}[f.bus]
		argv = append(argv, "-device", fmt.Sprintf(dev, id))
	}
	return argv, nil
}

// diskFormat tells qcow2 from raw; anything else is raw, so that QEMU does
// not guess by content that a guest may have written.
func diskFormat(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && string(magic[:]) == "QFI\xfb" {
		return "qcow2", nil
	}
	return "raw", nil
}

// shellWords quotes a command for a shell.
func shellWords(argv []string) string {
	var out []string
	for _, a := range argv {
		if a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%") != "" {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
