package mdsuper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	fixtures "firstlight/test/fixtures/lvmmd"
)

// super1 gives a copy of a 1.2 member's device and the place of its
// superblock.
func super1(t testing.TB) (*fixtures.Device, []byte) {
	d, _ := arrays(t).Device(t, "raid5-1.2", 1)
	c := *d
	c.Head = bytes.Clone(d.Head)
	return &c, c.Head[4096:8192]
}

func resum(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[216:], checksum1(b[:256+2*le.Uint32(b[220:])]))
}

func TestDamageIsNamed(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   string
	}{
		{"a bit", func(b []byte) { b[20] ^= 4 }, "checksum"},
		{"roles", func(b []byte) { le.PutUint32(b[220:], 5000) }, "5000 roles do not fit"},
		{"no slots", func(b []byte) { le.PutUint32(b[92:], 0); resum(b) }, "0 slots"},
		{"data", func(b []byte) { le.PutUint64(b[136:], 1<<60); resum(b) }, "does not fit the device"},
		{"chunk", func(b []byte) { le.PutUint32(b[88:], 1<<30); resum(b) }, "chunks of"},
		{"elsewhere", func(b []byte) { le.PutUint64(b[144:], 0); resum(b) }, "no MD superblock"},
		{"gone", func(b []byte) { clear(b) }, "no MD superblock"},
	} {
		d, b := super1(t)
		c.change(b)
		_, err := Read(d, d.Size)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, size := range []int{0, 511, 4096, 8192, 64 << 10} {
		if _, err := Read(bytes.NewReader(make([]byte, size)), uint64(size)); !errors.Is(err, ErrNone) {
			t.Errorf("%d zero bytes: %v", size, err)
		}
	}
}

func TestOldSuperblocksOfTheOtherByteOrderAreNamed(t *testing.T) {
	d, _ := arrays(t).Device(t, "raid1-0.90", 0)
	s, err := Read(d, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	tail := bytes.Clone(d.Tail)
	at := int(s.Offset) - int(d.Size) + len(tail)
	for i := at; i < at+superBytes; i += 4 {
		tail[i], tail[i+1], tail[i+2], tail[i+3] = tail[i+3], tail[i+2], tail[i+1], tail[i]
	}
	other := *d
	other.Tail = tail
	if _, err := Read(&other, other.Size); !errors.Is(err, ErrForeignEndian) {
		t.Errorf("%v", err)
	}
}

func TestTwoVersionsOnOneDevice(t *testing.T) {
	d, b := super1(t)
	old, _ := arrays(t).Device(t, "raid1-1.0", 0)
	d.Tail = old.Tail
	s, err := Read(d, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	if s.Version.Minor != 2 {
		t.Errorf("version %v, but 1.2 was made last", s.Version)
	}
	one, err := ReadVersion(d, d.Size, Version{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(b[64:], one.Created)
	resum(b)
	if _, err := Read(d, d.Size); err == nil || !strings.Contains(err.Error(), "both made") {
		t.Errorf("two of one age: %v", err)
	}
}

func TestUUIDForms(t *testing.T) {
	for _, in := range []string{"817be13c:af87725b:16e3e66b:a51c6e16", "817be13c-af87-725b-16e3-e66ba51c6e16", "817BE13CAF87725B16E3E66BA51C6E16"} {
		u, err := ParseUUID(in)
		if err != nil || u.String() != "817be13c:af87725b:16e3e66b:a51c6e16" || u.Dashed() != "817be13c-af87-725b-16e3-e66ba51c6e16" {
			t.Errorf("%s: %v %v %v", in, u, u.Dashed(), err)
		}
	}
	for _, in := range []string{"", "1234", "817be13c:af87725b:16e3e66b:a51c6e1", "817be13c:af87725b:16e3e66b:a51c6e160", "x17be13c:af87725b:16e3e66b:a51c6e16"} {
		if _, err := ParseUUID(in); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func FuzzSuper(f *testing.F) {
	cases := arrays(f)
	for _, name := range []string{"raid5-1.2", "raid5reshape-0.90", "raid10f2-0.90", "raid5journal-1.2", "raid1odd-1.2"} {
		d, _ := cases.Device(f, name, 1)
		s, err := Read(d, d.Size)
		if err != nil {
			f.Fatal(err)
		}
		b := make([]byte, superBytes)
		if _, err := d.ReadAt(b, int64(s.Offset)); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimRight(b, "\x00"), s.Version.Major == 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, old bool) {
		var buf [superBytes]byte
		copy(buf[:], b)
		// Repair the checksum, so that what lies behind it is reached.
		var s *Super
		var err error
		if old {
			binary.NativeEndian.PutUint32(buf[4*w0Checksum:], checksum0(buf[:], binary.LittleEndian))
			s, err = parse0(buf[:], 1<<20)
		} else {
			n := min(binary.LittleEndian.Uint32(buf[220:]), maxDevices)
			binary.LittleEndian.PutUint32(buf[216:], checksum1(buf[:256+2*n]))
			s, err = parse1(buf[:], binary.LittleEndian.Uint64(buf[144:])*SectorSize, 1<<40)
		}
		if err != nil {
			return
		}
		twin := *s
		twin.Events++
		a := Collect([]Member{{"a", s}, {"b", &twin}}, Options{})
		if a.State == Complete && len(a.Missing()) > 0 {
			t.Fatal("complete with members missing")
		}
		a.Explain()
		new(Conf).NameArray(s, nil, "host", Taken{func(string) bool { return false }, func(string) bool { return false }})
	})
}
