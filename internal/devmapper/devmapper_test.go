package devmapper

import (
	"bytes"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"firstlight/internal/testtool"
)

func TestTableLines(t *testing.T) {
	key := bytes.Repeat([]byte{0xab, 0x01}, 16)
	for _, tt := range []struct {
		crypt Crypt
		want  string // after the cipher
	}{
		{Crypt{Cipher: "aes-xts-plain64", Key: KeyRef{Size: 64, Description: "cryptsetup:u-d0"}, Device: "8:1", Offset: 32768},
			"aes-xts-plain64 :64:logon:cryptsetup:u-d0 0 8:1 32768"},
		{Crypt{Cipher: "aes-xts-plain64", Key: KeyRef{Bytes: key}, Device: "/dev/sda1", IVOffset: 9},
			"aes-xts-plain64 " + strings.Repeat("ab01", 16) + " 9 /dev/sda1 0"},
		{Crypt{Cipher: "cipher_null-ecb", Key: KeyRef{Size: 32, Description: "x"}, Device: "8:1"}, "cipher_null-ecb - 0 8:1 0"},
		{Crypt{Cipher: "capi:authenc(hmac(sha256),xts(aes))-random", Key: KeyRef{Size: 96, Type: "user", Description: "d"}, Device: "254:0",
			Integrity: "aead", IntegrityTag: 48, SectorSize: 512},
			"capi:authenc(hmac(sha256),xts(aes))-random :96:user:d 0 254:0 0 1 integrity:48:aead"},
		{Crypt{Cipher: "aes-xts-plain64", Key: KeyRef{Size: 64, Description: "d"}, Device: "8:1", SectorSize: 4096, AllowDiscards: true,
			SameCPUCrypt: true, SubmitFromCryptCPUs: true, HighPriority: true, NoReadWorkqueue: true, NoWriteWorkqueue: true, IVLargeSectors: true},
			"aes-xts-plain64 :64:logon:d 0 8:1 0 8 allow_discards same_cpu_crypt submit_from_crypt_cpus high_priority no_read_workqueue no_write_workqueue iv_large_sectors sector_size:4096"},
	} {
		got, err := tt.crypt.Target(0, 800)
		if err != nil || string(got.Params) != tt.want || got.Type != "crypt" || got.Length != 800 {
			t.Errorf("%q, %v, want %q", got.Params, err, tt.want)
		}
	}
	ok := Crypt{Cipher: "aes-xts-plain64", Key: KeyRef{Size: 64, Description: "d"}, Device: "8:1"}
	for name, f := range map[string]func(c *Crypt) uint64{
		"no key":        func(c *Crypt) uint64 { c.Key = KeyRef{}; return 8 },
		"key type":      func(c *Crypt) uint64 { c.Key.Type = "secret"; return 8 },
		"key size":      func(c *Crypt) uint64 { c.Key = KeyRef{Size: 3, Bytes: key}; return 8 },
		"key twice":     func(c *Crypt) uint64 { c.Key.Bytes = key; return 8 },
		"description":   func(c *Crypt) uint64 { c.Key.Description = "a b"; return 8 },
		"cipher":        func(c *Crypt) uint64 { c.Cipher = "aes xts"; return 8 },
		"device":        func(c *Crypt) uint64 { c.Device = "8:1 0"; return 8 },
		"sector size":   func(c *Crypt) uint64 { c.SectorSize = 8192; return 16 },
		"odd length":    func(c *Crypt) uint64 { c.SectorSize = 4096; return 9 },
		"no length":     func(c *Crypt) uint64 { return 0 },
		"huge":          func(c *Crypt) uint64 { return 1 << 63 },
		"integrity tag": func(c *Crypt) uint64 { c.Integrity = "aead"; return 8 },
	} {
		c := ok
		n := f(&c)
		if got, err := c.Target(0, n); err == nil {
			t.Errorf("%s: %q is taken", name, got.Params)
		}
	}
	l, err := Linear(16, 8, "8:1", 2048)
	if err != nil || l.String() != "16 8 linear 8:1 2048" {
		t.Error(l, err)
	}
	s, err := Striped(0, 256, 64, []Stripe{{"8:1", 0}, {"8:2", 99}})
	if err != nil || s.String() != "0 256 striped 2 64 8:1 0 8:2 99" {
		t.Error(s, err)
	}
	if _, err := Striped(0, 257, 64, []Stripe{{"8:1", 0}, {"8:2", 99}}); err == nil {
		t.Error("striped: a length that the kernel refuses is taken")
	}
	if err := CheckTable([]Target{s, {Start: 256, Length: 1, Type: "zero"}}); err != nil {
		t.Error(err)
	}
	if CheckTable([]Target{l}) == nil || CheckTable(nil) == nil || CheckTable([]Target{s, s}) == nil {
		t.Error("a table with a gap is taken")
	}
}

