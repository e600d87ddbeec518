package zfslabel

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"firstlight/internal/sim/content"
)

const big = 64 << 20

// sparse is a device of which only some pieces are not zero.
type sparse struct {
	pieces []content.Piece
	size   int64
}

func (s sparse) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > s.size {
		return 0, io.EOF
	}
	clear(p)
	for _, x := range s.pieces {
		if from, to := max(at, x.At), min(at+int64(len(p)), x.At+int64(len(x.Data))); from < to {
			copy(p[from-at:to-at], x.Data[from-x.At:to-x.At])
		}
	}
	return len(p), nil
}

var mirror = content.ZVdev{Type: "mirror", GUID: 50, Children: []content.ZVdev{{Type: "disk", GUID: 51, Path: "/dev/a"}, {Type: "disk", GUID: 52, Path: "/dev/b"}}}

func member(guid uint64, tree content.ZVdev) content.ZFS {
	return content.ZFS{Pool: "tank", PoolGUID: 7, Txg: 40, GUID: guid, Tops: 1, Tree: tree, HostID: 0xbab10c, HostName: "host"}
}

func read(t *testing.T, c content.ZFS) *Label {
	t.Helper()
	l, err := Read(sparse{c.Pieces(big), big}, big)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Either byte order gives the same.
func TestReadGivesWhatIsWritten(t *testing.T) {
	c := member(51, mirror)
	c.Holes, c.Removal, c.Ubers, c.Tops = []uint64{1}, true, []content.ZUber{{Txg: 40, Root: 3}, {Txg: 41, Root: 4}}, 3
	want := &Label{Version: 5000, Pool: "tank", PoolGUID: 7, Txg: 40, GUID: 51, TopGUID: 50, HostID: 0xbab10c, HostName: "host", Tops: 3, Holes: []uint64{1},
		Tree: &Vdev{Type: "mirror", GUID: 50, Ashift: 12, Children: []Vdev{
			{Type: "disk", GUID: 51, Ashift: 12, Path: "/dev/a"}, {Type: "disk", ID: 1, GUID: 52, Ashift: 12, Path: "/dev/b"}}},
		Features: []string{"com.delphix:hole_birth", "com.delphix:device_removal"}, Ubers: []Uber{{41, 1700000041, 4}, {40, 1700000040, 3}}, Copies: 4}
	for _, c.Big = range []bool{false, true} {
		if got := read(t, c); !reflect.DeepEqual(got, want) {
			t.Errorf("big %t:\n%+v, want\n%+v", c.Big, got, want)
		}
	}
	if l := read(t, c); !l.Removed() || l.Newest() != 41 {
		t.Errorf("%t, %d", l.Removed(), l.Newest())
	}
}

// What is damaged does not count, and a label that was not written last neither.
func TestNewestWholeLabelCounts(t *testing.T) {
	old, c := member(51, mirror), member(51, mirror)
	old.Txg, old.Pool = 39, "before"
	pieces := append(c.Pieces(big)[:1], old.Pieces(big)[1:]...)
	if l, err := Read(sparse{pieces, big}, big); err != nil || l.Pool != "tank" || l.Copies != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	pieces[0].Data[100] ^= 1
	if l, err := Read(sparse{pieces, big}, big); err != nil || l.Pool != "before" || l.Copies != 3 {
		t.Errorf("%+v, %v", l, err)
	}
	for i := range pieces {
		pieces[i].Data[200] ^= 1
	}
	if _, err := Read(sparse{pieces, big}, big); !errors.Is(err, ErrNoLabel) {
		t.Error(err)
	}
	if _, err := Read(sparse{nil, 1 << 19}, 1<<19); !errors.Is(err, ErrNoLabel) {
		t.Error(err)
	}
	// A label from another place is none: its checksum says where it was.
	moved := c.Pieces(big)[:1]
	moved[0].At += zfsBlock
	if _, err := Read(sparse{moved, big}, big); !errors.Is(err, ErrNoLabel) {
		t.Error(err)
	}
}

const zfsBlock = 256 << 10

// testdata has the labels of devices of pools that zpool made, and what zdb -l
// says of them is in the test of the layouts (test/disks).
func TestRealLabels(t *testing.T) {
	for _, x := range []struct {
		file, pool, kind string
		leaves           int
		parity           uint64
	}{{"mirror.gz", "pmirror", "mirror", 2, 0}, {"raidz.gz", "praidz", "raidz", 3, 1}} {
		l, err := Read(real(t, x.file), uint64(realSize))
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if l.Pool != x.pool || l.Tree.Type != x.kind || len(l.Tree.Children) != x.leaves || l.Tree.Parity != x.parity || l.Copies != 4 ||
			l.State != Exported || l.Tops != 1 || len(l.Ubers) < 3 || l.Newest() < l.Txg || l.Tree.find(l.GUID) == nil {
			t.Errorf("%s: %+v", x.file, l)
		}
	}
}

// realSize is that of the partitions whose labels are in testdata: the two at the
// start, and the two at the end.
const realSize = 126 << 20

func real(t testing.TB, name string) sparse {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil || len(b) != 4*Size {
		t.Fatal(err, len(b))
	}
	return sparse{[]content.Piece{{At: 0, Data: b[:2*Size]}, {At: realSize - 2*Size, Data: b[2*Size:]}}, realSize}
}

// FuzzParse reads lists of properties as if their checksum were right, and rings of
// uberblocks.
func FuzzParse(f *testing.F) {
	f.Add(member(51, mirror).Pieces(big)[0].Data[:2048])
	f.Add(real(f, "raidz.gz").pieces[0].Data[16<<10:][:2048])
	ring := make([]byte, ringSize)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > listSize-sealSize {
			return
		}
		l, err := parse(b)
		if err != nil || l.Tree == nil {
			return
		}
		// Nothing comes out of it that is not there: a vdev takes more bytes than one.
		if n := nodes(l.Tree); n > len(b) {
			t.Errorf("%d vdevs of %d bytes", n, len(b))
		}
		copy(ring, b)
		l.addRing(ring, 0)
		p := Assemble([]Member{{"/dev/a", l}, {"/dev/b", l}})
		if p.Twins[0] == "" || len(p.Missing) > len(b) || len(p.Unknown) > maxTops {
			t.Errorf("%+v", p)
		}
	})
}

func nodes(v *Vdev) int {
	n := 1
	for i := range v.Children {
		n += nodes(&v.Children[i])
	}
	return n
}
