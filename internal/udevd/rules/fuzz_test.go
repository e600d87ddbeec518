package rules_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
)

// tables are two tables with every kind of key, for mutation.
func tables(t testing.TB) [][]byte {
	text := ""
	for _, c := range evalCases {
		text += c.rules + "\n"
	}
	var out [][]byte
	for _, s := range []string{text, "SUBSYSTEM!=\"block\", GOTO=\"e\"\nKERNEL==\"sd*\", SYMLINK+=\"x-$kernel\"\nLABEL=\"e\"\n"} {
		r, err := compile.Compile([]*compile.File{compile.Parse("f.rules", []byte(s))}, compile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Table)
	}
	return out
}

// TestDamage: a changed byte anywhere is noticed.
func TestDamage(t *testing.T) {
	data := tables(t)[0]
	for i := range data {
		data[i] ^= 0x10
		if _, err := rules.Open(data); !errors.Is(err, rules.ErrTable) {
			t.Fatalf("byte %d: %v", i, err)
		}
		data[i] ^= 0x10
	}
	for _, n := range []int{0, 7, 15, 103, len(data) - 1} {
		if _, err := rules.Open(data[:n]); !errors.Is(err, rules.ErrTable) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := rules.Open(append(data, 0)); !errors.Is(err, rules.ErrTable) {
		t.Errorf("one byte more: %v", err)
	}
}

// FuzzTable: whatever Open lets through, Evaluate can work from.
func FuzzTable(f *testing.F) {
	for _, data := range tables(f) {
		f.Add(data, uint32(60), byte(1))
		f.Add(data, uint32(len(data)/2), byte(0x80))
	}
	sys := machine(f)
	f.Fuzz(func(t *testing.T, data []byte, at uint32, flip byte) {
		if len(data) < 16 || len(data) > 1<<16 {
			return
		}
		data = append([]byte(nil), data...)
		data[int(at)%len(data)] ^= flip
		binary.LittleEndian.PutUint32(data[12:], crc32.ChecksumIEEE(data[16:]))
		table, err := rules.Open(data)
		if err != nil {
			return
		}
		table.StaticNodes()
		for _, devpath := range []string{partPath, nicPath} {
			for _, action := range []string{"add", "remove", "odd"} {
				dev := device.New(sys, devpath, nil)
				if _, err := rules.Evaluate(table, dev, rules.Event{Action: action}, &fakeEnv{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
