package blkid

import (
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lender lends memory and spoils what is given back.
type lender struct {
	io.ReaderAt
	lent, back int
}

func (l *lender) Borrow(n int) []byte {
	l.lent++
	return slices.Repeat([]byte{0xa5}, n)
}

func (l *lender) Return(b []byte) {
	l.back++
	for i := range b {
		b[i] = 0x5a
	}
}

// What a probe found does not live in the memory that the device has lent it,
// and all of that is given back.
func TestLentMemoryIsGivenBackAndNotUsedAfterwards(t *testing.T) {
	for _, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			m := f.image(t)
			want, err := Probe(m, m.size)
			if err != nil {
				t.Fatal(err)
			}
			l := &lender{ReaderAt: m}
			got, err := Probe(l, m.size)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(Result{})); d != "" {
				t.Error(d)
			}
			if l.lent != l.back || l.lent == 0 {
				t.Errorf("%d pieces lent, %d given back", l.lent, l.back)
			}
		})
	}
}
