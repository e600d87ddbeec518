package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The programs for /init are those of the modules' architecture, or there is no
// image.
func TestInitOfAnotherArchitectureIsRefused(t *testing.T) {
	o := options(t, "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	own, err := os.ReadFile(o.Init)
	if err != nil {
		t.Fatal(err)
	}
	foreign := append([]byte(nil), own...)
	foreign[18] = 183 // EM_AARCH64
	if err := os.WriteFile(o.Init, foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	o.InitFull = o.Init
	_, _, err = Plan(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "is for amd64") {
		t.Fatalf("%v", err)
	}
	beside := filepath.Join(filepath.Dir(o.Init), "amd64", "init")
	if err := os.Mkdir(filepath.Dir(beside), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside, foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err = Plan(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not for amd64") {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(beside, own, 0o755); err != nil {
		t.Fatal(err)
	}
	tree, _, err := Plan(t.Context(), o)
	if err != nil || tree.Get("init").Source != beside {
		t.Errorf("%v", err)
	}
}