func TestKeysAreNotShownAndAreWiped(t *testing.T) {
	got, err := Crypt{Cipher: "aes-cbc-plain", Key: KeyRef{Bytes: []byte("0123456789abcdef")}, Device: "8:1", SectorSize: 4096, AllowDiscards: true}.Target(0, 8)
	if err != nil {
		t.Fatal(err)
	}
	if want := "0 8 crypt aes-cbc-plain (hidden) 0 8:1 0 2 allow_discards sector_size:4096"; got.String() != want {
		t.Errorf("%q, want %q", got, want)
	}
	Wipe([]Target{got})
	if !bytes.Equal(got.Params, make([]byte, len(got.Params))) {
		t.Error("not wiped")
	}
}

func TestCookieFlagsAreAsDmsetupPrintsThem(t *testing.T) {
	testtool.Need(t, "dmsetup")
	cookies := []Cookie{0, 1, NewCookie(0x1234, 0), NewCookie(7, Temporary), NewCookie(7, LowPriority|DisableFallback), 0xffff0001, 0x80800001, 0x004d5678}
	for _, c := range cookies {
		var got strings.Builder
		c.Properties(func(k, v string) { got.WriteString(k + "='" + v + "'\n") })
		out, err := exec.Command(testtool.Path("dmsetup"), "udevflags", c.String()).Output()
		if err != nil && c != 0 {
			t.Fatalf("dmsetup udevflags %v: %v", c, err)
		}
		if got.String() != string(out) {
			t.Errorf("cookie %v:\n%sdmsetup:\n%s", c, got.String(), out)
		}
		if ParseCookie(c.String()) != c {
			t.Errorf("cookie %v is not read back", c)
		}
	}
	if ParseCookie("") != 0 || ParseCookie("4294967296") != 0 || ParseCookie("x") != 0 {
		t.Error("malformed cookie")
	}
}

func TestProperties(t *testing.T) {
	p := Info{Name: "root", UUID: "CRYPT-LUKS2-0-root"}.Properties(NewCookie(1, 0))
	if p["DM_NAME"] != "root" || p["DM_UUID"] != "CRYPT-LUKS2-0-root" || p["DM_SUSPENDED"] != "0" ||
		p["DM_UDEV_PRIMARY_SOURCE_FLAG"] != "1" || p["DM_ACTIVATION"] != "1" || p["DM_UDEV_DISABLE_OTHER_RULES_FLAG"] != "" {
		t.Error(p)
	}
	p = Info{Name: "x", Suspended: true}.Properties(0)
	if _, has := p["DM_UUID"]; has || p["DM_SUSPENDED"] != "1" || p["DM_UDEV_DISABLE_OTHER_RULES_FLAG"] != "1" || p["DM_ACTIVATION"] != "" {
		t.Error(p)
	}
}

