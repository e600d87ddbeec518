package uki

import (
	"errors"
	"strings"
	"testing"

	"firstlight/internal/image/pe"
	"firstlight/internal/testtool"
)

var all = []string{".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile", ".dtbauto", ".hwids", ".pcrsig"}

// What a person asks for and the stub would pass over is refused, and so is what
// is no stub.
func TestRefuses(t *testing.T) {
	parts := Parts{Stub: testtool.EFIStub(".linux", ".initrd"), Kernel: []byte("MZ"), Cmdline: []byte("quiet")}
	if _, err := Build(parts); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), ".cmdline") {
		t.Errorf("an old stub: %v", err)
	}
	parts.Stub = testtool.EFIStub("nothing")
	if _, err := Build(parts); !errors.Is(err, ErrInvalid) {
		t.Errorf("another stub: %v", err)
	}
	parts.Stub = testtool.EFIStub(all...)
	parts.Extra = []Section{{".cmdline", []byte("twice")}}
	if _, err := Build(parts); !errors.Is(err, ErrInvalid) {
		t.Errorf("two command lines: %v", err)
	}
	parts.Extra = []Section{{".waytoolong", []byte("x")}}
	if _, err := Build(parts); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long name: %v", err)
	}
	parts.Extra, parts.Stub = nil, []byte("MZ")
	if _, err := Build(parts); !errors.Is(err, pe.ErrFormat) {
		t.Errorf("no program: %v", err)
	}
}

// Headers that are full grow, and every section is found again.
func TestManyProfiles(t *testing.T) {
	p := Parts{Stub: testtool.EFIStub(all...), Kernel: []byte("kernel"), Initrds: [][]byte{[]byte("initrd")}, Cmdline: []byte("quiet")}
	for range 12 {
		p.Profiles = append(p.Profiles, Profile{{".profile", []byte("ID=other\n")}, {".cmdline", []byte("other")}})
	}
	b, err := Build(p)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Parse(b)
	if err != nil || i.Count() != 13 {
		t.Fatalf("%d profiles: %v", i.Count(), err)
	}
	for n := range i.Count() {
		want, name := "quiet", "main"
		if n > 0 {
			want, name = "other", "other"
		}
		line, _ := i.Section(n, ".cmdline")
		initrd, _ := i.Section(n, ".initrd")
		if string(line) != want || string(initrd) != "initrd" || i.Name(n) != name {
			t.Errorf("profile %d, %q: %q %q", n, i.Name(n), line, initrd)
		}
	}
}

func FuzzJoin(f *testing.F) {
	f.Add(testtool.EFIStub(all...), []byte("kernel"))
	f.Fuzz(func(t *testing.T, b, data []byte) {
		if len(b) > 1<<16 {
			return
		}
		out, err := Join(b, []Section{{".linux", data}, {".sbat", data}, {".initrd", []byte("initrd")}})
		if err != nil {
			return
		}
		i, err := Parse(out)
		if err != nil {
			t.Fatalf("what was made cannot be read: %v", err)
		}
		if got, ok := i.Section(0, ".initrd"); i.Count() == 1 && ok && string(got) != "initrd" {
			t.Fatalf(".initrd is %q", got)
		}
	})
}

func FuzzHWIDs(f *testing.F) {
	f.Add([]byte(`{"name": "A", "compatible": "x,a", "hwids": ["2a78bc3d-8a4a-5d0c-9a3b-000000000001"]}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = HWIDs([][]byte{b, b}) })
}

func FuzzRelease(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x00", 0x202) + "HdrS\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00" + strings.Repeat("\x00", 16) + "6.1 (a@b) #1"))
	f.Fuzz(func(t *testing.T, b []byte) { _ = Release(b) })
}
