package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// What kernel-install has staged or was given becomes the unified image, microcode
// first, unless another tool is to make it.
func TestKernelInstallMakesUnifiedImages(t *testing.T) {
	testtool.Need(t, "sh")
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/firstlight": "#!/bin/sh\nfor a; do echo \"$a\"; done\n", "area/initrd": "", "area/microcode.img": "", "my initrd": ""} {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	area := filepath.Join(dir, "area")
	start := "uki build --linux /boot/vmlinuz --system-cmdline --output " + area + "/uki.efi --initrd=" + area + "/microcode.img --initrd="
	for _, c := range []struct {
		layout, generator string
		args              []string
		want              string
	}{
		{"uki", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, start + area + "/initrd"},
		{"uki", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz", dir + "/my initrd"}, start + dir + "/my initrd"},
		{"uki", "ukify", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, ""},
		{"bls", "firstlight", []string{"add", "6.1", "/efi", "/boot/vmlinuz"}, ""},
		{"uki", "firstlight", []string{"remove", "6.1", "/efi"}, ""},
	} {
		cmd := exec.Command("sh", append([]string{"../../dist/kernel-install/60-firstlight-uki.install"}, c.args...)...)
		cmd.Env = []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH"), "KERNEL_INSTALL_LAYOUT=" + c.layout, "KERNEL_INSTALL_STAGING_AREA=" + area, "KERNEL_INSTALL_UKI_GENERATOR=" + c.generator}
		out, err := cmd.CombinedOutput()
		if got := strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", " "); err != nil || got != c.want {
			t.Errorf("%s %s %q: %q %v; want %q", c.layout, c.generator, c.args, got, err, c.want)
		}
	}
}
