package luksfmt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// metadata is a complete JSON area; tests replace parts of it.
const metadata = `{"keyslots":{"0":{"type":"luks2","key_size":64,"af":{"type":"luks1","stripes":4000,"hash":"sha256"},
"area":{"type":"raw","offset":"32768","size":"258048","encryption":"aes-xts-plain64","key_size":64},
"kdf":{"type":"argon2id","time":4,"memory":32,"cpus":1,"salt":"+nc/IUC0e/NTMKLnSUqqB3LLHqiRsFJ/OvYw+lEP6eY="}}},
"tokens":{},"segments":{"0":{"type":"crypt","offset":"16777216","size":"dynamic","iv_tweak":"0",
"encryption":"aes-xts-plain64","sector_size":4096}},
"digests":{"0":{"type":"pbkdf2","keyslots":["0"],"segments":["0"],"hash":"sha256","iterations":1000,
"salt":"tKjkUCTztuPt2HIScX8jINCA3hBgSEceJOabGjyE4fc=","digest":"CBdynoLR54bbnA3cLy5FWLsqoFhWZHdF/q7a7jULM7U="}},
"config":{"json_size":"12288","keyslots_size":"16744448"}}`

// image makes a header with both copies, its checksums right.
func image(json string) []byte {
	b := make([]byte, 64<<10)
	for i, magic := range []string{magicPrimary, magicSecondary} {
		c := b[i*16384 : (i+1)*16384]
		copy(c, magic)
		be.PutUint16(c[6:], 2)
		be.PutUint64(c[offHdrSize:], 16384)
		be.PutUint64(c[offSeqID:], 3)
		copy(c[offCsumAlg:], "sha256")
		copy(c[offUUID:], "0c1bd4a5-6d36-4b8b-9d53-1ad5e5f3b0a1")
		be.PutUint64(c[offHdrOffset:], uint64(i*16384))
		copy(c[luks2BinarySize:], json)
		sum := sha256.Sum256(c)
		copy(c[offCsum:], sum[:])
	}
	return b
}

func TestRead(t *testing.T) {
	h, err := Read(bytes.NewReader(image(metadata)))
	if err != nil {
		t.Fatal(err)
	}
	if h.Version != 2 || h.SeqID != 3 || h.Size != 16384 || len(h.Keyslots) != 1 || h.Keyslots[0].KDF.Memory != 32 ||
		h.Keyslots[0].Priority != Normal || len(h.Digests[0].Digest) != 32 || len(h.Problems) != 0 {
		t.Errorf("%+v", h)
	}
	if s, err := h.DataSegment(); err != nil || s.Offset != 16<<20 || s.Size != Dynamic || s.SectorSize != 4096 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestContradictionsAreNamed(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{`"key_size":64,"af"`, `"key_size":0,"af"`, `keyslots 0: "key_size"`},
		{`"key_size":64,"af"`, `"key_size":1000000,"af"`, `keyslots 0: "key_size"`},
		{`"stripes":4000`, `"stripes":4000000000`, `"stripes"`},
		{`"offset":"32768"`, `"offset":"4096"`, "lies in the header"},
		{`"offset":"32768"`, `"offset":"-1"`, `"offset" is "-1"`},
		{`"offset":"32768"`, `"offset":"9223372036854775296"`, "area at"},
		{`"size":"258048"`, `"size":"4096"`, "key material in an area of 4096"},
		{`"time":4`, `"time":0`, `"time"`},
		{`"cpus":1`, `"cpus":256`, `"cpus"`},
		{`"memory":32`, `"memory":"32"`, `"memory" is string, not number`},
		{`"sector_size":4096`, `"sector_size":1000`, "sector size 1000"},
		{`"size":"dynamic"`, `"size":"0"`, "size 0"},
		{`"size":"dynamic"`, `"size":"513"`, "size 513"},
		{`"offset":"16777216"`, `"offset":"16777217"`, "offset 16777217"},
		{`"iv_tweak":"0",`, ``, `"iv_tweak" is nothing`},
		{`aes-xts-plain64","sector`, `aes xts","sector`, `"encryption"`},
		{`"tokens":{}`, `"tokens":[]`, `"tokens" is array, not object`},
		{`"tokens":{},`, ``, `"tokens" is nothing`},
		{`"tokens":{}`, `"tokens":{"x":{}}`, `"tokens" has object "x"`},
		{`"tokens":{}`, `"tokens":{"01":{}}`, `"tokens" has object "01"`},
		{`"12288"`, `"12289"`, "json_size is 12289"},
		{`"iterations":1000`, `"iterations":1e3`, `"iterations"`},
		{`"digest":"CBdynoLR54bbnA3cLy5FWLsqoFhWZHdF/q7a7jULM7U="`, `"digest":"AAAA"`, "digest of 3 bytes"},
		{`"segments":["0"]`, `"segments":["0","0"]`, "or twice"},
		{`"type":"raw"`, `"type":"cooked"`, `area type "cooked"`},
		{`"config"`, `"config":{},"config"`, "duplicate key"},
		{metadata, strings.Repeat("[", 12000), "nested too deeply"},
		{metadata, strings.Repeat("x", 12288), "not terminated"},
	} {
		if !strings.Contains(metadata, tt.old) {
			t.Fatalf("%q is not in the metadata", tt.old)
		}
		_, err := Read(bytes.NewReader(image(strings.Replace(metadata, tt.old, tt.new, 1))))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40s: %v, want %s", tt.new, err, tt.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{`"keyslots_size":"16744448"`, `"keyslots_size":"0","requirements":{"mandatory":["online-reencrypt-v2"]}`, "re-encryption is under way"},
		{`"keyslots_size":"16744448"`, `"keyslots_size":"0","requirements":{"mandatory":["offline-reencrypt"]}`, "re-encryption is under way"},
		{`"keyslots_size":"16744448"`, `"keyslots_size":"0","requirements":{"mandatory":["opal"]}`, "drive encrypts"},
		{`"keyslots_size":"16744448"`, `"keyslots_size":"0","requirements":{"mandatory":["inline-hw-tags"]}`, "integrity tags"},
		{`"keyslots_size":"16744448"`, `"keyslots_size":"0","requirements":{"mandatory":["flux-v9"]}`, `unknown requirement "flux-v9"`},
		{`"type":"crypt"`, `"type":"linear"`, `type "linear"`},
		{`"type":"crypt"`, `"type":"hw-opal-crypt"`, "drive encrypts"},
		{`"size":"dynamic"`, `"size":"dynamic","flags":["in-reencryption"]`, "in-reencryption"},
		{`"segments":{"0"`, `"segments":{"1":{"type":"linear","offset":"0","size":"512"},"0"`, "2 segments"},
	} {
		h, err := Read(bytes.NewReader(image(strings.Replace(metadata, tt.old, tt.new, 1))))
		if err != nil {
			t.Errorf("%s: %v", tt.new, err)
			continue
		}
		if err := h.Refusal(); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.new, err, tt.want)
		}
		if len(h.TryOrder()) != 0 {
			t.Errorf("%s: keyslots are tried all the same", tt.new)
		}
	}
}