func TestMangle(t *testing.T) {
	for in, want := range map[string]string{
		"root": "root", "a-b.c:d=e@f_g+h#i": "a-b.c:d=e@f_g+h#i", "my disk": `my\x20disk`, "ü": `\xc3\xbc`,
		`a\b`: `a\x5cb`, `my\x20disk`: `my\x20disk`, "~": `\x7e`, `\x2`: `\x5cx2`,
	} {
		got, err := Mangle(in)
		if err != nil || got != want {
			t.Errorf("Mangle(%q) = %q, %v, want %q", in, got, err, want)
		}
		if u := Unmangle(got); u != in && in != `my\x20disk` {
			t.Errorf("Unmangle(%q) = %q, want %q", got, u, in)
		}
	}
	for _, in := range []string{"", "control", ".", "..", strings.Repeat("a", 128), strings.Repeat(" ", 40), `a b\x20`} {
		if got, err := Mangle(in); err == nil {
			t.Errorf("Mangle(%q) = %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOfN(rapid.Byte(), 1, 30).Draw(t, "name"))
		if strings.Contains(in, `\x`) {
			return
		}
		got, err := Mangle(in)
		if err == nil && Unmangle(got) != in {
			t.Fatalf("%q -> %q -> %q", in, got, Unmangle(got))
		}
	})
}

func TestLVNamesAreAsDmsetupSplitsThem(t *testing.T) {
	for _, n := range [][3]string{{"vg", "root", ""}, {"a-b", "c-d", ""}, {"debian-vg", "swap_1", "real"}, {"-x", "y-", ""}, {"a--b", "c", "d-e"}, {"vg", "lv", "x-y-z"}} {
		name := LVName(n[0], n[1], n[2])
		vg, lv, layer, ok := SplitLVName(name)
		if !ok || [3]string{vg, lv, layer} != n {
			t.Errorf("%q is split into %q %q %q %v", name, vg, lv, layer, ok)
		}
	}
	for _, n := range []string{"", "root", "a--b", "-"} {
		if _, _, _, ok := SplitLVName(n); ok {
			t.Errorf("%q is taken for LVM's", n)
		}
	}
	testtool.Need(t, "dmsetup")
	for _, n := range []string{"vg-lv", "a--b-c--d", "a--b-c--d-e", "vg-lv-real", "a----b-c", "vg-lv-x--y"} {
		out, err := exec.Command(testtool.Path("dmsetup"), "splitname", "--noheadings", "--separator", "|", "-c", "-o", "vg_name,lv_name,lv_layer", n).Output()
		if err != nil {
			t.Fatal(err)
		}
		vg, lv, layer, _ := SplitLVName(n)
		if got := vg + "|" + lv + "|" + layer; got != strings.TrimSpace(string(out)) {
			t.Errorf("%s: %s, dmsetup says %s", n, got, out)
		}
	}
}

// fake answers ioctls as the kernel would.
func fake(f func(req uint, b []byte) error) *Control {
	return &Control{do: func(_ int, req uint, b []byte) error { return f(req, b) }}
}

func TestLoadIsLaidOutAsTheKernelReadsIt(t *testing.T) {
	key := KeyRef{Bytes: []byte("0123456789abcdef")}
	first, err := Crypt{Cipher: "aes-cbc-plain", Key: key, Device: "8:1"}.Target(0, 8)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := Linear(8, 16, "8:2", 5)
	var buf []byte
	c := fake(func(req uint, b []byte) error {
		buf = b
		if req != unix.DM_TABLE_LOAD || native.Uint32(b) != 4 || int(native.Uint32(b[offDataSize:])) != len(b) ||
			native.Uint32(b[offDataStart:]) != headSize || native.Uint32(b[offTargetCount:]) != 2 || cstring(b[offName:]) != "root" {
			t.Error("head")
		}
		if flagsOf(b) != flagReadOnly|flagSecureData {
			t.Errorf("flags %#x", flagsOf(b))
		}
		// The walk of the kernel's next_target: "next" is from the spec.
		at := headSize
		for _, want := range []Target{first, second} {
			s := b[at:]
			if native.Uint64(s) != want.Start || native.Uint64(s[8:]) != want.Length || cstring(s[specType:]) != want.Type ||
				cstring(s[specSize:]) != string(want.Params) || at%8 != 0 {
				t.Errorf("target at %d", at)
			}
			at += int(native.Uint32(s[20:]))
		}
		return nil
	})
	if _, err := c.Load(ByName("root"), []Target{first, second}, LoadOptions{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf, make([]byte, len(buf))) {
		t.Error("the buffer that held the key is not wiped")
	}
}

func TestBufferGrowsUntilTheAnswerFits(t *testing.T) {
	answer := func(need int) (calls int, c *Control) {
		c = fake(nil)
		c.do = func(_ int, _ uint, b []byte) error {
			calls++
			if len(b) < need {
				native.PutUint32(b[offFlags:], flagBufferFull)
				return nil
			}
			native.PutUint32(b[offTargetCount:], 1)
			s := b[headSize:]
			native.PutUint64(s[8:], 77)
			copy(s[specType:], "linear")
			copy(s[specSize:], "8:1 0")
			native.PutUint32(s[20:], 48)
			return nil
		}
		return calls, c
	}
	_, c := answer(200 << 10)
	table, err := c.Table(ByUUID("u"))
	if err != nil || len(table) != 1 || table[0].String() != "0 77 linear 8:1 0" {
		t.Errorf("%v, %v", table, err)
	}
	_, c = answer(MaxBuffer + 1)
	if _, err := c.Table(ByUUID("u")); !errors.Is(err, ErrTooBig) {
		t.Errorf("endless answer: %v", err)
	}
}

func TestErrorsNameTheDeviceAndTheCause(t *testing.T) {
	c := fake(func(uint, []byte) error { return unix.ENXIO })
	_, err := c.Info(ByName("root"))
	if !errors.Is(err, unix.ENXIO) || !strings.Contains(err.Error(), "device-mapper info root") {
		t.Error(err)
	}
	if _, err := Open("/nonexistent/control"); !errors.Is(err, ErrNoDriver) {
		t.Error(err)
	}
	c = fake(func(_ uint, b []byte) error { native.PutUint32(b, 5); return nil })
	if _, err := c.Version(); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
	if _, err := c.Create("a/b", ""); err == nil {
		t.Error("a name with a slash is sent to the kernel")
	}
	if _, err := c.Create("a", strings.Repeat("u", 129)); err == nil {
		t.Error("a uuid that is too long is sent to the kernel")
	}
}

func TestFailedActivationLeavesNothing(t *testing.T) {
	for _, failing := range []uint{unix.DM_DEV_CREATE, unix.DM_TABLE_LOAD, unix.DM_DEV_SUSPEND} {
		exists := false
		c := fake(func(req uint, b []byte) error {
			if req == failing {
				return unix.EINVAL
			}
			switch req {
			case unix.DM_DEV_CREATE:
				exists = true
			case unix.DM_DEV_REMOVE:
				exists = false
			}
			return nil
		})
		z, err := Simple(0, 8, "zero")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Activate(c, "x", "", []Target{z}, false, NewCookie(1, 0)); !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
		if exists {
			t.Errorf("ioctl %#x failed and the device is still there", failing)
		}
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, d := range []Devnum{{0, 0}, {8, 1}, {254, 255}, {254, 256}, {259, 1<<20 - 1}, {4095, 77777}} {
		if got := decodeDev(encodeDev(d)); got != d {
			t.Errorf("%v becomes %v", d, got)
		}
		if want := unix.Mkdev(d.Major, d.Minor); encodeDev(d) != want {
			t.Errorf("%v is %#x, not %#x", d, encodeDev(d), want)
		}
	}
	if ByDev(254, 3).String() != "254:3" || ByUUID("u").String() != "uuid u" {
		t.Error("names of references")
	}
}

func TestListsOfTheKernel(t *testing.T) {
	c := fake(func(req uint, b []byte) error {
		d := b[headSize:]
		switch req {
		case unix.DM_LIST_DEVICES:
			native.PutUint64(d, encodeDev(Devnum{254, 1}))
			native.PutUint32(d[8:], 32)
			copy(d[12:], "one")
			native.PutUint64(d[32:], encodeDev(Devnum{254, 2}))
			copy(d[44:], "two")
		case unix.DM_LIST_VERSIONS:
			native.PutUint32(d, 24)
			native.PutUint32(d[4:], 1)
			native.PutUint32(d[8:], 24)
			copy(d[16:], "crypt")
			copy(d[24+16:], "linear")
		case unix.DM_TABLE_DEPS:
			native.PutUint32(d, 2)
			native.PutUint64(d[8:], encodeDev(Devnum{8, 1}))
			native.PutUint64(d[16:], encodeDev(Devnum{8, 2}))
		}
		return nil
	})
	if l, err := c.Devices(); err != nil || len(l) != 2 || l[1] != (ListEntry{"two", Devnum{254, 2}}) {
		t.Error(l, err)
	}
	if l, err := c.Targets(); err != nil || len(l) != 2 || l[0].Name != "crypt" || !l[0].Version.AtLeast(1, 15, 0) || l[0].Version.AtLeast(1, 24, 1) {
		t.Error(l, err)
	}
	if l, err := c.Deps(ByName("x")); err != nil || len(l) != 2 || l[1] != (Devnum{8, 2}) {
		t.Error(l, err)
	}
	zero := fake(func(uint, []byte) error { return nil })
	empty := fake(func(_ uint, b []byte) error {
		native.PutUint32(b[offDataSize:], native.Uint32(b[offDataStart:]))
		return nil
	})
	for _, c := range []*Control{zero, empty} {
		if l, err := c.Devices(); err != nil || len(l) != 0 {
			t.Error(l, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	q, _ := request{table: []Target{{Length: 8, Type: "zero"}}}.encode(512)
	f.Add(q)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headSize {
			return
		}
		_ = decodeInfo(b)
		table, err := decodeTargets(b)
		if err == nil && len(table) > len(b)/specSize {
			t.Errorf("%d targets in %d bytes", len(table), len(b))
		}
		if deps, err := decodeDeps(b); err == nil && len(deps) > len(b)/8 {
			t.Errorf("%d dependencies in %d bytes", len(deps), len(b))
		}
		_, _ = decodeNames(b)
		_, _ = decodeVersions(b)
	})
}

func FuzzNames(f *testing.F) {
	f.Add("my disk")
	f.Add(`a\x20b`)
	f.Add("a--b-c")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := Mangle(s); err == nil {
			for i := range m {
				if !plainByte(m[i]) && m[i] != '\\' {
					t.Fatalf("%q has %q", m, m[i])
				}
			}
			if again, err := Mangle(m); err != nil || again != m {
				t.Fatalf("mangled twice: %q, %v", again, err)
			}
		}
		if vg, lv, layer, ok := SplitLVName(s); ok {
			v2, l2, y2, ok := SplitLVName(LVName(vg, lv, layer))
			if !ok || vg != v2 || lv != l2 || layer != y2 {
				t.Fatal(strconv.Quote(s))
			}
		}
	})
}
