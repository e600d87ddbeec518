package blkread

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// device is size bytes, each the low byte of its page number; reads that
// touch bad fail.
type device struct {
	size int64
	bad  map[int64]bool // page numbers
}

var errMedium = errors.New("medium error")

func (d *device) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= d.size {
			return n, io.EOF
		}
		if d.bad[at/page] {
			return n, errMedium
		}
		piece := p[n:min(int64(len(p)), int64(n)+page-at%page, int64(n)+d.size-at)]
		for i := range piece {
			piece[i] = byte(at / page)
		}
		n += len(piece)
	}
	return n, nil
}

// TestFewReads: however many pieces are asked for, head and tail cost two
// reads each and stay below 2 MiB together.
func TestFewReads(t *testing.T) {
	for _, size := range []int64{1, 4095, firstLen, firstLen + 1, headLen, headLen + 1, headLen + lastLen + page + 1, 1 << 20, 1<<20 + 5, 64 << 20, 64<<20 + 4096, 1 << 40} {
		d := New(&device{size: size}, size)
		for off := uint64(0); off < min(uint64(size), headLen); off += 1000 {
			if b := d.Bytes(off, 1); b == nil || b[0] != byte(off/page) {
				t.Fatalf("size %d: byte %d is %v", size, off, b)
			}
			end := uint64(size) - 1 - off
			if b := d.Bytes(end, 1); b == nil || b[0] != byte(end/page) {
				t.Fatalf("size %d: byte %d is %v", size, end, b)
			}
		}
		if n, reads := d.Stats(); reads > 4 || n > 2<<20 || d.Err() != nil {
			t.Errorf("size %d: %d bytes in %d reads, %v", size, n, reads, d.Err())
		}
	}
}

// TestOnlyWhatIsLookedAt: a layer of storage is found at the ends of a device,
// and no more than those is read.
func TestOnlyWhatIsLookedAt(t *testing.T) {
	for _, size := range []uint64{1 << 20, 64 << 20, 64<<20 + 4096, 1<<40 - 512} {
		d := New(&device{size: int64(size)}, int64(size))
		for _, off := range []uint64{0, 4096, size - 1, size - 33*page} {
			if b := d.Bytes(off, 1); b == nil || b[0] != byte(off/page) {
				t.Fatalf("size %d: byte %d is %v", size, off, b)
			}
		}
		if n, reads := d.Stats(); reads != 2 || n > firstLen+lastLen+page {
			t.Errorf("size %d: %d bytes in %d reads", size, n, reads)
		}
	}
}

func TestBounds(t *testing.T) {
	d := New(&device{size: 1 << 30}, 1<<30)
	for _, c := range []struct{ off, n uint64 }{
		{1 << 30, 1}, {1<<30 - 1, 2}, {^uint64(0), 1}, {^uint64(0) - 4, 8}, {0, 0}, {0, MaxPiece + 1}, {1, ^uint64(0)},
	} {
		if b := d.Bytes(c.off, c.n); b != nil || d.Err() != nil {
			t.Errorf("%d bytes at %d: %d bytes, %v", c.n, c.off, len(b), d.Err())
		}
	}
	if b := d.Bytes(headLen-10, 4<<20); uint64(len(b)) != 4<<20 {
		t.Errorf("a piece across the head: %d bytes", len(b))
	}
	if New(&device{}, -5).Size() != 0 {
		t.Error("negative size")
	}
}

// TestShorterThanSaid: a size that is too large is not an error.
func TestShorterThanSaid(t *testing.T) {
	d := New(&device{size: 5000}, 1<<30)
	if d.Bytes(4000, 1000) == nil || d.Bytes(4000, 1001) != nil || d.Bytes(1<<29, 10) != nil || d.Bytes(1<<30-10, 10) != nil {
		t.Error("wrong bytes")
	}
	if d.Err() != nil {
		t.Error(d.Err())
	}
}

// TestBadPlace: an unreadable page in the head does not hide the others.
func TestBadPlace(t *testing.T) {
	d := New(&device{size: 1 << 30, bad: map[int64]bool{7: true}}, 1<<30)
	if d.Bytes(1024, 1024) == nil || d.Bytes(8*page, 100) == nil {
		t.Error("readable places")
	}
	if d.Bytes(7*page+5, 1) != nil || !errors.Is(d.Err(), errMedium) {
		t.Errorf("unreadable place: %v", d.Err())
	}
	if d.Bytes(1024, 1024) != nil {
		t.Error("goes on after an error")
	}
	d.ClearErr()
	if d.Bytes(1024, 1024) == nil || d.Err() != nil {
		t.Error("does not go on after ClearErr")
	}
}

func TestBudget(t *testing.T) {
	d := New(&device{size: 1 << 40}, 1<<40)
	for i := uint64(1); i < 1<<20 && d.Err() == nil; i++ {
		d.Bytes(i*(8<<20), 1<<20)
	}
	if n, _ := d.Stats(); !errors.Is(d.Err(), ErrBudget) || n > Budget {
		t.Errorf("%d bytes, %v", n, d.Err())
	}
	d.ClearErr()
	if d.Err() == nil {
		t.Error("the budget can be cleared")
	}
}

// TestReaderAt: a Reader is an ordinary io.ReaderAt, and one over itself is
// itself.
func TestReaderAt(t *testing.T) {
	want := make([]byte, headLen+300<<10+77)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	d := New(bytes.NewReader(want), int64(len(want)))
	if err := iotest.TestReader(io.NewSectionReader(d, 0, int64(len(want))), want); err != nil {
		t.Error(err)
	}
	if New(d, int64(len(want))) != d || New(d, 10) == d {
		t.Error("Reader over a Reader")
	}
	if _, err := d.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("negative offset")
	}
}
