package blkid

import (
	"bytes"
	"testing"
)

// A mark without a superblock that holds is named with its place, but only
// where nothing else is on the device.
func TestDamagedSuperblocksAreNamed(t *testing.T) {
	const size = 300 << 20
	at := func(pieces map[int]string) []byte {
		b := make([]byte, size)
		for off, s := range pieces {
			copy(b[off:], s)
		}
		return b
	}
	for _, tt := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing", "", at(nil)},
		{"xfs", "xfs at byte 0", at(map[int]string{0: "XFSB"})},
		{"LVM", "LVM2_member at byte 536", at(map[int]string{0x218: lvm2Type})},
		{"jfs that is cut off", "jfs at byte 32768", at(map[int]string{32 << 10: "JFS1"})[:1<<20]},
		{"two bytes are chance", "", at(map[int]string{1024 + 0x38: "\x53\xef"})},
		{"a partition table came later", "", at(map[int]string{0: "XFSB", 510: "\x55\xaa", 446 + 4: "\x83\x00\x00\x00\x08\x00\x00\x00\x10"})},
		{"a swap area came later", "", at(map[int]string{0: "XFSB", 1024: "\x01\x00\x00\x00\xff\xff", 4096 - 10: "SWAPSPACE2"})},
	} {
		r, err := Probe(bytes.NewReader(tt.data), int64(len(tt.data)))
		if err != nil || r.Damaged != tt.want {
			t.Errorf("%s: %q, want %q; %v, %v", tt.name, r.Damaged, tt.want, err, r.Pairs())
		}
	}
}
