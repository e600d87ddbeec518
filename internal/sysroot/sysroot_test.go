package sysroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func tree(t *testing.T) Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"usr/lib/a.conf": "a", "usr/lib/b.conf": "b", "etc/real": "text"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"lib": "usr/lib", "etc/abs": "/etc/real", "etc/up": "../../../../etc/real",
		"loop": "loop", "dangling": "nothing", "etc/chain": "../lib/../../etc/abs",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return Root(dir)
}

func TestResolve(t *testing.T) {
	r := tree(t)
	for p, want := range map[string]string{
		"/lib/a.conf": "/usr/lib/a.conf", "etc/abs": "/etc/real", "/etc/up": "/etc/real", "/": "/",
		"/etc/chain": "/etc/real", "/../etc/real": "/etc/real",
	} {
		got, _, err := r.Resolve(p)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
	_, links, err := r.Resolve("/etc/chain")
	if err != nil || !slices.Equal(links, []Link{{"/etc/chain", "../lib/../../etc/abs"}, {"/lib", "usr/lib"}, {"/etc/abs", "/etc/real"}}) {
		t.Errorf("%v %v", links, err)
	}
	for _, p := range []string{"/loop", "/dangling", "/nothing"} {
		if _, _, err := r.Resolve(p); err == nil {
			t.Errorf("%s resolved", p)
		}
	}
	if _, err := r.ReadFile("/dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if b, err := r.ReadFile("etc/chain"); err != nil || string(b) != "text" {
		t.Errorf("%q %v", b, err)
	}
}

func TestGlob(t *testing.T) {
	r := tree(t)
	got, err := r.Glob("/lib/*.conf")
	if err != nil || !slices.Equal(got, []string{"/lib/a.conf", "/lib/b.conf"}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := r.Glob("/no/*/x"); err != nil || got != nil {
		t.Errorf("%v %v", got, err)
	}
	if _, err := r.Glob("/lib/["); err == nil {
		t.Error("a bad pattern")
	}
}
