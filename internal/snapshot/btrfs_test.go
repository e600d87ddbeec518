package snapshot

import (
	"bytes"
	"io"
	"reflect"
	"testing"

	"firstlight/internal/btrfsfmt"
	"firstlight/internal/sim/content"
)

// written reads what is written of a large device; the rest are zeros.
type written []content.Piece

func (l written) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for _, x := range l {
		if at := x.At - off; at < int64(len(p)) && at+int64(len(x.Data)) > 0 {
			copy(p[max(at, 0):], x.Data[max(-at, 0):])
		}
	}
	return len(p), nil
}

// A boot compares the devices of a btrfs, and reads of one what the other has: a
// check of the snapshot has to come to the same.
func TestDevicesOfABtrfsCanBeCompared(t *testing.T) {
	const size = 1 << 30
	ids := []string{"22222222-2222-4222-8222-222222222221", "22222222-2222-4222-8222-222222222222"}
	device := func(number int, commits ...content.BtrfsCommit) written {
		return content.Btrfs{UUID: "11111111-1111-4111-8111-111111111111", Device: ids[number-1], Devices: 2, Number: number, Size: size, Spare: 1,
			IDs: ids, Commits: commits}.Pieces()
	}
	commit := func(generation uint64, place int, text string) content.BtrfsCommit {
		return content.BtrfsCommit{Generation: generation, Place: place, Text: text}
	}
	old := []content.BtrfsCommit{commit(7, 0, "both"), commit(8, 1, "both")}
	and := func(more ...content.BtrfsCommit) []content.BtrfsCommit { return append(old[:2:2], more...) }
	for name, two := range map[string][2]written{
		"the same":               {device(1, old...), device(2, old...)},
		"one commit more":        {device(1, and(commit(9, 2, "one"))...), device(2, old...)},
		"many":                   {device(1, old...), device(2, and(commit(9, 2, "two"), commit(10, 3, "two"), commit(90, 4, "two"))...)},
		"apart, elsewhere":       {device(1, and(commit(9, 2, "one"))...), device(2, and(commit(9, 3, "two"))...)},
		"apart, the same place":  {device(1, and(commit(9, 2, "one"), commit(50, 3, "one"))...), device(2, and(commit(10, 2, "two"))...)},
		"the newer uses another": {device(1, and(commit(20, 3, "one"))...), device(2, and(commit(9, 3, "two"), commit(10, 5, "two"))...)},
	} {
		var blocks []*Block
		var devices, taken []io.ReaderAt
		for i, d := range two {
			b, err := Content([]string{"vda", "vdb"}[i], d, size, 512, false)
			if err != nil {
				t.Fatal(err)
			}
			blocks, devices, taken = append(blocks, b), append(devices, d), append(taken, b)
		}
		if err := compared(blocks, devices); err != nil {
			t.Fatal(err)
		}
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			want, err := btrfsfmt.Weigh([]io.ReaderAt{devices[order[0]], devices[order[1]]})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := btrfsfmt.Weigh([]io.ReaderAt{taken[order[0]], taken[order[1]]}); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s %v: %+v, %v; want %+v", name, order, got, err, want)
			}
		}
	}
}

// What is no node is not taken, and reads as zeros; what was taken before stays.
func TestOnlyNodesOfTreesAreAdded(t *testing.T) {
	const id = "0123456789abcdef"
	disk := make([]byte, 1<<20)
	copy(disk[btrfsUUIDAt:], id)
	node, file, label := int64(256<<10), int64(512<<10), int64(516<<10)
	copy(disk[node+0x20:], id+"of a tree")
	copy(disk[file:], secret)
	b := &Block{Name: "vda", Size: int64(len(disk)), Ranges: []Range{{Off: 64 << 10, Len: 4096, Data: disk[64<<10:][:4096]}, {Off: label, Len: 5, Data: []byte("label")}}}
	read := &recorder{r: bytes.NewReader(disk), spans: []span{{file, file + 16<<10}, {node, node + 16<<10}, {node, node + 4096}}}
	if err := b.nodes(read); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 16<<10)
	if _, err := b.ReadAt(got, node); err != nil || !bytes.Equal(got, disk[node:][:len(got)]) {
		t.Errorf("the node: %v", err)
	}
	if _, err := b.ReadAt(got[:4096], file); err != nil || len(bytes.Trim(got[:4096], "\x00")) > 0 {
		t.Errorf("the file: %q, %v", bytes.Trim(got, "\x00"), err)
	}
	if _, err := b.ReadAt(got[:5], btrfsUUIDAt); err != nil || string(got[:5]) != id[:5] {
		t.Errorf("the superblock: %q, %v", got[:5], err)
	}
}
