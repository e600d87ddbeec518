package packages

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/host"
)

// treePackages are the tools of Debian that deal with what is in the packages of
// all formats. There is no apk in Debian.
func treePackages(suite string) []string {
	list := []string{"systemd", "systemd-boot", "systemd-boot-efi", "kmod", "zstd", "cpio"}
	if suite == "trixie" {
		list = append(list, "systemd-ukify", "rpm", "rpmlint", "pacman-package-manager", "libarchive-tools", "zsh", "fish", "bash-completion", "mandoc")
	}
	return list
}

// inTree runs a script of this directory in a Debian, with the packages in
// /mnt, and shows what it says.
func inTree(t *testing.T, suite, script string, packages []string) {
	t.Helper()
	if os.Getenv("FIRSTLIGHT_FULL") == "" || os.Getenv("FIRSTLIGHT_E2E") == "" {
		t.Skip("a Debian of its own: FIRSTLIGHT_FULL=1 FIRSTLIGHT_E2E=1")
	}
	testtool.Root(t)
	testtool.Need(t, "mmdebstrap", "unshare", "chroot")
	tree, err := debian.Tree(t.Context(), suite, packages...)
	if err != nil {
		t.Fatal(err)
	}
	kernel, _ := testtool.Kernel(t, suite)
	tools := t.TempDir()
	if err := prepare(t.Context(), tools, script); err != nil {
		t.Fatal(err)
	}
	layer := t.TempDir()
	out, err := debian.InTree(t.Context(), tree, layer, filepath.Dir(kernel), tools, "sh", "/mnt/"+script)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "== ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil || !strings.Contains(out, "ALL DONE") {
		t.Errorf("%v\n%s", err, host.Tail(out, 60))
	}
}

// prepare puts the packages and the script into a directory.
func prepare(ctx context.Context, dir, script string) error {
	checkout, err := host.Checkout()
	if err != nil {
		return err
	}
	built, err := filepath.Glob(filepath.Join(checkout, "bin/packages/*"))
	if err != nil {
		return err
	}
	files := append(built, filepath.Join(checkout, "test/packages", script))
	_, err = host.Run(ctx, append([]string{"cp", "-t", dir}, files...)...)
	return err
}

// Debian's own kernel-install, that of systemd 252 and that of 257, with the
// plugins: entries, unified images with and without ukify, and their removal.
func TestKernelInstall(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) { inTree(t, suite, "kernelinstall.sh", treePackages(suite)) })
	}
}

// The packages of other formats by the tools of those: what is in them, their
// scripts, installed into an empty root and removed again; completions and
// manual pages by the shells and by mandoc.
func TestFormats(t *testing.T) { inTree(t, "trixie", "formats.sh", treePackages("trixie")) }

// The Debian package is as Debian wants its packages.
func TestLintian(t *testing.T) { inTree(t, "trixie", "lintian.sh", []string{"lintian", "zstd"}) }
