package build

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/feature"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
	"firstlight/internal/vconsole"
)

// consoleOf is what a builder puts into an image for a system with these files,
// and what it notes.
func consoleOf(t *testing.T, c Console, files map[string]string) (calls []vconsole.Call, notes string) {
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
	b := newBuilder(Options{Sysroot: sysroot.Root(dir), Config: Config{Console: c}})
	b.report.Features = []feature.Chosen{{Feature: &feature.Feature{Name: "vconsole"}}}
	if err := b.vconsole(context.Background()); err != nil {
		t.Fatal(err)
	}
	e := b.tree.Get(strings.TrimPrefix(vconsole.Path, "/"))
	if e == nil {
		return nil, strings.Join(b.report.Notes, "\n")
	}
	for list := e.Data; len(list) > 0; {
		call, rest, ok := vconsole.Next(list)
		if !ok {
			t.Fatal("the list cannot be read")
		}
		calls, list = append(calls, call), rest
	}
	return calls, strings.Join(b.report.Notes, "\n")
}

// value is what a key gives in the first table.
func value(calls []vconsole.Call, key byte) uint16 {
	for _, c := range calls {
		for a := c.Args; c.Size == 4 && len(a) > 0; a = a[4:] {
			if a[0] == 0 && a[1] == key {
				return uint16(a[2]) | uint16(a[3])<<8
			}
		}
	}
	return 0
}

const (
	keyY       = 21 // of the American layout
	letter     = 0x0b00
	germanKeys = "keymaps 0\nkeycode 21 = z\nkeycode 44 = y\n"
	frenchKeys = "keymaps 0\nkeycode 21 = q\n"
)

func TestLayoutThatTheSystemHas(t *testing.T) {
	testtool.Need(t, "loadkeys", "ckbcomp")
	binaryMap, err := exec.Command("loadkeys", "--quiet", "--unicode", "--bkeymap", "de-latin1").Output()
	if err != nil {
		t.Fatal(err)
	}
	const place = "usr/share/keymaps/i386/qwertz/mine.kmap"
	for name, x := range map[string]struct {
		config Console
		files  map[string]string
		want   uint16
		note   string
	}{
		"vconsole.conf":     {files: map[string]string{"etc/vconsole.conf": "# x\nKEYMAP=\"mine\"\n", place: germanKeys}, want: letter | 'z'},
		"kbd's other place": {files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\n", "usr/share/kbd/keymaps/xkb/mine.map": germanKeys}, want: letter | 'z'},
		"by its path":       {config: Console{Keymap: "/etc/my.map"}, files: map[string]string{"etc/my.map": germanKeys, "etc/vconsole.conf": "KEYMAP=other\n"}, want: letter | 'z'},
		"two":               {files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\nKEYMAP_TOGGLE=more\n", place: germanKeys, "usr/share/keymaps/i386/more.map": "keycode 30 = b\n"}, want: letter | 'z'},
		"binary":            {files: map[string]string{"etc/conf.d/loadkmap": "KEYMAP=/etc/keymap/de.bmap\n", "etc/keymap/de.bmap": string(binaryMap)}, want: letter | 'z'},
		"OpenRC":            {files: map[string]string{"etc/conf.d/keymaps": "keymap='mine'\n", place: germanKeys}, want: letter | 'z'},
		"Debian's layout":   {files: map[string]string{"etc/default/keyboard": "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT=\"\"\n"}, want: letter | 'z'},
		"Debian's KMAP":     {files: map[string]string{"etc/default/keyboard": "XKBLAYOUT=us\nKMAP=/etc/my.map\n", "etc/my.map": frenchKeys}, want: letter | 'q'},
		"none":              {config: Console{Keymap: "none"}, files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\n", place: germanKeys}},
		"another machine's": {files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\n", "usr/share/keymaps/mac/mine.kmap": germanKeys}, note: "keymap mine (/etc/vconsole.conf): no such file"},
		"not there":         {files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\n"}, note: "keymap mine (/etc/vconsole.conf): no such file"},
		"damaged":           {files: map[string]string{"etc/vconsole.conf": "KEYMAP=mine\n", place: "keycode = = 21\n"}, note: "loadkeys"},
		"nothing":           {},
	} {
		calls, notes := consoleOf(t, x.config, x.files)
		if got := value(calls, keyY); got != x.want || x.note == "" && notes != "" || !strings.Contains(notes, x.note) {
			t.Errorf("%s: %#x, want %#x; notes: %s", name, got, x.want, notes)
		}
	}
}

// Debian's console-setup keeps what it has worked out, which counts as long as
// the settings are no younger.
func TestCachedLayoutOfDebian(t *testing.T) {
	testtool.Need(t, "loadkeys", "ckbcomp")
	dir := t.TempDir()
	write := func(name, text string, age time.Duration) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(frenchKeys))
	z.Close()
	write("etc/default/keyboard", "XKBLAYOUT=de\n", time.Hour)
	for age, want := range map[time.Duration]uint16{time.Minute: letter | 'q', 2 * time.Hour: letter | 'z'} {
		write("etc/console-setup/cached_UTF-8_del.kmap.gz", packed.String(), age)
		b := newBuilder(Options{Sysroot: sysroot.Root(dir)})
		s, err := b.consoleSettings()
		if err != nil {
			t.Fatal(err)
		}
		calls, _, err := b.keymap(context.Background(), s)
		if got := value(calls, keyY); err != nil || got != want {
			t.Errorf("a layout of %v ago: %#x, want %#x, %v", age, got, want, err)
		}
	}
}

func TestFontOfTheConsole(t *testing.T) {
	psf := append([]byte{0x36, 0x04, 0x02, 16}, bytes.Repeat([]byte{0xaa}, 256*16)...)
	for g := range 256 {
		psf = append(psf, byte(g), 0, 0xff, 0xff)
	}
	calls, notes := consoleOf(t, Console{Font: "mine"}, map[string]string{"usr/share/consolefonts/mine.psf": string(psf), "etc/vconsole.conf": "FONT_MAP=8859-2\n"})
	if len(calls) != 3 || len(calls[0].Data) != 256*32 || len(calls[2].Data) != 4*256 || !strings.Contains(notes, "FONT_MAP") {
		t.Errorf("%d calls; notes: %s", len(calls), notes)
	}
	if calls, notes := consoleOf(t, Console{Font: "mine"}, map[string]string{"usr/share/consolefonts/mine.psf": "no font"}); calls != nil || !strings.Contains(notes, "not a font") {
		t.Errorf("%d calls; notes: %s", len(calls), notes)
	}
}
