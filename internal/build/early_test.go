package build

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/detect"
	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/sysroot"
	"firstlight/internal/ucode"
)

// update is one of Intel's for a processor, its sum right.
func update(signature, platforms uint32) string {
	b := make([]byte, 48+64)
	for i, v := range []uint32{1, 7, 0, signature, 0, 1, platforms, 64, 112} {
		binary.LittleEndian.PutUint32(b[4*i:], v)
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 4 {
		sum += binary.LittleEndian.Uint32(b[i:])
	}
	binary.LittleEndian.PutUint32(b[16:], -sum)
	return string(b)
}

func system(t *testing.T, files map[string]string) sysroot.Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return sysroot.Root(dir)
}

func TestMicrocodeOfThisMachineAlone(t *testing.T) {
	const dir = "lib/firmware/intel-ucode/"
	mine, other := update(0x906ea, 0x22), update(0x50657, 0xbf)
	files := map[string]string{dir + "06-9e-0a": mine, dir + "06-55-07": other, dir + "06-9e-0a.asc": "no update", dir + "06-aa-04": "damaged"}
	cpu := ucode.CPU{Vendor: ucode.Intel, Family: 6, Model: 158, Stepping: 10, Platform: 2}
	for _, x := range []struct {
		mode string
		cpus []ucode.CPU
		want string
		note bool
	}{
		{ModeHost, []ucode.CPU{cpu}, mine, false},
		{ModeHost, []ucode.CPU{{Vendor: ucode.AMD, Family: 25, Model: 33}}, "", false},
		{ModeGeneric, nil, other + mine, true},
		{ModeTarget, []ucode.CPU{cpu}, other + mine, true},
	} {
		b := newBuilder(Options{Sysroot: system(t, files)})
		b.report.Mode = x.mode
		b.report.Features = []feature.Chosen{{Feature: &feature.Feature{Name: "microcode"}}}
		if err := b.early(&detect.Need{CPUs: x.cpus}); err != nil {
			t.Fatal(err)
		}
		got := ""
		if e := b.tree.Get("kernel/x86/microcode/GenuineIntel.bin"); e != nil {
			got = string(e.Data)
		}
		if got != x.want || (len(b.report.Notes) > 0) != x.note {
			t.Errorf("%s: %d bytes, %q", x.mode, len(got), b.report.Notes)
		}
	}
}

func TestACPITables(t *testing.T) {
	table := make([]byte, 36)
	copy(table, "SSDT")
	table[4] = 36
	sum := byte(0)
	for _, c := range table {
		sum += c
	}
	table[9] = -sum
	other := append([]byte("source"), table...)
	b := newBuilder(Options{Sysroot: system(t, map[string]string{"etc/acpi/a.aml": string(table), "etc/acpi/b.dsl": string(other)}), Config: Config{ACPITables: []string{"/etc/acpi/*.aml"}}})
	if err := b.early(&detect.Need{}); err != nil || b.tree.Get("kernel/firmware/acpi/a.aml") == nil || b.tree.Get("kernel/firmware/acpi/b.dsl") != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"/etc/acpi/*.dsl": "is it compiled", "/etc/acpi/none": "not exist"} {
		b.o.Config.ACPITables = []string{name}
		if err := b.early(&detect.Need{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for i, change := range map[int]string{0: "name of a table", 4: "it says that it has", 9: "its sum"} {
		bad := append([]byte(nil), table...)
		bad[i] ^= 0x80
		if err := checkACPI(bad); err == nil || !strings.Contains(err.Error(), change) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// What the kernel reads first is the first archive, not compressed, each file
// with its own content.
func TestEarlyArchiveIsFirstAndPlain(t *testing.T) {
	o := options(t, "[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	data := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(data, []byte("the same"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Includes = []Include{{data, "/kernel/firmware/acpi/a.aml"}, {data, "/kernel/firmware/acpi/b.aml"}}
	report, b := mustBuild(t, o)
	if report.Segments[0].Name != "early" || string(b[:6]) != "070701" {
		t.Fatalf("first is %s", report.Segments[0].Name)
	}
	found := map[string]string{}
	err := image.Walk(b[:len(report.Segments[0].Frame)], image.Limits{}, func(_ image.Part, h *cpio.Header, body io.Reader) error {
		text, err := io.ReadAll(body)
		found[h.Name] = string(text)
		return err
	})
	if err != nil || found["kernel/firmware/acpi/a.aml"] != "the same" || found["kernel/firmware/acpi/b.aml"] != "the same" {
		t.Errorf("%v %v", found, err)
	}
}

func TestBootconfigBehindTheImage(t *testing.T) {
	text := filepath.Join(t.TempDir(), "further")
	if err := os.WriteFile(text, []byte("kernel.quiet\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t, "bootconfig = \"/further\"\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	o.ModulesDir = o.Sysroot.Host("/lib/modules/" + o.Kernel)
	o.Sysroot = system(t, map[string]string{"further": "kernel.quiet\n", "boot/config-" + o.Kernel: "CONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_ZSTD=y\nCONFIG_BOOT_CONFIG=y\n"})
	_, b := mustBuild(t, o)
	c, err := image.Open(b)
	if err != nil || c.Bootconfig == nil || string(c.Bootconfig.Text) != "kernel.quiet\n" {
		t.Errorf("%+v %v", c, err)
	}
	o.Sysroot = system(t, map[string]string{"further": "kernel.quiet\n", "boot/config-" + o.Kernel: "CONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_ZSTD=y\n"})
	if _, err := Build(context.Background(), o); !errors.Is(err, ErrKernel) {
		t.Errorf("for a kernel that cannot read it: %v", err)
	}
	o.Sysroot = system(t, map[string]string{"further": "}\n"})
	if _, err := Build(context.Background(), o); !errors.Is(err, ErrConfig) {
		t.Errorf("damaged: %v", err)
	}
}

// modeOf is the mode of a file of an image.
func modeOf(t *testing.T, b []byte, name string) (mode uint32) {
	t.Helper()
	err := image.Walk(b, image.Limits{}, func(_ image.Part, h *cpio.Header, _ io.Reader) error {
		if h.Name == name {
			mode = h.Mode
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return mode
}
