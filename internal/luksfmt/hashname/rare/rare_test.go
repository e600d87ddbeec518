package rare

import (
	"bytes"
	libsha3 "crypto/sha3"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"

	libblake2s "golang.org/x/crypto/blake2s"

	"firstlight/internal/luksfmt/hashname"
)

// The vectors are those of the standards: ISO/IEC 10118-3, FIPS 202, RFC 7693.
func TestDigestsAreThoseOfTheStandards(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"whirlpool", "", "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a73e83be698b288febcf88e3e03c4f0757ea8964e59b63d93708b138cc42a66eb3"},
		{"wp512", "abc", "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5"},
		{"WHIRLPOOL", strings.Repeat("1234567890", 8), "466ef18babb0154d25b9d38a6414f5c08784372bccb204d6549c4afadb6014294d5bd8df2a6c44e538cd047b2681a51a2c60481e88c5a20b2c2a80cf3a9a083b"},
		{"sha3-256", "abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
		{"sha3-512", "", "a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26"},
		{"blake2s-256", "abc", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"},
	} {
		newHash, err := New(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		h := newHash()
		h.Write([]byte(tt.text))
		if got := hex.EncodeToString(h.Sum(nil)); got != tt.want {
			t.Errorf("%s of %q: %s, want %s", tt.name, tt.text, got, tt.want)
		}
	}
	if _, err := New("md5"); !errors.Is(err, hashname.ErrUnknown) {
		t.Error(err)
	}
}

// Padding has its own cases around the end of a block.
func TestPiecesGiveWhatTheWholeGives(t *testing.T) {
	for _, name := range []string{"whirlpool", "sha3-224", "sha3-384", "sha3-512", "blake2s-256"} {
		newHash, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat([]byte("firstlight "), 20)
		for n := range len(text) {
			whole, pieces := newHash(), newHash()
			whole.Write(text[:n])
			pieces.Write([]byte("what was before"))
			pieces.Reset()
			for i := range n {
				pieces.Write(text[i : i+1])
				if i == n/2 {
					pieces.Sum(nil)
				}
			}
			if !bytes.Equal(whole.Sum(nil), pieces.Sum(nil)) {
				t.Fatalf("%s of %d bytes: written in pieces they have another digest", name, n)
			}
		}
	}
}

// What the standard vectors leave out is compared with other code.
func TestLongTextsEqualTheLibraries(t *testing.T) {
	for name, other := range map[string]func() hash.Hash{
		"sha3-224": func() hash.Hash { return libsha3.New224() }, "sha3-256": func() hash.Hash { return libsha3.New256() },
		"sha3-384": func() hash.Hash { return libsha3.New384() }, "sha3-512": func() hash.Hash { return libsha3.New512() },
		"blake2s-256": func() hash.Hash { h, _ := libblake2s.New256(nil); return h },
	} {
		newHash, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			ours, theirs := newHash(), other()
			text := bytes.Repeat([]byte{byte(n), 1, 2}, n)
			ours.Write(text)
			theirs.Write(text)
			if !bytes.Equal(ours.Sum(nil), theirs.Sum(nil)) || ours.BlockSize() != theirs.BlockSize() || ours.Size() != theirs.Size() {
				t.Fatalf("%s of %d bytes differs", name, len(text))
			}
		}
	}
}
