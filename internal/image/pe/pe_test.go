package pe

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// objdump and we see the same sections: of a kernel with an EFI stub, and of
// it with sections added as ukify adds them.
func TestAgainstObjdump(t *testing.T) {
	testtool.Need(t, "objdump", "objcopy")
	root, release := testtool.Kernel(t, "trixie")
	kernel := filepath.Join(root, "boot", "vmlinuz-"+release)
	for _, file := range []string{kernel, withSection(t, kernel)} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Sections(b)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("objdump", "-h", "-w", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if len(f) < 7 || !strings.HasPrefix(f[1], ".") {
				continue
			}
			off, err := strconv.ParseInt(f[5], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			if n >= len(got) || got[n].Name != f[1] || (got[n].Size > 0 && got[n].Offset != off) {
				t.Errorf("section %d: objdump says %s at %d, and we %+v", n, f[1], off, got)
			}
			n++
		}
		if n == 0 || n != len(got) {
			t.Errorf("objdump has %d sections, and we %d", n, len(got))
		}
	}
}

func withSection(t *testing.T, kernel string) string {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "cmdline")
	if err := os.WriteFile(text, []byte("root=/dev/vda1"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "uki")
	cmd := exec.Command("objcopy", "--add-section", ".cmdline="+text, "--change-section-vma", ".cmdline=0x8000000", kernel, out)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("objcopy does not take this kernel: %s", b)
	}
	return out
}

func TestRefuses(t *testing.T) {
	for _, s := range []string{"", "MZ", "MZ" + strings.Repeat("\x00", 100), "MZ" + strings.Repeat("\xff", 100), "070701"} {
		if _, err := Sections([]byte(s)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzSections(f *testing.F) {
	head := "MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00"
	f.Add([]byte(head + "PE\x00\x00\x64\x86\x01\x00" + strings.Repeat("\x00", 16) + ".initrd\x00" + "\x04\x00\x00\x00\x00\x10\x00\x00\x04\x00\x00\x00\x80\x00\x00\x00" +
		strings.Repeat("\x00", 16) + "text"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Sections(b)
		if err != nil {
			return
		}
		for _, s := range list {
			if s.Size > 0 {
				_ = b[s.Offset : s.Offset+s.Size]
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	head := "MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00" + "PE\x00\x00\x64\x86\x01\x00" + strings.Repeat("\x00", 12) + "\xa0\x00\x22\x02"
	opt := make([]byte, 160)
	copy(opt, "\x0b\x02")
	opt[33], opt[37], opt[61], opt[108] = 0x10, 0x02, 0x02, 6
	f.Add(append([]byte(head), append(opt, ".initrd\x00\x04\x00\x00\x00\x00\x10\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00"+strings.Repeat("\x00", 1200)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		for i, h := range p.Headers {
			h.Content(b)
			if at := p.Table + i*40; string(h.AppendTo(nil)) != string(b[at:at+40]) && len(h.Name) == 8 {
				t.Fatalf("a section header that is read and written is another one: %+v", h)
			}
		}
	})
}
