// Package foreign builds images for other architectures on this machine and
// boots Debian's kernels of those with them, in QEMU.
package foreign

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/host"
)

// machine is how a kind of machine is emulated.
type machine struct {
	arch, suite string // Debian's name is Go's for both
	qemu        []string
	console     string
}

func machines() []machine {
	return []machine{
		{"arm64", "bookworm", []string{"qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"},
		{"riscv64", "trixie", []string{"qemu-system-riscv64", "-machine", "virt"}, "ttyS0"},
	}
}

// An image for another architecture is built here, of that architecture's
// modules and programs, and its kernel reaches the real root with it.
func TestImagesForOtherArchitectures(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_FULL") != "1" {
		t.Skip("fetches two kernels and emulates other processors: make test-full")
	}
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines() {
		t.Run(m.arch, func(t *testing.T) {
			testtool.Need(t, m.qemu[0], "mke2fs")
			if _, err := os.Stat(filepath.Join(checkout, "bin", m.arch, "init")); err != nil {
				t.Fatalf("%v (make foreign)", err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
			defer cancel()
			boot(ctx, t, checkout, m)
		})
	}
}

// prepared is what a machine is booted with.
type prepared struct{ dir, disk, image, kernel, release, uuid string }

// prepare makes a root and an image for a machine, of its own programs and modules.
func prepare(ctx context.Context, t *testing.T, checkout string, m machine, features ...string) prepared {
	t.Helper()
	k, err := debian.ForeignKernel(ctx, m.suite, m.arch)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "root")
	for _, d := range []string{"sbin", "proc", "sys", "dev", "run"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(ctx, t, checkout, []string{"GOARCH=" + m.arch, "CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(tree, "sbin/init"), "./test/guest/foreignroot")
	p := prepared{dir: dir, disk: filepath.Join(dir, "disk"), image: filepath.Join(dir, "image"), release: k.Release, uuid: "5e6a1d3c-0000-4000-8000-0000000a0b0c"}
	run(ctx, t, dir, nil, "mke2fs", "-q", "-t", "ext4", "-U", p.uuid, "-d", tree, p.disk, "64M")
	config := filepath.Join(dir, "build.toml")
	if err := os.WriteFile(config, []byte("[root]\nbus = [\"virtio_blk\", \"virtio_scsi\", \"nvme\"]\nfstype = \"ext4\"\nlayers = [\"luks\", \"lvm\", \"md-raid1\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	argv := []string{filepath.Join(checkout, "bin/firstlight"), "build", "--kernel", k.Release, "--modules-dir", k.Modules(), "--sysroot", k.Root, "--config", config, "--no-cache", "--output", p.image}
	for _, f := range features {
		argv = append(argv, "--feature", f)
	}
	run(ctx, t, dir, nil, argv...)
	kernels, err := filepath.Glob(filepath.Join(k.Root, "boot/vmlinu[xz]-*"))
	if err != nil || len(kernels) != 1 {
		t.Fatalf("kernels %v, %v", kernels, err)
	}
	p.kernel = kernels[0]
	return p
}

func boot(ctx context.Context, t *testing.T, checkout string, m machine) {
	p := prepare(ctx, t, checkout, m)
	argv := append(m.qemu, "-accel", "tcg", "-m", "768", "-display", "none", "-no-reboot", "-serial", "stdio", "-nic", "none", "-kernel", p.kernel, "-initrd", p.image,
		"-append", "console="+m.console+" panic=-1 quiet ro root=UUID="+p.uuid, "-drive", "if=none,id=d,format=raw,file="+p.disk, "-device", "virtio-blk-pci,drive=d")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v", argv[0], err)
	}
	if want := "the root of " + m.arch + " is /dev/vda ext4 ro"; !bytes.Contains(said.Bytes(), []byte(want)) {
		t.Errorf("the console has no %q:\n%s", want, said.String())
	}
}

func run(ctx context.Context, t *testing.T, dir string, env []string, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}
