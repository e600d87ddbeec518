package luks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
)

// TestGuest boots a virtual machine in which the real device mapper, keyring
// and AF_ALG are tried, with cryptsetup beside: testdata/guest.
func TestGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	testtool.Need(t, "qemu-system-x86_64", "cryptsetup", "dmsetup", "ldd", "go")
	root, release := testtool.Kernel(t, "bookworm")
	dir := t.TempDir()
	// Built as /init is: time is compared too.
	build := exec.Command("go", "build", "-trimpath", "-gcflags=all=-l -d=variablemakethreshold=0", "-gcflags=runtime=", "-gcflags=crypto/...=",
		"-gcflags=encoding/binary=", "-gcflags=internal/byteorder=", "-gcflags=golang.org/x/crypto/...=", "-gcflags=firstlight/internal/luks=", "-gcflags=firstlight/internal/argon2=", "-o", filepath.Join(dir, "init"), "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var a archive
	for _, d := range []string{"modules", "sbin", "lib64", "lib", "proc", "sys", "dev", "run", "etc"} {
		a.dir(d)
	}
	a.file(t, "init", filepath.Join(dir, "init"))
	var order []string
	for _, m := range modules(t, filepath.Join(root, "lib/modules", release),
		"loop", "dm-crypt", "algif_skcipher", "xts", "cbc", "ecb", "essiv", "serpent_generic", "twofish_generic", "crypto_null") {
		a.file(t, "modules/"+filepath.Base(m), m)
		order = append(order, filepath.Base(m))
	}
	a.add("modules.list", 0o100644, []byte(strings.Join(order, "\n")))
	have := map[string]bool{}
	for _, tool := range []string{"cryptsetup", "dmsetup"} {
		path := testtool.Path(tool)
		a.file(t, "sbin/"+tool, path)
		out, err := exec.Command("ldd", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		for f := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(f, "/") && !have[f] {
				have[f] = true
				name := "lib/" + filepath.Base(f)
				if strings.HasPrefix(filepath.Base(f), "ld-linux") {
					name = "lib64/" + filepath.Base(f)
				}
				a.file(t, name, f)
			}
		}
	}
	a.end()
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, a.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// make test-full compares plain volumes and times too.
	want, more := 8, ""
	if os.Getenv("FIRSTLIGHT_FULL") != "" {
		want, more = 13, " flt.full"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768", "-display", "none",
		"-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel", filepath.Join(root, "boot/vmlinuz-"+release),
		"-initrd", image, "-append", "console=ttyS0 quiet panic=-1 no_timer_check LD_LIBRARY_PATH=/lib"+more).CombinedOutput()
	text := strings.ReplaceAll(string(out), "\r", "")
	if err != nil || !strings.Contains(text, "\nDONE") {
		t.Fatalf("the machine did not come to its end (%v):\n%s", err, text)
	}
	passed := 0
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "PASS ") {
			passed++
		}
		if strings.HasPrefix(line, "TIME ") {
			t.Log(line)
		}
		if strings.HasPrefix(line, "FAIL ") {
			t.Error(line)
		}
	}
	if passed != want && !t.Failed() {
		t.Errorf("%d of %d passed:\n%s", passed, want, text)
	}
}

// modules returns the files of the modules and of what they need, in the
// order in which they can be loaded. Built-in ones have none.
func modules(t *testing.T, dir string, names ...string) []string {
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	have := map[string]bool{}
	for _, name := range names {
		for line := range strings.SplitSeq(string(dep), "\n") {
			file, needs, _ := strings.Cut(line, ":")
			if strings.TrimSuffix(filepath.Base(file), ".ko") != name {
				continue
			}
			all := append([]string{file}, strings.Fields(needs)...)
			for i := len(all) - 1; i >= 0; i-- { // what is needed first is last
				if !have[all[i]] {
					have[all[i]] = true
					files = append(files, filepath.Join(dir, all[i]))
				}
			}
		}
	}
	return files
}

// archive is a cpio archive in the "newc" form.
type archive struct {
	bytes.Buffer
	ino int
}

func (a *archive) add(name string, mode int, data []byte) {
	a.ino++
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

func (a *archive) dir(name string) { a.add(name, 0o40755, nil) }
func (a *archive) end()            { a.add("TRAILER!!!", 0, nil) }

func (a *archive) file(t *testing.T, name, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a.add(name, 0o100755, b)
}
