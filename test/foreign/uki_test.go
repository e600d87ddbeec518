package foreign

import (
	"bytes"
	"context"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/host"
)

// A unified image for ARM64 is made here of Debian's stub and kernel for that, and the
// firmware starts it.
func TestUnifiedImageForARM64(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_FULL") != "1" {
		t.Skip("fetches a kernel and a firmware, and emulates another processor: make test-full")
	}
	testtool.Need(t, "qemu-system-aarch64", "mke2fs", "mkfs.vfat", "mcopy")
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	m := machines()[0]
	if _, err := os.Stat(filepath.Join(checkout, "bin", m.arch, "init-full")); err != nil {
		t.Fatalf("%v (make foreign)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	stubs, err := debian.ForeignFiles(ctx, "trixie", m.arch, "stub", "systemd-boot-efi")
	if err != nil {
		t.Fatal(err)
	}
	firmware, err := debian.ForeignFiles(ctx, "bookworm", m.arch, "firmware", "qemu-efi-aarch64")
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(ctx, t, checkout, m, "uki")
	linux, err := os.ReadFile(p.kernel)
	if err != nil {
		t.Fatal(err)
	}
	initrd, err := os.ReadFile(p.image)
	if err != nil {
		t.Fatal(err)
	}
	line := "console=" + m.console + " panic=-1 quiet ro root=UUID=" + p.uuid
	config, unified := filepath.Join(p.dir, "empty.toml"), filepath.Join(p.dir, "unified.efi")
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dtb := filepath.Join(p.dir, "virt.dtb") // that of the machine itself
	run(ctx, t, p.dir, nil, m.qemu[0], "-machine", "virt,dumpdtb="+dtb, "-cpu", "cortex-a72", "-m", "768", "-display", "none", "-nic", "none")
	run(ctx, t, p.dir, nil, filepath.Join(checkout, "bin/firstlight"), "uki", "build", "--config", config, "--stub", filepath.Join(stubs, "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"),
		"--linux", p.kernel, "--initrd", p.image, "--cmdline", line, "--uname", p.release, "--output", unified)
	sections(t, unified, map[string][]byte{".linux": linux, ".initrd": initrd, ".cmdline": []byte(line), ".uname": []byte(p.release)})
	withTree := filepath.Join(p.dir, "tree.efi")
	run(ctx, t, p.dir, nil, filepath.Join(checkout, "bin/firstlight"), "uki", "build", "--config", config, "--stub", filepath.Join(stubs, "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"),
		"--linux", p.kernel, "--initrd", p.image, "--cmdline", line, "--devicetree", dtb, "--output", withTree)
	tree, err := os.ReadFile(dtb)
	if err != nil {
		t.Fatal(err)
	}
	sections(t, withTree, map[string][]byte{".dtb": tree})

	esp := filepath.Join(p.dir, "esp")
	if err := os.WriteFile(esp, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run(ctx, t, p.dir, nil, "truncate", "-s", "160M", esp)
	run(ctx, t, p.dir, nil, "mkfs.vfat", "-F", "32", esp)
	run(ctx, t, p.dir, nil, "mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
	run(ctx, t, p.dir, nil, "mcopy", "-i", esp, unified, "::/EFI/BOOT/BOOTAA64.EFI")
	argv := append(m.qemu, "-accel", "tcg", "-m", "768", "-display", "none", "-no-reboot", "-serial", "stdio", "-nic", "none", "-bios", filepath.Join(firmware, "usr/share/qemu-efi-aarch64/QEMU_EFI.fd"),
		"-drive", "if=none,id=d,format=raw,file="+p.disk, "-device", "virtio-blk-pci,drive=d", "-drive", "if=none,id=e,format=raw,file="+esp, "-device", "virtio-blk-pci,drive=e,bootindex=0")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v", argv[0], err)
	}
	if want := "the root of " + m.arch + " is /dev/vd"; !strings.Contains(said.String(), want) {
		t.Errorf("the console has no %q:\n%s", want, said.String())
	}
}

// sections compares sections of a program with what they were made of; Debian's kernel
// may be compressed as a whole, and is unpacked then.
func sections(t *testing.T, program string, want map[string][]byte) {
	t.Helper()
	f, err := pe.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != pe.IMAGE_FILE_MACHINE_ARM64 {
		t.Errorf("%s is for machine %#x", program, f.Machine)
	}
	end := uint32(0)
	for _, s := range f.Sections {
		if s.VirtualAddress < end {
			t.Errorf("section %s begins at %#x, within the one before", s.Name, s.VirtualAddress)
		}
		end = s.VirtualAddress + s.VirtualSize
	}
	for name, content := range want {
		s := f.Section(name)
		if s == nil {
			t.Errorf("there is no section %s", name)
			continue
		}
		b, err := s.Data()
		if err != nil || uint32(len(b)) < s.VirtualSize {
			t.Fatalf("section %s: %d bytes, %v", name, len(b), err)
		}
		if b = b[:s.VirtualSize]; name == ".linux" && !bytes.HasPrefix(content, []byte("MZ")) {
			if !bytes.HasPrefix(b, []byte("MZ")) {
				t.Error("the kernel is no EFI program")
			}
			continue
		}
		if !bytes.Equal(b, content) {
			t.Errorf("section %s has %d bytes, which are not the %d that it was made of", name, len(b), len(content))
		}
	}
}
