package convert

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
	"firstlight/internal/vconsole"
)

// loadkeys is a layout as kbd makes it.
func loadkeys(t *testing.T, form, name string) []byte {
	t.Helper()
	testtool.Need(t, "loadkeys")
	out, err := exec.Command("loadkeys", "--quiet", "--unicode", form, name).Output()
	if err != nil {
		t.Fatalf("loadkeys %s: %v", name, err)
	}
	return out
}

// The calls hold every entry of every table of each layout that kbd has for a
// PC, and nothing else.
func TestKeymapsOfKbd(t *testing.T) {
	testtool.Need(t, "loadkeys")
	files, err := filepath.Glob("/usr/share/keymaps/i386/*/*.kmap.gz")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d layouts, %v", len(files), err)
	}
	if testing.Short() {
		files = files[:20]
	}
	for _, f := range files {
		if strings.Contains(f, "/include/") {
			continue
		}
		binaryMap, err := exec.Command("loadkeys", "--quiet", "--unicode", "--bkeymap", f).Output()
		if err != nil {
			continue // some are parts of others
		}
		calls, err := Keymap(binaryMap)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		entries := calls[1].Args
		var again bytes.Buffer
		flags := make([]byte, maxMaps)
		for i := 0; i < len(entries); i += 4 {
			flags[entries[i]] = 1
			if int(entries[i+1]) != i/4%keys {
				t.Fatalf("%s: entry %d is of key %d", f, i/4, entries[i+1])
			}
			again.Write(entries[i+2 : i+4])
		}
		if got := magic + string(flags) + again.String(); got != string(binaryMap) {
			t.Errorf("%s: not the same tables", f)
		}
	}
}

func TestKeyOfGermanLayout(t *testing.T) {
	calls, err := Keymap(loadkeys(t, "--bkeymap", "de-latin1"))
	if err != nil {
		t.Fatal(err)
	}
	if calls[0].Request != ioKDSKBMODE || calls[0].Value != 3 {
		t.Errorf("the keyboard is not put into Unicode mode first: %+v", calls[0])
	}
	value := func(table, key byte) uint16 {
		for a := calls[1].Args; len(a) > 0; a = a[4:] {
			if a[0] == table && a[1] == key {
				return binary.LittleEndian.Uint16(a[2:])
			}
		}
		return 0
	}
	for _, x := range []struct {
		table, key byte
		want       uint16
	}{{0, 21, 0x0b00 | 'z'}, {1, 21, 0x0b00 | 'Z'}, {0, 12, 0xdf ^ 0xf000}, {2, 50, 0xb5 ^ 0xf000}} {
		if got := value(x.table, x.key); got != x.want {
			t.Errorf("table %d key %d: %#x, want %#x", x.table, x.key, got, x.want)
		}
	}
}

func TestAccents(t *testing.T) {
	source := "struct kbdiacruc accent_table[MAX_DIACR] = {\n\t{'`', 'A', 0x00c0},\t{'\\'', 'e', 233},\n\t{0x2c, '\\\\', 0x1e9e},\n};\n\nunsigned int accent_table_size = 3;\n"
	calls, err := Accents([]byte(source))
	if err != nil || len(calls) != 1 || len(calls[0].Args) != 4+12*256 {
		t.Fatalf("%v %v", calls, err)
	}
	got := make([]uint32, 10)
	for i := range got {
		got[i] = binary.LittleEndian.Uint32(calls[0].Args[4*i:])
	}
	for i, want := range []uint32{3, '`', 'A', 0xc0, '\'', 'e', 233, 0x2c, '\\', 0x1e9e} {
		if got[i] != want {
			t.Errorf("number %d: %#x, want %#x", i, got[i], want)
		}
	}
	if calls, err := Accents([]byte("struct kbdiacruc accent_table[MAX_DIACR] = {\n};\n")); err != nil || calls != nil {
		t.Errorf("of an empty table: %v %v", calls, err)
	}
	if _, err := Accents([]byte("nothing")); err == nil {
		t.Error("no table is no error")
	}
	// A layout that has a table of its own.
	testtool.Need(t, "loadkeys")
	if calls, err := Accents(loadkeys(t, "--mktable", "fr-latin9")); err != nil || len(calls) != 1 || binary.LittleEndian.Uint32(calls[0].Args) != 156 {
		t.Errorf("fr-latin9: %d calls, %v", len(calls), err)
	}
}

// Every font that console-setup has is taken, and its glyphs are where the
// kernel looks for them.
func TestFontsOfConsoleSetup(t *testing.T) {
	testtool.Need(t, "loadkeys") // the same package has fonts
	files, err := filepath.Glob("/usr/share/consolefonts/*.psf*.gz")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d fonts, %v", len(files), err)
	}
	taken := 0
	for _, f := range files {
		b := unzip(t, f)
		calls, err := Font(b)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		taken++
		op := calls[0]
		width, height, glyphs := binary.LittleEndian.Uint32(op.Args[8:]), binary.LittleEndian.Uint32(op.Args[12:]), binary.LittleEndian.Uint32(op.Args[16:])
		if row := (width + 7) / 8; uint32(len(op.Data)) != glyphs*32*row || height > 32 {
			t.Errorf("%s: %d bytes for %d glyphs of %d by %d", f, len(op.Data), glyphs, width, height)
		}
		if len(calls) == 3 && len(calls[2].Data) != 4*int(binary.LittleEndian.Uint16(calls[2].Args)) {
			t.Errorf("%s: the table of characters has another length than it says", f)
		}
	}
	if taken == 0 {
		t.Error("no font was taken")
	}
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func FuzzFont(f *testing.F) {
	f.Add([]byte("\x36\x04\x02\x10"))
	f.Add([]byte("\x72\xb5\x4a\x86\x00\x00\x00\x00\x20\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\xffA\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		calls, err := Font(b)
		if err == nil && len(calls[0].Data) > maxGlyphs*32*4 {
			t.Fatalf("%d bytes of glyphs", len(calls[0].Data))
		}
	})
}

func FuzzKeymap(f *testing.F) {
	f.Add([]byte(magic + strings.Repeat("\x00", 256)))
	f.Fuzz(func(t *testing.T, b []byte) {
		calls, err := Keymap(b)
		if err == nil && (len(calls) != 2 || len(calls[1].Args)%4 != 0) {
			t.Fatalf("%+v", calls)
		}
		var _ []vconsole.Call = calls
	})
}