// A keyslot type from the future is kept, and is no reason to fail.
func TestUnknownKeyslotTypeIsPassedOver(t *testing.T) {
	h, err := Read(bytes.NewReader(image(strings.Replace(metadata, `"keyslots":{`, `"keyslots":{"1":{"type":"quantum"},`, 1))))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Keyslots) != 2 || h.Keyslots[1].Type != "quantum" || len(h.TryOrder()) != 1 {
		t.Errorf("%+v", h.Keyslots)
	}
}

func TestCopiesOfDifferentVolumesAreRefused(t *testing.T) {
	b := image(metadata)
	c := b[16384:32768]
	c[offUUID] = '9'
	clear(c[offCsum : offCsum+csumSize])
	sum := sha256.Sum256(c)
	copy(c[offCsum:], sum[:])
	if _, err := Read(bytes.NewReader(b)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "different UUIDs") {
		t.Error(err)
	}
}

func TestNoLUKS(t *testing.T) {
	for _, n := range []int{0, 1, 511, 4096, 1 << 20} {
		if _, err := Read(bytes.NewReader(make([]byte, n))); !errors.Is(err, ErrNoLUKS) {
			t.Errorf("%d zero bytes: %v", n, err)
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	b := image(metadata)
	for _, n := range []int{8, 512, 592, 4095, 4096, 16383, 16384, 16392, 20480, 32767} {
		h, err := Read(bytes.NewReader(b[:n]))
		if n < 16384 {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes: %v", n, err)
			}
		} else if err != nil || len(h.Problems) != 1 {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

type badSectors struct {
	io.ReaderAt
	upTo int64
}

var errIO = errors.New("input/output error")

func (r badSectors) ReadAt(p []byte, off int64) (int, error) {
	if off < r.upTo {
		return 0, errIO
	}
	return r.ReaderAt.ReadAt(p, off)
}

func TestUnreadableSectors(t *testing.T) {
	r := bytes.NewReader(image(metadata))
	h, err := Read(badSectors{r, 16384})
	if err != nil || h.Copy != Secondary || len(h.Problems) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := Read(badSectors{r, 1 << 40}); !errors.Is(err, errIO) {
		t.Errorf("nothing can be read: %v", err)
	}
}

func luks1() []byte {
	b := make([]byte, 4096)
	copy(b, magicPrimary)
	be.PutUint16(b[6:], 1)
	copy(b[luks1Cipher:], "aes")
	copy(b[luks1Mode:], "xts-plain64")
	copy(b[luks1Hash:], "sha256")
	copy(b[luks1UUID:], "0c1bd4a5-6d36-4b8b-9d53-1ad5e5f3b0a1")
	be.PutUint32(b[luks1Payload:], 4096)
	be.PutUint32(b[luks1KeyBytes:], 64)
	be.PutUint32(b[luks1DigestIter:], 1000)
	for i := range luks1Slots {
		s := b[luks1FirstSlot+i*luks1SlotSize:]
		be.PutUint32(s, luks1Disabled)
	}
	s := b[luks1FirstSlot+2*luks1SlotSize:]
	be.PutUint32(s, luks1Enabled)
	be.PutUint32(s[4:], 1000)
	be.PutUint32(s[40:], 8)
	be.PutUint32(s[44:], 4000)
	return b
}

func TestLUKS1(t *testing.T) {
	h, err := Read(bytes.NewReader(luks1()))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Keyslots) != 1 || h.Keyslots[0].ID != 2 || h.Keyslots[0].Offset != 4096 || h.Segments[0].Offset != 2<<20 ||
		h.Keyslots[0].Encryption != "aes-xts-plain64" || len(h.TryOrder()) != 1 {
		t.Errorf("%+v", h)
	}
	slot := luks1FirstSlot + 2*luks1SlotSize
	for name, f := range map[string]func(b []byte){
		"key size 0":      func(b []byte) { be.PutUint32(b[luks1KeyBytes:], 0) },
		"key size huge":   func(b []byte) { be.PutUint32(b[luks1KeyBytes:], 1<<30) },
		"digest iter 0":   func(b []byte) { be.PutUint32(b[luks1DigestIter:], 0) },
		"slot state":      func(b []byte) { be.PutUint32(b[slot:], 7) },
		"slot iterations": func(b []byte) { be.PutUint32(b[slot+4:], 0) },
		"slot stripes":    func(b []byte) { be.PutUint32(b[slot+44:], 1<<31) },
		"slot in header":  func(b []byte) { be.PutUint32(b[slot+40:], 0) },
		"slot in data":    func(b []byte) { be.PutUint32(b[slot+40:], 4090) },
		"cipher binary":   func(b []byte) { b[luks1Cipher] = 0xff },
		"cipher no end":   func(b []byte) { copy(b[luks1Cipher:], bytes.Repeat([]byte("a"), 32)) },
		"cut":             nil,
	} {
		b := luks1()
		if f == nil {
			b = b[:500]
		} else {
			f(b)
		}
		if _, err := Read(bytes.NewReader(b)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(image(metadata)[:34<<10])
	f.Add(luks1())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := Read(bytes.NewReader(b)); err == nil {
			check(t, h)
		}
	})
}

// FuzzMetadata reaches what lies behind the checksum.
func FuzzMetadata(f *testing.F) {
	f.Add(metadata)
	f.Add(strings.Replace(metadata, `"config":{`, `"config":{"flags":["allow-discards"],"requirements":{"mandatory":["x"]},`, 1))
	f.Fuzz(func(t *testing.T, json string) {
		if len(json) > 12287 || strings.IndexByte(json, 0) >= 0 {
			return
		}
		if h, err := Read(bytes.NewReader(image(json))); err == nil {
			check(t, h)
		}
	})
}

// check states what everybody may rely on.
func check(t *testing.T, h *Header) {
	for _, k := range h.Keyslots {
		if k.Type != "luks2" {
			continue
		}
		if k.KeySize < 1 || k.KeySize > maxKeySize || k.MaterialSize() > maxMaterial || k.Offset < 0 || k.KDF.Salt == nil {
			t.Errorf("keyslot %+v", k)
		}
	}
	for _, k := range h.TryOrder() {
		if k.Type != "luks2" || k.Priority == Ignore {
			t.Errorf("tried: %+v", k)
		}
	}
	if s, err := h.DataSegment(); err == nil {
		if s.SectorSize < 512 || s.SectorSize > 4096 || s.Offset%512 != 0 || !printable([]byte(s.Encryption)) {
			t.Errorf("segment %+v", s)
		}
	} else if !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if r, err := h.Reencryption(); err == nil {
		r.Statement(nil, []byte{1})
	} else if !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	_ = fmt.Sprint(h)
}
