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

func TestQemuArgs(t *testing.T) {
	dir := t.TempDir()
	raw, qcow := filepath.Join(dir, "a,b.img"), filepath.Join(dir, "c.qcow2")
	for name, text := range map[string]string{raw: "raw", qcow: "QFI\xfb...."} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := bootFlags{disks: []string{raw, qcow}, memory: "512", cpus: 1, accel: "tcg", bus: "virtio-blk", append: []string{"root=/dev/vda", "quiet"}}
	argv, err := qemuArgs("img", "vmlinuz", &f)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(argv, " ")
	for _, want := range []string{
		"format=raw,snapshot=on,cache=unsafe,file=" + dir + "/a,,b.img",
		"format=qcow2,snapshot=on,cache=unsafe,file=" + qcow,
		"-append console=ttyS0 panic=-1 root=/dev/vda quiet", "-accel tcg", "virtio-blk-pci,drive=disk1,serial=disk1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	for _, bad := range []bootFlags{
		{memory: "much", cpus: 1, accel: "tcg", bus: "nvme"},
		{memory: "1", cpus: 0, accel: "tcg", bus: "nvme"},
		{memory: "1", cpus: 1, accel: "xen", bus: "nvme"},
		{memory: "1", cpus: 1, accel: "tcg", bus: "ide"},
		{memory: "1", cpus: 1, accel: "tcg", bus: "nvme", disks: []string{"/no/disk"}},
	} {
		if _, err := qemuArgs("img", "vmlinuz", &bad); err == nil {
			t.Errorf("%+v accepted", bad)
		}
	}
}

func TestShellWords(t *testing.T) {
	if got := shellWords([]string{"a", "", "b c", "it's", "x=1,y"}); got != `a '' 'b c' 'it'\''s' x=1,y` {
		t.Error(got)
	}
}
