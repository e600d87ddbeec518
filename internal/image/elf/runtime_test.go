package elf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
)

// What a program names and converts can be converted in the image too: shown with
// iconv, which finds there what was put there for mtools.
func TestConvertersOfTheCharacterSetsThatAProgramNames(t *testing.T) {
	testtool.Need(t, "mcopy", "iconv", "chroot")
	testtool.Root(t)
	utf16 := []byte("f\x00\xfc\x00r\x00")
	for _, tt := range []struct {
		programs []string
		want     string
	}{
		{[]string{"iconv"}, ""}, // glibc has UTF-8 alone in itself
		{[]string{"iconv", "mcopy"}, "für"},
	} {
		dir := t.TempDir()
		install(t, dir, tt.programs...)
		cmd := exec.Command("chroot", dir, testtool.Path("iconv"), "-f", "UTF-16LE", "-t", "UTF-8")
		cmd.Stdin = bytes.NewReader(utf16)
		out, err := cmd.Output()
		if string(out) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%v: %q, %v; want %q", tt.programs, out, err, tt.want)
		}
	}
}

// A table beside the first one is taken where it names what is needed.
func TestTablesOfConverters(t *testing.T) {
	testtool.Need(t, "genisoimage", "ls")
	files, err := NewResolver("").Closure("genisoimage")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(paths(t, files), "\n")
	for _, want := range []string{"/gconv/gconv-modules\n", "/gconv/gconv-modules.d/", "/gconv/IBM850.so", "/gconv/KOI8-R.so"} {
		if !strings.Contains(got+"\n", want) {
			t.Errorf("%s is missing: %s", want, got)
		}
	}
	if strings.Contains(got, "gconv/BIG5.so") {
		t.Error("converters that nothing names")
	}
	if files, err = NewResolver("").Closure("ls"); err != nil || strings.Contains(strings.Join(paths(t, files), "\n"), "gconv") {
		t.Errorf("converters for a program that converts nothing: %v, %v", files, err)
	}
}

func TestTableOfConverters(t *testing.T) {
	c := &conversions{alias: map[string]string{}, modules: map[string][]string{}, in: map[string][]string{}}
	c.read("main", []byte("# comment\nalias\tLATIN9//\t\tISO-8859-15//\nalias ISO8859-15// LATIN9//\nmodule ISO-8859-15// INTERNAL ISO8859-15 1\nmodule INTERNAL ISO-8859-15// ISO8859-15 1\nmodule\tx\n"))
	c.read("more", []byte("alias A// B//\nalias B// A//\n"))
	for name, want := range map[string]string{"ISO-8859-15": "ISO8859-15", "LATIN9": "ISO8859-15", "ISO8859-15": "ISO8859-15", "A": "", "INTERNAL": "", "X": ""} {
		if files, _ := c.of(name); strings.Join(files, " ") != want {
			t.Errorf("%s: %q, want %q", name, files, want)
		}
	}
	if _, tables := c.of("LATIN9"); !slices.Contains(tables, "main") || slices.Contains(tables, "more") {
		t.Errorf("tables of LATIN9: %q", tables)
	}
}

// Before 2.34 glibc opens the services of names; from then on it has them in it.
func TestServicesOfNames(t *testing.T) {
	testtool.Need(t, "id", "chroot")
	const dir = "/lib/x86_64-linux-gnu/"
	if _, err := os.Stat(dir + "libnss_files.so.2"); err != nil {
		t.Log("this machine has no libnss_files.so.2: " + err.Error())
		return
	}
	files, err := NewResolver("").Closure("id")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(paths(t, files), "\n"); strings.Contains(got, "libnss_") {
		t.Errorf("services that are in the C library: %s", got)
	}
	root, put, link := fake(t)
	link("usr/lib", "lib")
	link("usr/lib64", "lib64")
	put(dir+"libnss_files.so.2", "/usr"+dir+"libnss_files.so.2")
	for _, f := range files {
		if f.Target == "" {
			put(f.Source, f.Path)
		} else if _, err := os.Lstat(filepath.Join(root, f.Path)); err != nil {
			link(f.Target, f.Path)
		}
	}
	if err := os.Rename(filepath.Join(root, "/usr", dir, "libc.so.6"), filepath.Join(root, "whole")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "whole"))
	if err == nil {
		b = bytes.ReplaceAll(b, []byte("GLIBC_2.34\x00"), []byte("GLIBC_2.3X\x00"))
		err = os.WriteFile(filepath.Join(root, "/usr", dir, "libc.so.6"), b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if files, err = NewResolver(sysroot.Root(root)).Closure(testtool.Path("id")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(paths(t, files), "\n"); !strings.Contains(got, "libnss_files.so.2") {
		t.Errorf("no services of names for an older C library: %s", got)
	}
}
