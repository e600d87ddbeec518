package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/testtool"
)

// A Makefile that exports SOURCE_DATE_EPOCH once made every squashfs of the boots
// fail, in runs by make alone.
func TestToolsAreNotToldTheDateOfASource(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	t.Setenv("FIRSTLIGHT_HOST_TEST", "kept")
	out, err := Cmd{Argv: []string{"env"}}.Run(t.Context())
	if err != nil || strings.Contains(out, "SOURCE_DATE_EPOCH") || !strings.Contains(out, "FIRSTLIGHT_HOST_TEST=kept\n") {
		t.Errorf("environment %q, %v", out, err)
	}
	out, err = Cmd{Argv: []string{"env"}, Env: []string{"SOURCE_DATE_EPOCH=1"}}.Run(t.Context())
	if err != nil || !strings.Contains(out, "SOURCE_DATE_EPOCH=1\n") {
		t.Errorf("one that is asked for: environment %q, %v", out, err)
	}
}

func TestNothingIsRemovedOfWhatIsMounted(t *testing.T) {
	testtool.Root(t)
	other, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "part/a b/proc")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(other, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err := RemoveAll(filepath.Join(dir, "part"))
	if err == nil || !strings.Contains(err.Error(), "mounted on "+at) {
		t.Errorf("removed: %v", err)
	}
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(other, "file")); err != nil {
		t.Error(err)
	}
	if err := RemoveAll(filepath.Join(dir, "part")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "part")); !os.IsNotExist(err) {
		t.Errorf("it is there still: %v", err)
	}
}
