package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"firstlight/internal/image/cpio"
)

// uki is an EFI program with sections, as far as a reader goes.
func uki(sections ...[2]string) []byte {
	b := make([]byte, 0x80+24+40*len(sections))
	copy(b, "MZ")
	b[0x3c] = 0x80
	copy(b[0x80:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[0x86:], uint16(len(sections)))
	for i, s := range sections {
		h := b[0x98+40*i:]
		copy(h, s[0])
		padded := (len(s[1]) + 511) &^ 511
		for j, v := range []int{len(s[1]), 0x1000 * i, padded, len(b)} {
			binary.LittleEndian.PutUint32(h[8+4*j:], uint32(v))
		}
		b = append(append(b, s[1]...), make([]byte, padded-len(s[1]))...)
	}
	return b
}

func bootconfig(text string) string {
	var sum uint32
	for _, c := range []byte(text) {
		sum += uint32(c)
	}
	b := binary.LittleEndian.AppendUint32([]byte(text), uint32(len(text)))
	return string(binary.LittleEndian.AppendUint32(b, sum)) + bootconfigMagic
}

// The stub gives the kernel the microcode first, then the initramfs, of the
// profile that is the default.
func TestUnifiedKernelImages(t *testing.T) {
	one := func(name string) string { return string(archive(t, raw{name: name, mode: file, data: name})) }
	b := uki([2]string{".linux", "kernel"}, [2]string{".initrd", one("main") + bootconfig("a = b\n\x00\x00")}, [2]string{".cmdline", "quiet"},
		[2]string{".ucode", one("micro")}, [2]string{".profile", "ID=main"}, [2]string{".profile", "ID=other"}, [2]string{".initrd", one("other")})
	if got := list(t, b); got != "micro main" {
		t.Error(got)
	}
	c, err := Open(b)
	if err != nil || c.Bootconfig == nil || string(c.Bootconfig.Text) != "a = b\n" || c.Bootconfig.Section != ".initrd" {
		t.Fatalf("%+v %v", c, err)
	}
	if text, ok := c.Section(b, ".cmdline"); !ok || string(text) != "quiet" {
		t.Errorf("%q", text)
	}
	for name, want := range map[string]string{".cmdline": "own", ".uname": "6", ".profile": "ID=main"} {
		own := uki([2]string{".cmdline", "all"}, [2]string{".uname", "6"}, [2]string{".initrd", one("x")}, [2]string{".profile", "ID=main"}, [2]string{".cmdline", "own"}, [2]string{".profile", "ID=other"},
			[2]string{".cmdline", "third"}, [2]string{".uname", "7"})
		c, err := Open(own)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := c.Section(own, name); string(text) != want {
			t.Errorf("%s of the default is %q", name, text)
		}
	}
	first := uki([2]string{".initrd", one("all")}, [2]string{".profile", "ID=main"}, [2]string{".initrd", one("first")})
	if got := list(t, first); got != "first" {
		t.Error(got)
	}
	if _, err := Open(uki([2]string{".linux", "kernel"})); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), ".linux") {
		t.Errorf("a kernel alone: %v", err)
	}
}

// The kernel takes a bootconfig off the end, also with padding behind it.
func TestBootconfig(t *testing.T) {
	a := string(archive(t, raw{name: "x", mode: file}))
	for pad := range 4 {
		b := []byte(a + bootconfig("k = v\n\x00") + strings.Repeat("\x00", pad))
		if got := list(t, b); got != "x" {
			t.Errorf("%d bytes of padding: %s", pad, got)
		}
	}
	bad := []byte(a + bootconfig("k = v\n"))
	bad[len(a)] = 'K'
	for name, b := range map[string][]byte{"sum": bad, "size": []byte("\xff\xff\xff\x7f\x00\x00\x00\x00" + bootconfigMagic)} {
		if err := Walk(b, Limits{}, func(Part, *cpio.Header, io.Reader) error { return nil }); !errors.Is(err, ErrImage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A plain archive that is not at a multiple of four is not seen by the kernel.
func TestMisplacedArchive(t *testing.T) {
	b := append(archive(t, raw{name: "x", mode: file}), 0, 0)
	b = append(b, archive(t, raw{name: "y", mode: file})...)
	err := Walk(b, Limits{}, func(Part, *cpio.Header, io.Reader) error { return nil })
	if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "multiple of four") {
		t.Error(err)
	}
}

func FuzzContainer(f *testing.F) {
	a := string(archive(f, raw{name: "x", mode: file, data: "text"}))
	f.Add(uki([2]string{".initrd", a + bootconfig("a")}, [2]string{".ucode", a}))
	f.Add([]byte(a + bootconfig("a = b")))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Open(b)
		if err != nil {
			return
		}
		if c.Bootconfig != nil && !bytes.Contains(b, c.Bootconfig.Text) {
			t.Fatal("a bootconfig that is not there")
		}
		_ = Walk(b, Limits{Bytes: 1 << 20, Entries: 100}, func(_ Part, _ *cpio.Header, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	})
}
