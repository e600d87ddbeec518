package vconsole

import (
	"bytes"
	"testing"
)

func TestTableIsReadAsWritten(t *testing.T) {
	calls := []Call{
		{Request: 1, Value: 3},
		{Request: 2, Args: []byte("abcdefgh"), Size: 4},
		{Request: 3, Args: make([]byte, 16), Size: 16, At: 8, Data: []byte("glyphs")},
	}
	var b []byte
	for _, c := range calls {
		b = Append(b, c)
	}
	for _, want := range calls {
		c, rest, ok := Next(b)
		if !ok || c.Request != want.Request || c.Value != want.Value || c.Size != want.Size || c.At != want.At || !bytes.Equal(c.Args, want.Args) || !bytes.Equal(c.Data, want.Data) {
			t.Fatalf("%+v, want %+v", c, want)
		}
		b = rest
	}
	if _, _, ok := Next(b); ok {
		t.Error("a call after the last")
	}
}

// A damaged list ends where it is damaged, and no argument is shorter than the
// kernel takes it for.
func FuzzNext(f *testing.F) {
	f.Add(Append(nil, Call{Request: 3, Args: make([]byte, 16), Size: 16, At: 8, Data: []byte("glyphs")}))
	f.Add(Append(nil, Call{Request: 2, Args: []byte("abcdefgh"), Size: 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			c, rest, ok := Next(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) || len(c.Args) > 0 && len(c.Args)%int(c.Size) != 0 || len(c.Data) > 0 && len(c.Args) > 0 && int(c.At)+8 > int(c.Size) {
				t.Fatalf("%+v of %x", c, b)
			}
			b = rest
		}
	})
}
