package pkgdb

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
)

// dpkg says the same of this machine's files.
func TestAgainstDpkg(t *testing.T) {
	testtool.Need(t, "dpkg-query")
	files := []string{"/bin/ls", "/usr/bin/cpio", "/sbin/mkswap", "/lib64/ld-linux-x86-64.so.2", "/etc/passwd"}
	got, err := Owners("", files)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		out, err := exec.Command("dpkg-query", "-S", f).Output()
		if err != nil {
			out, err = exec.Command("dpkg-query", "-S", strings.TrimPrefix(f, "/usr")).Output()
		}
		if err != nil {
			if p, ok := got[f]; ok {
				t.Errorf("%s: no package has it, and we say %s", f, p.Name)
			}
			continue
		}
		found++
		line, _, _ := strings.Cut(string(out), "\n")
		name, _, _ := strings.Cut(strings.Split(line, ", ")[0], ":")
		version, err := exec.Command("dpkg-query", "-W", "-f", "${Version} ${Architecture}", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if p := got[f]; p.Manager != "deb" || p.Name != name || p.Version+" "+p.Arch != string(version) || p.From == "" {
			t.Errorf("%s: %+v, and dpkg says %s %s", f, p, name, version)
		}
	}
	if found < 2 {
		t.Error("nothing was compared")
	}
}

func TestOtherManagers(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"var/lib/pacman/local/glibc-2.40-1/desc":  "%NAME%\nglibc\n\n%VERSION%\n2.40-1\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL-2.0-or-later\nLGPL-2.1-or-later\n\n%PACKAGER%\nA <a@b>\n",
		"var/lib/pacman/local/glibc-2.40-1/files": "%FILES%\nusr/\nusr/lib/\nusr/lib/libc.so.6\n\n%BACKUP%\netc/gai.conf\tx\n",
		"etc/os-release":       "NAME=\"Arch Linux\"\nID=\"arch\"\nVERSION_ID=1\n",
		"lib/apk/db/installed": "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nm:B <b@c>\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\nP:other\nV:1\nF:bin\nR:x\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Owners(sysroot.Root(root), []string{"/usr/lib/libc.so.6", "/lib/ld-musl-x86_64.so.1", "/usr/lib/none"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Package{
		"/usr/lib/libc.so.6":       {"alpm", "arch", "glibc", "2.40-1", "x86_64", "A <a@b>", "GPL-2.0-or-later AND LGPL-2.1-or-later"},
		"/lib/ld-musl-x86_64.so.1": {"apk", "arch", "musl", "1.2.5-r0", "x86_64", "B <b@c>", "MIT"},
	}
	if len(got) != len(want) {
		t.Errorf("%+v", got)
	}
	for f, p := range want {
		if got[f] != p {
			t.Errorf("%s: %+v", f, got[f])
		}
	}
}
