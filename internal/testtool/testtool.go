// Package testtool finds what tests need from outside the repository: the
// field's own tools, used as oracles, and the unpacked Debian kernels.
//
// A test on a bare checkout skips what it cannot run. `make test` installs
// everything and sets FIRSTLIGHT_REQUIRE=1, under which a missing tool is a
// failure: nothing is skipped where it counts.
package testtool

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need skips the test, or fails it under FIRSTLIGHT_REQUIRE=1, unless every
// named program is in PATH or in one of the sbin directories.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if Path(p) == "" {
			missing(t, "program "+p+" is not installed")
		}
	}
}

// Path returns the path of a program, or "".
func Path(program string) string {
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		p := filepath.Join(dir, program)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// Root skips or fails the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

// Writable skips or fails the test unless a file can be opened for writing:
// sysfs is read-only in many containers.
func Writable(t testing.TB, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		missing(t, err.Error())
	}
	f.Close()
}

// Cache returns the directory of everything downloaded or generated:
// $FIRSTLIGHT_CACHE, else .cache in the checkout.
func Cache(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("FIRSTLIGHT_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache")
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// Kernel returns an unpacked Debian kernel package: its root directory (with
// boot/ and lib/modules/) and the kernel's release. suite is "bookworm" (6.1,
// plain modules) or "trixie" (6.12, .ko.xz modules).
func Kernel(t testing.TB, suite string) (root, release string) {
	t.Helper()
	root = filepath.Join(Cache(t), "kernels", suite)
	b, err := os.ReadFile(filepath.Join(root, "release"))
	if err != nil {
		missing(t, "kernel of "+suite+" is not unpacked (make kernels)")
	}
	return root, strings.TrimSpace(string(b))
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("FIRSTLIGHT_REQUIRE") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}
