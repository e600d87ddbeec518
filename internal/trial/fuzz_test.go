package trial

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// What comes from a guest may be anything.
func FuzzGuest(f *testing.F) {
	for _, s := range []string{switched, refused, head + screen, "Passphrase for /dev/vda (a): ", head + "12 monkeys\n", ""} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, said []byte, cut uint8) {
		text := ours(bytes.ReplaceAll(said, []byte("\r\n"), []byte("\n")))
		if !bytes.HasPrefix(bytes.ReplaceAll(said, []byte("\r\n"), []byte("\n")), text) {
			t.Fatalf("%q is not the beginning of %q", text, said)
		}
		if !bytes.Equal(ours(text), text) {
			t.Fatalf("%q becomes %q", text, ours(text))
		}
		handed := handedOver(text)
		res := judge(text, "", false, time.Second)
		if handed != (res.State == Started) {
			t.Fatalf("handed over %v, and the verdict is %s", handed, res.State)
		}
		res.Explanation()
		// However the output is cut into pieces, the same is typed.
		var whole, pieces bytes.Buffer
		w := typist{out: io.Discard, keys: &whole, secret: []byte("s")}
		p := typist{out: io.Discard, keys: &pieces, secret: []byte("s")}
		w.Write(said)
		for chunk := said; len(chunk) > 0; {
			n := min(len(chunk), int(cut)+1)
			p.Write(chunk[:n])
			chunk = chunk[n:]
		}
		if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
			t.Fatalf("typed %q, and in pieces %q", whole.Bytes(), pieces.Bytes())
		}
	})
}
