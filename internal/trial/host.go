package trial

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// HostDisks are the disks of this machine: every block device with hardware
// below it and something in it, but for optical drives. sys is where sysfs is,
// dev where the nodes are. Each keeps the kind of its bus, because the image of
// a machine has the driver of that; what QEMU cannot imitate becomes NVMe.
func HostDisks(sys, dev string) ([]Disk, error) {
	block := filepath.Join(sys, "block")
	list, err := os.ReadDir(block)
	if err != nil {
		return nil, fmt.Errorf("look for disks: %w", err)
	}
	var out []Disk
	for _, e := range list {
		dir, err := filepath.EvalSymlinks(filepath.Join(block, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // pulled out meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("look for disks: %w", err)
		}
		size, err := os.ReadFile(filepath.Join(dir, "size"))
		if err != nil {
			continue
		}
		if hidden, err := os.ReadFile(filepath.Join(dir, "hidden")); err == nil && strings.TrimSpace(string(hidden)) == "1" {
			continue // one of several paths to a disk
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(size)), 10, 64)
		if _, hardware := os.Stat(filepath.Join(dir, "device")); err != nil || n == 0 || hardware != nil ||
			strings.HasPrefix(e.Name(), "sr") || strings.Contains(e.Name(), "boot") {
			continue
		}
		out = append(out, Disk{File: path.Join(dev, strings.ReplaceAll(e.Name(), "!", "/")), Bus: busOf(dir), Format: "raw", Device: true})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("this machine has no disk: %w", fs.ErrNotExist)
	}
	return out, nil
}

// busOf says by a disk's place in sysfs how it is connected.
func busOf(dir string) string {
	for _, k := range [...]struct{ part, bus string }{
		{"/nvme", "nvme"}, {"/usb", "usb"}, {"/ata", "ahci"}, {"/block/vd", "virtio-blk"},
	} {
		if strings.Contains(dir, k.part) {
			return k.bus
		}
	}
	if strings.Contains(dir, "/virtio") {
		return "virtio-scsi"
	}
	if strings.Contains(dir, "/target") {
		return "virtio-scsi" // some other SCSI
	}
	return "nvme"
}

// HostParameters are those of this machine's own command line that another
// boot of it needs too: not where its loader found the kernel, not what decides
// on consoles, not what its own initramfs starts with, and none of init's
// arguments, which stand behind "--" and would swallow what is appended.
func HostParameters(cmdline string) []string {
	var out []string
	for _, w := range split(cmdline) {
		if w == "--" {
			break
		}
		name, _, _ := strings.Cut(w, "=")
		switch name {
		case "rdinit", "BOOT_IMAGE", "initrd", "console", "earlycon", "earlyprintk", "splash", "quiet", "panic", "rd.shell", "rd.emergency", "vga", "video":
			continue
		}
		out = append(out, w)
	}
	return out
}

// split cuts a command line at the blanks outside of double quotes, as the
// kernel does. The quotes stay.
func split(line string) []string {
	var out []string
	quoted, start := false, -1
	for i, c := range line + " " {
		blank := !quoted && (c == ' ' || c == '\t' || c == '\n')
		switch {
		case c == '"':
			quoted = !quoted
		}
		if !blank && start < 0 {
			start = i
		}
		if blank && start >= 0 {
			out, start = append(out, line[start:i]), -1
		}
	}
	if start >= 0 && start < len(line) {
		out = append(out, line[start:])
	}
	return out
}
