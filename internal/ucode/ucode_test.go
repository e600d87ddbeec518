package ucode

import (
	"bytes"
	"encoding/binary"
	"testing"
)

const cpuinfo = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 158\nmodel name\t: x\nstepping\t: 10\nflags\t\t: fpu vme\n\n" +
	"processor\t: 1\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 158\nstepping\t: 10\nflags\t\t: fpu vme\n\n"

func TestProcessorsOfCPUInfo(t *testing.T) {
	got := FromCPUInfo(cpuinfo, "0x2\n")
	if len(got) != 1 || got[0] != (CPU{Intel, 6, 158, 10, 2}) || got[0].Signature() != 0x906ea {
		t.Errorf("%+v", got)
	}
	amd := FromCPUInfo("vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 33\nstepping : 2\nflags : fpu\n", "0x2")
	if len(amd) != 1 || amd[0] != (CPU{AMD, 25, 33, 2, 0}) || amd[0].Signature() != 0x00a20f12 {
		t.Errorf("%+v %#x", amd, amd[0].Signature())
	}
	for _, text := range []string{
		"", "vendor_id : GenuineIntel\ncpu family : 6\nmodel : x\nstepping : 1\n", "vendor_id : ARM\ncpu family : 6\nmodel : 1\nstepping : 1\n",
		"vendor_id : GenuineIntel\ncpu family : 6\nmodel : 1\nstepping : 1\nflags : fpu hypervisor lm\n",
	} {
		if got := FromCPUInfo(text, ""); len(got) > 0 {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// intel is an update with its sums right.
func intel(revision int32, signature, platforms uint32, more ...[2]uint32) []byte {
	const data = 64
	total := intelHeader + data
	if len(more) > 0 {
		total += intelTableHeader + intelTableEntry*len(more)
	}
	b := make([]byte, total)
	put := func(i int, v uint32) { binary.LittleEndian.PutUint32(b[4*i:], v) }
	put(0, intelVersion)
	put(1, uint32(revision))
	put(3, signature)
	put(5, 1)
	put(6, platforms)
	put(7, data)
	put(8, uint32(total))
	b[intelHeader] = byte(revision) // some content
	put(4, -sum(b[:intelHeader+data]))
	if t := b[intelHeader+data:]; len(t) > 0 {
		binary.LittleEndian.PutUint32(t, uint32(len(more)))
		for i, s := range more {
			binary.LittleEndian.PutUint32(t[intelTableHeader+i*intelTableEntry:], s[0])
			binary.LittleEndian.PutUint32(t[intelTableHeader+i*intelTableEntry+4:], s[1])
		}
		binary.LittleEndian.PutUint32(t[4:], -sum(t))
	}
	return b
}

func TestIntelUpdatesOfThisProcessor(t *testing.T) {
	a, b, c, trial := intel(0xf0, 0x906ea, 0x22), intel(0xf2, 0x906ea, 0x04), intel(0xb4, 0x906e9, 0x2a, [2]uint32{0x906ea, 0x02}), intel(-5, 0x906ea, 0x22)
	file := bytes.Join([][]byte{a, b, c, trial}, nil)
	for _, x := range []struct {
		cpu  CPU
		want [][]byte
	}{
		{CPU{Intel, 6, 158, 10, 2}, [][]byte{a, c}},
		{CPU{Intel, 6, 158, 10, 4}, [][]byte{b}},
		{CPU{Intel, 6, 158, 10, 0}, [][]byte{a, b, c}}, // which of them the kernel sees
		{CPU{Intel, 6, 158, 9, 8}, [][]byte{c}},
		{CPU{Intel, 6, 85, 7, 1}, nil},
		{CPU{AMD, 6, 158, 10, 2}, nil},
	} {
		got, err := SelectIntel(file, []CPU{x.cpu})
		if err != nil || !bytes.Equal(got, bytes.Join(x.want, nil)) {
			t.Errorf("%+v: %d bytes, %v", x.cpu, len(got), err)
		}
	}
	if all, err := SelectIntel(file, nil); err != nil || !bytes.Equal(all, bytes.Join([][]byte{a, b, c}, nil)) {
		t.Errorf("all: %d bytes, %v", len(all), err)
	}
	for _, at := range []int{0, 28, 32, 60, len(file) - 30, len(a) + 4} {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		if _, err := SelectIntel(bad, nil); err == nil {
			t.Errorf("byte %d is changed, and nobody saw it", at)
		}
	}
	for _, cut := range []int{0, 10, len(file) - 1} {
		if _, err := SelectIntel(file[:cut], nil); err == nil {
			t.Errorf("cut at %d, and nobody saw it", cut)
		}
	}
}

func amdSectionBytes(kind uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

func amdEquivalent(signature uint32, id uint16) []byte {
	e := make([]byte, amdEntry)
	binary.LittleEndian.PutUint32(e, signature)
	binary.LittleEndian.PutUint16(e[12:], id)
	return e
}

func amdPatchOf(id uint16, fill byte) []byte {
	p := bytes.Repeat([]byte{fill}, amdPatchHead+32)
	binary.LittleEndian.PutUint16(p[24:], id)
	return amdSectionBytes(amdPatch, p)
}

func TestAMDPatchesOfThisProcessor(t *testing.T) {
	magic := binary.LittleEndian.AppendUint32(nil, amdMagic)
	table := amdSectionBytes(amdTable, bytes.Join([][]byte{amdEquivalent(0xa20f12, 0xa212), amdEquivalent(0xa20f10, 0xa210), make([]byte, amdEntry)}, nil))
	one, two := amdPatchOf(0xa212, 1), amdPatchOf(0xa210, 2)
	file := bytes.Join([][]byte{magic, table, one, two}, nil)
	got, err := SelectAMD(file, []CPU{{AMD, 25, 33, 2, 0}})
	if want := bytes.Join([][]byte{magic, table, one}, nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes instead of %d, %v", len(got), len(want), err)
	}
	if got, err := SelectAMD(file, []CPU{{AMD, 25, 1, 1, 0}}); err != nil || got != nil {
		t.Errorf("of another: %d bytes, %v", len(got), err)
	}
	twice := append(bytes.Clone(file), file...)
	if got, err := SelectAMD(twice, nil); err != nil || !bytes.Equal(got, twice) {
		t.Errorf("all: %d bytes, %v", len(got), err)
	}
	for _, cut := range []int{0, 3, 4, 10, 4 + len(table) + 8, len(file) - 1} {
		if _, err := SelectAMD(file[:cut], nil); err == nil {
			t.Errorf("cut at %d, and nobody saw it", cut)
		}
	}
}

func FuzzSelect(f *testing.F) {
	f.Add(intel(1, 0x906ea, 2, [2]uint32{1, 2}))
	f.Add(binary.LittleEndian.AppendUint32(nil, amdMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		cpus := []CPU{{Intel, 6, 158, 10, 2}, {AMD, 25, 33, 2, 0}}
		if got, err := SelectIntel(b, cpus); err == nil && len(got) > len(b) {
			t.Fatal("longer than the file")
		}
		if got, err := SelectAMD(b, cpus); err == nil && len(got) > len(b) {
			t.Fatal("longer than the file")
		}
	})
}
