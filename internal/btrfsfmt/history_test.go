package btrfsfmt_test

import (
	"io"
	"reflect"
	"testing"

	"firstlight/internal/btrfsfmt"
	"firstlight/internal/sim/content"
)

const (
	filesystem = "11111111-1111-4111-8111-111111111111"
	firstID    = "22222222-2222-4222-8222-222222222221"
	secondID   = "22222222-2222-4222-8222-222222222222"
)

// pieces reads what is written of a device; the rest are zeros.
type pieces []content.Piece

func (l pieces) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for _, x := range l {
		if at := x.At - off; at < int64(len(p)) && at+int64(len(x.Data)) > 0 {
			copy(p[max(at, 0):], x.Data[max(-at, 0):])
		}
	}
	return len(p), nil
}

func device(number int, behind int, commits ...content.BtrfsCommit) pieces {
	ids := []string{firstID, secondID}
	return content.Btrfs{UUID: filesystem, Device: ids[number-1], Devices: 2, Number: number, Size: 1 << 30, Spare: 1,
		IDs: ids, Commits: commits, Behind: behind}.Pieces()
}

func commit(generation uint64, place int, text string) content.BtrfsCommit {
	return content.BtrfsCommit{Generation: generation, Place: place, Text: text}
}

// Two devices are the same, one of them is older, or each has what the other lacks.
func TestWeigh(t *testing.T) {
	old := []content.BtrfsCommit{commit(7, 0, "both"), commit(8, 1, "both")}
	and := func(more ...content.BtrfsCommit) []content.BtrfsCommit { return append(old[:2:2], more...) }
	one, two := []int{0}, []int{1}
	for _, c := range []struct {
		name          string
		first, second pieces
		want          btrfsfmt.History
	}{
		{"the same", device(1, 0, old...), device(2, 0, old...), btrfsfmt.History{Current: []int{0, 1}}},
		{"a superblock was not written before the crash", device(1, 0, old...), device(2, 1, old...), btrfsfmt.History{Current: []int{0, 1}}},
		{"one commit more", device(1, 0, and(commit(9, 2, "one"))...), device(2, 0, old...), btrfsfmt.History{Current: one, Stale: two}},
		{"many", device(1, 0, old...), device(2, 0, and(commit(9, 2, "two"), commit(10, 3, "two"), commit(90, 4, "two"))...), btrfsfmt.History{Current: two, Stale: one}},
		{"as many on each", device(1, 0, and(commit(9, 2, "one"))...), device(2, 0, and(commit(9, 2, "two"))...), btrfsfmt.History{Apart: [][]int{one, two}}},
		{"as many on each, elsewhere", device(1, 0, and(commit(9, 2, "one"))...), device(2, 0, and(commit(9, 3, "two"))...), btrfsfmt.History{Apart: [][]int{one, two}}},
		{"more on one, of which the superblock tells", device(1, 0, and(commit(9, 2, "one"), commit(10, 3, "one"))...), device(2, 0, and(commit(9, 4, "two"))...), btrfsfmt.History{Apart: [][]int{one, two}}},
		{"more on one, in the same place", device(1, 0, and(commit(9, 2, "one"), commit(50, 3, "one"))...), device(2, 0, and(commit(10, 2, "two"))...), btrfsfmt.History{Apart: [][]int{one, two}}},
		{"the newer one uses what the older has another of", device(1, 0, and(commit(20, 3, "one"))...), device(2, 0, and(commit(9, 3, "two"), commit(10, 5, "two"))...), btrfsfmt.History{Current: one, Stale: two}},
		// It was overwritten later: nothing shows it.
		{"more on one, over what the other wrote", device(1, 0, and(commit(60, 2, "one"))...), device(2, 0, and(commit(10, 2, "two"))...), btrfsfmt.History{Current: one, Stale: two}},
	} {
		got, err := btrfsfmt.Weigh([]io.ReaderAt{c.first, c.second})
		got.Generations = nil
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A device that was replaced is stale, and none of the filesystem's any more.
func TestFormerDevice(t *testing.T) {
	now := device(1, 0, commit(7, 0, "both"), commit(8, 1, "one"), commit(9, 2, "one"))
	was := pieces(content.Btrfs{UUID: filesystem, Device: filesystem, Devices: 2, Number: 2, Size: 1 << 30, Spare: 1,
		Commits: []content.BtrfsCommit{commit(7, 0, "both")}}.Pieces())
	got, err := btrfsfmt.Weigh([]io.ReaderAt{was, now})
	if err != nil || !reflect.DeepEqual(got.Former, []int{0}) || !reflect.DeepEqual(got.Stale, []int{0}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeviceWithoutASuperblock(t *testing.T) {
	if _, err := btrfsfmt.Weigh([]io.ReaderAt{device(1, 0), empty{}}); err == nil {
		t.Error("weighed")
	}
}

type empty struct{}

func (empty) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

func FuzzWeigh(f *testing.F) {
	commits := []content.BtrfsCommit{commit(7, 0, "both"), commit(8, 1, "one")}
	d := device(1, 0, commits...)
	f.Add(d[0].Data, d[1].Data, d[3].Data)
	f.Fuzz(func(t *testing.T, super, tree, root []byte) {
		d := device(1, 0, commits...)
		for i, b := range [][]byte{super, tree, nil, root} {
			d[i].Data = append(b[:min(len(b), 16<<10):len(b)], d[i].Data[min(len(b), len(d[i].Data)):]...)
		}
		h, err := btrfsfmt.Weigh([]io.ReaderAt{d, device(2, 0, commits...)})
		if n := len(h.Current) + len(h.Stale) + len(h.Apart); err == nil && n != 2 {
			t.Errorf("%+v", h)
		}
	})
}
