package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"firstlight/internal/testtool"
)

// staticELF is an ELF header of a program without interpreter: enough for the
// builder, which runs nothing.
func staticELF() []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20] = 2, 62, 1 // ET_EXEC, EM_X86_64, EV_CURRENT
	b[52], b[54], b[58] = 64, 56, 64
	return b
}

// Every command has an example and a description: the manual has both.
func TestEveryCommandIsExplained(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Example == "" || c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: example %q, short %q", c.CommandPath(), c.Example, c.Short)
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(Root())
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if code := Main([]string{"man", dir}, io.Discard, os.Stderr); code != ExitOK {
		t.Fatal(code)
	}
	b, err := os.ReadFile(filepath.Join(dir, "man8", "firstlight-build.8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH FIRSTLIGHT\\-BUILD 8", ".SH OPTIONS", ".B \\-k, \\-\\-kernel string", ".SH EXIT STATUS", ".SH EXAMPLES"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
	for _, name := range []string{"man8/firstlight-feature-show.8", "man8/firstlight-trace-critical-path.8", "man7/firstlight.7", "man7/firstlight-cmdline.7"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	// --dir says the same.
	if code := Main([]string{"man", "--dir", dir}, io.Discard, os.Stderr); code != ExitOK {
		t.Error(code)
	}
	if code := Main([]string{"man"}, io.Discard, io.Discard); code != ExitUsage {
		t.Error(code)
	}
}

// man(1) has nothing to complain of in any page.
func TestManPagesAreClean(t *testing.T) {
	testtool.Need(t, "man")
	dir := t.TempDir()
	if code := Main([]string{"man", dir}, io.Discard, os.Stderr); code != ExitOK {
		t.Fatal(code)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man?", "*"))
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	for _, p := range pages {
		cmd := exec.Command("man", "--warnings", "-l", p)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		var warnings bytes.Buffer
		cmd.Stderr = &warnings
		if _, err := cmd.Output(); err != nil || warnings.Len() > 0 {
			t.Errorf("%s: %v\n%s", filepath.Base(p), err, &warnings)
		}
	}
}

func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		if code := Main([]string{"completion", shell}, &out, os.Stderr); code != ExitOK || out.Len() < 1000 {
			t.Errorf("%s: code %d, %d bytes", shell, code, out.Len())
		}
	}
}

// bootLine runs firstlight boot --print with a made-up image.
func bootLine(t *testing.T, args ...string) (string, int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a,b.img": "raw", "c.qcow2": "QFI\xfb....", "vmlinuz": "k", "image": "\x00\x00\x00\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "DIR/", dir+"/")
	}
	var out, errs bytes.Buffer
	code := Main(append([]string{"boot", dir + "/image", "--print"}, args...), &out, &errs)
	return strings.ReplaceAll(out.String()+errs.String(), dir, "DIR"), code
}

func TestBootCommandLine(t *testing.T) {
	got, code := bootLine(t, "--kernel", "DIR/vmlinuz", "--disk", "DIR/a,b.img", "--disk", "DIR/c.qcow2", "--append", "root=/dev/vda", "--append", "quiet", "--memory", "512")
	for _, want := range []string{"driver=raw,file.driver=file", "driver=qcow2,file.driver=file", "snapshot=on", "-kernel DIR/vmlinuz", "-m 512",
		"rd.firstlight.journal=/dev/ttyS1 root=/dev/vda quiet", "-accel tcg", "virtio-blk-pci,drive=disk1,serial=disk1"} {
		if code != ExitOK || !strings.Contains(got, want) {
			t.Errorf("code %d, no %q in %s", code, want, got)
		}
	}
	for _, bad := range [][]string{
		{"--memory", "much"}, {"--cpus", "0"}, {"--accel", "xen"}, {"--bus", "ide"}, {"--disk", "DIR/a,b.img", "--host-disks"},
		{"--timeout", "-1s"}, {"--interactive", "--passphrase-file", "DIR/c.qcow2"},
	} {
		if got, code := bootLine(t, append(bad, "--kernel", "DIR/vmlinuz")...); code != ExitUsage {
			t.Errorf("%q: code %d: %s", bad, code, got)
		}
	}
	if got, code := bootLine(t, "--kernel", "DIR/vmlinuz", "--disk", "/no/disk"); code != ExitMissing {
		t.Errorf("code %d: %s", code, got)
	}
	// A script must not take an image that was not tried for one that fails.
	for _, args := range [][]string{{"--kernel", "/no/kernel"}, {"--kernel", "DIR/vmlinuz", "--disk", "/no/disk"}} {
		if got, code := bootLine(t, append(args, "--test")...); code != 2 || !strings.Contains(got, "/no/") {
			t.Errorf("code %d: %s", code, got)
		}
	}
}

func TestShellWords(t *testing.T) {
	if got := shellWords([]string{"a", "", "b c", "it's", "x=1,y"}); got != `a '' 'b c' 'it'\''s' x=1,y` {
		t.Error(got)
	}
}
