package btrfsfmt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"firstlight/internal/testtool"
)

// made is a filesystem of mkfs.btrfs on as many devices, of which the newest kernel
// takes any profile.
func made(t *testing.T, devices int, args ...string) map[uint64]io.ReaderAt {
	t.Helper()
	testtool.Need(t, "mkfs.btrfs")
	dir := t.TempDir()
	argv := append([]string{"-q", "-f"}, args...)
	list := map[uint64]io.ReaderAt{}
	for i := range devices {
		name := filepath.Join(dir, fmt.Sprint("d", i))
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if err := f.Truncate(300 << 20); err != nil {
			t.Fatal(err)
		}
		argv, list[uint64(i+1)] = append(argv, name), f
	}
	if out, err := exec.Command(testtool.Path("mkfs.btrfs"), argv...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs %q: %v\n%s", args, err, out)
	}
	return list
}

// A filesystem is given up when a chunk lacks more devices than its profile can do
// without, and only then.
func TestWhatABtrfsCanDoWithout(t *testing.T) {
	for _, c := range []struct {
		data, meta string
		devices    int
		missing    []uint64
		lost       bool
	}{
		{"raid1", "raid1", 2, nil, false},
		{"raid1", "raid1", 2, []uint64{1}, false},
		{"raid1", "raid1", 2, []uint64{2}, false},
		{"single", "raid1", 2, []uint64{1}, true}, // what mkfs makes of its own accord
		{"single", "raid1", 2, nil, false},
		{"raid0", "raid1", 2, []uint64{2}, true},
		{"raid1", "raid1", 3, []uint64{1}, false},
		{"raid1c3", "raid1c3", 3, []uint64{1, 3}, false},
		{"raid1c4", "raid1c4", 4, []uint64{1, 2, 4}, false},
		{"raid10", "raid10", 4, []uint64{1}, false},
		{"raid10", "raid10", 4, []uint64{4}, false},
		{"raid5", "raid1", 3, []uint64{2}, false},
		{"raid5", "raid1c3", 3, []uint64{2, 3}, true},
		{"raid6", "raid1c3", 4, []uint64{2, 3}, false},
		{"raid0", "raid0", 2, nil, false},
	} {
		t.Run(fmt.Sprintf("%s,%s,%v", c.data, c.meta, c.missing), func(t *testing.T) {
			list := made(t, c.devices, "-d", c.data, "-m", c.meta)
			for _, n := range c.missing {
				delete(list, n)
			}
			if lost, err := Lost(list); lost != c.lost || err != nil {
				t.Errorf("lost %v, %v", lost, err)
			}
		})
	}
}

// What cannot be read is not known, and nobody is told that all is there.
func TestChunkTreeThatCannotBeRead(t *testing.T) {
	list := made(t, 2, "-d", "raid0", "-m", "raid0")
	delete(list, 1)
	if lost, err := Lost(list); err == nil && !lost {
		t.Error("nothing is lost")
	}
	// It would have to be computed from the others: the kernel is to say.
	list = made(t, 3, "-d", "raid5", "-m", "raid5")
	delete(list, 1)
	if lost, err := Lost(list); lost || err != nil {
		t.Errorf("lost %v, %v", lost, err)
	}
	if _, err := Lost(nil); err == nil {
		t.Error("no device")
	}
}

// spread is a filesystem on two devices of which one is there, with one chunk of a
// kind that is on both.
func spread(kind uint64) []byte {
	le := binary.LittleEndian
	b := grown()
	super, leaf := b[superAt:], b[0x24000:][:4096]
	le.PutUint64(super[0xa4:], 7)
	le.PutUint64(leaf[0x50:], 7)
	le.PutUint32(leaf[0x60:], 1)
	le.PutUint64(super[0x32b+17+16:], 64<<10)
	item := leaf[nodeHead:]
	item[8] = 0xe4
	le.PutUint32(item[17:], 2000)
	le.PutUint32(item[21:], 48+64)
	chunk := leaf[nodeHead+2000:]
	le.PutUint64(chunk[24:], kind)
	le.PutUint16(chunk[44:], 2)
	le.PutUint64(chunk[48:], 2)
	le.PutUint64(chunk[48+32:], 1)
	seal(leaf)
	return b
}

func seal(node []byte) {
	binary.LittleEndian.PutUint32(node, crc32.Checksum(node[32:], crc32.MakeTable(crc32.Castagnoli)))
}

func TestDamagedChunkTrees(t *testing.T) {
	le := binary.LittleEndian
	for name, change := range map[string]func(b, leaf []byte){
		"check sum": func(_, leaf []byte) { leaf[200]++ },
		"older":     func(_, leaf []byte) { le.PutUint64(leaf[0x50:], 6); seal(leaf) },
		"elsewhere": func(_, leaf []byte) { le.PutUint64(leaf[0x30:], 6); seal(leaf) },
		"leads to itself": func(_, leaf []byte) {
			leaf[0x64] = 1
			le.PutUint64(leaf[nodeHead+17:], 0x5004000)
			le.PutUint64(leaf[nodeHead+25:], 7)
			seal(leaf)
		},
		"too high":        func(_, leaf []byte) { leaf[0x64] = 8; seal(leaf) },
		"more items":      func(_, leaf []byte) { le.PutUint32(leaf[0x60:], 1<<30); seal(leaf) },
		"chunk outside":   func(_, leaf []byte) { le.PutUint32(leaf[nodeHead+17:], 4000); seal(leaf) },
		"stripes outside": func(_, leaf []byte) { le.PutUint16(leaf[nodeHead+2000+44:], 60000); seal(leaf) },
		"size of a node":  func(b, _ []byte) { le.PutUint32(b[superAt+0x94:], 1<<30) },
		"stripes of nothing": func(b, _ []byte) {
			le.PutUint64(b[superAt+0x32b+17+24:], raid0)
			le.PutUint64(b[superAt+0x32b+17+16:], 0)
		},
		"halves of nothing": func(b, _ []byte) { le.PutUint64(b[superAt+0x32b+17+24:], raid10) },
	} {
		b := spread(raid1)
		change(b, b[0x24000:][:4096])
		if lost, err := Lost(map[uint64]io.ReaderAt{2: readerAt(b)}); err == nil {
			t.Errorf("%s: lost %v", name, lost)
		}
	}
	for kind, want := range map[uint64]bool{raid1: false, 0: true, raid0: true, 1 << 5: true, raid6: false} {
		if lost, err := Lost(map[uint64]io.ReaderAt{2: readerAt(spread(kind))}); lost != want || err != nil {
			t.Errorf("kind %#x: lost %v, %v", kind, lost, err)
		}
	}
}

// readerAt reads bytes.
type readerAt []byte

func (b readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(b)) {
		return 0, io.EOF
	}
	if n := copy(p, b[off:]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

func FuzzLost(f *testing.F) {
	f.Add(spread(raid1)[superAt:][:0x1000], spread(raid1)[0x24000:][:0x1000], true)
	f.Fuzz(func(t *testing.T, super, leaf []byte, sealed bool) {
		b := spread(raid1)
		copy(b[superAt:], super)
		copy(b[0x24000:], leaf)
		if sealed {
			seal(b[0x24000:][:4096])
		}
		Lost(map[uint64]io.ReaderAt{2: readerAt(b), 1: readerAt(b)})
	})
}
