package ownroot

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

func TestLibrariesOfALoader(t *testing.T) {
	got := Libraries("\tlinux-vdso.so.1 (0x00007f)\n\tlibkrb5.so.3 => /lib/x86_64-linux-gnu/libkrb5.so.3 (0x1)\n\t/lib64/ld-linux-x86-64.so.2 (0x2)\n\tlibx.so => not found\n")
	if !slices.Equal(got, []string{"/lib/x86_64-linux-gnu/libkrb5.so.3", "/lib64/ld-linux-x86-64.so.2"}) {
		t.Error(got)
	}
}

// A program runs with nothing but what was taken along.
func TestAProgramHasAllThatItNeeds(t *testing.T) {
	testtool.Root(t)
	testtool.Need(t, "uname")
	program := testtool.Path("uname")
	etc := filepath.Join(t.TempDir(), "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"key": "usual", "own": "instead"} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Root{Dir: t.TempDir(), Instead: func(name string) string {
		if filepath.Base(name) == "key" {
			return filepath.Join(etc, "own")
		}
		return ""
	}}
	if err := r.Program(program); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(etc); err != nil {
		t.Fatal(err)
	}
	if err := r.TakeAs(etc+"/own", "/other/place"); err != nil {
		t.Fatal(err)
	}
	if err := r.Write("/a/b", "text", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := r.Take("/no/such/file"); err != nil {
		t.Error(err)
	}
	if err := r.Take("/dev/null"); err == nil {
		t.Error("a device is taken along")
	}
	for name, want := range map[string]string{etc + "/key": "instead", etc + "/own": "instead", "/other/place": "instead", "/a/b": "text"} {
		b, err := os.ReadFile(r.Dir + name)
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(r.Dir + etc + "/key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	out, err := exec.Command("chroot", r.Dir, program).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "Linux" {
		t.Errorf("%s, %v", out, err)
	}
}
