package luks

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	stdpbkdf2 "crypto/pbkdf2"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	"firstlight/internal/luksfmt"
	"firstlight/internal/luksfmt/hashname"

	"golang.org/x/crypto/xts"
)

func TestPBKDF2EqualsTheStandardLibrary(t *testing.T) {
	for _, name := range []string{"sha1", "sha224", "SHA256", "sha384", "sha512", "ripemd160", "rmd160", "blake2b-160", "blake2b-256", "blake2b-384", "blake2b-512"} {
		h, err := hashname.New(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 20, 32, 64, 100} {
			for _, pw := range []string{"", "x", strings.Repeat("long", 50)} {
				want, err := stdpbkdf2.Key(func() hash.Hash { return h() }, pw, []byte("salt"), 7, size)
				if err != nil {
					t.Fatal(err)
				}
				got, err := pbkdf2(t.Context(), nil, name, []byte(pw), []byte("salt"), 7, size)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s %d %q: %x, %v, want %x", name, size, pw, got, err, want)
				}
			}
		}
	}
	// RFC 6070's third vector.
	got, err := pbkdf2(t.Context(), nil, "sha1", []byte("password"), []byte("salt"), 4096, 20)
	if err != nil || hex.EncodeToString(got) != "4b007901b765489abead49d926f721d065a429c1" {
		t.Errorf("%x, %v", got, err)
	}
}

func TestPBKDF2IsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pbkdf2(ctx, nil, "sha256", nil, []byte("salt"), 1<<31-1, 32); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestModesEqualTheStandardLibrary(t *testing.T) {
	key := make([]byte, 64)
	for i := range key {
		key[i] = byte(i * 7)
	}
	plain := make([]byte, 3*512)
	for i := range plain {
		plain[i] = byte(i * 13)
	}
	x, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(plain)
	for n := range 3 {
		x.Encrypt(data[n*512:(n+1)*512], data[n*512:(n+1)*512], uint64(n))
	}
	s, err := newSectors("aes-xts-plain64", 64, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.decrypt(data, key); err != nil || !bytes.Equal(data, plain) {
		t.Error("xts", err)
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"aes-cbc-plain", "aes-cbc-plain64", "aes-cbc-plain64be", "aes-cbc-null", "aes-cbc-benbi", "aes", "aes-plain"} {
		s, err := newSectors(spec, 32, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Clone(plain)
		for n := range 3 {
			iv := make([]byte, 16)
			switch spec {
			case "aes-cbc-plain64be":
				iv[15] = byte(n)
			case "aes-cbc-benbi":
				iv[15] = byte(n<<5 + 1)
			case "aes-cbc-null":
			default:
				iv[0] = byte(n)
			}
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(data[n*512:(n+1)*512], data[n*512:(n+1)*512])
		}
		if err := s.decrypt(data, key[:32]); err != nil || !bytes.Equal(data, plain) {
			t.Error(spec, err)
		}
	}
}

func TestUnsupportedIsSaidBeforeTheSlowPart(t *testing.T) {
	for _, spec := range []string{"serpent-xts-plain64", "aes-xts-random", "aes-xts", "aes-xts-essiv:whirlpool", "aes-xts-essiv", "aes-cbc-essiv:whirlpool",
		"capi:xts(aes)-plain64", "twofish-cbc-plain", "aes-gcm-plain", "aes-lrw-benbi", "-", "aes-xts-plain64-x"} {
		if _, err := newSectors(spec, 64, nil, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if _, err := newSectors("aes-xts-plain64", 48, nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("aes-xts with 48 bytes: %v", err)
	}
	for _, h := range []string{"whirlpool", "sha3-256", "", "md5"} {
		if _, err := newSplitter(nil, h); !errors.Is(err, ErrUnsupported) {
			t.Errorf("hash %q: %v", h, err)
		}
	}
}

// kernel records what it is asked for, and "decrypts" by xor with the IV.
type kernel struct{ asked []string }

func (k *kernel) Decrypter(name string, key []byte) (Decrypter, error) {
	k.asked = append(k.asked, name)
	if strings.HasPrefix(name, "xts(camellia") {
		return nil, errors.New("not there")
	}
	return k, nil
}

func (k *kernel) Decrypt(data, iv []byte) error {
	k.asked = append(k.asked, fmt.Sprintf("%d %x", len(data), iv))
	return nil
}

func (k *kernel) Close() error { k.asked = append(k.asked, "close"); return nil }

func TestRareCiphersAreTheKernels(t *testing.T) {
	for _, tt := range []struct {
		spec string
		want string
	}{
		{"serpent-xts-plain64", "xts(serpent)|512 00000000000000000000000000000000|512 01000000000000000000000000000000|close"},
		{"twofish-cbc-essiv:sha256", "essiv(cbc(twofish),sha256)|512 00000000000000000000000000000000|512 01000000000000000000000000000000|close"},
		{"xchacha12,aes-adiantum-plain64", "adiantum(xchacha12,aes)|512 " + strings.Repeat("0", 64) + "|512 01" + strings.Repeat("0", 62) + "|close"},
		{"aes-lrw-benbi", "lrw(aes)|512 00000000000000000000000000000001|512 00000000000000000000000000000021|close"},
		{"blowfish-cbc-plain64", "cbc(blowfish)|512 0000000000000000|512 0100000000000000|close"},
		{"aes-cbc-essiv:wp256", "essiv(cbc(aes),wp256)|512 00000000000000000000000000000000|512 01000000000000000000000000000000|close"},
	} {
		k := &kernel{}
		s, err := newSectors(tt.spec, 32, k, nil)
		if err == nil {
			err = s.decrypt(make([]byte, 1024), make([]byte, 32))
		}
		if got := strings.Join(k.asked, "|"); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.spec, got, err, tt.want)
		}
	}
	s, err := newSectors("camellia-xts-plain64", 64, &kernel{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.decrypt(make([]byte, 512), make([]byte, 64)); err == nil || !strings.Contains(err.Error(), "xts(camellia)") {
		t.Error(err)
	}
}

// header is one that needs no cryptsetup; its digest fits no key.
func header(k luksfmt.KDF) *luksfmt.Header {
	return &luksfmt.Header{Version: 2, UUID: "0c1bd4a5-6d36-4b8b-9d53-1ad5e5f3b0a1",
		Keyslots: []luksfmt.Keyslot{{Type: "luks2", KeySize: 64, Priority: luksfmt.Normal, AFHash: "sha256", Stripes: 4,
			Encryption: "aes-xts-plain64", AreaKeySize: 64, AreaSize: 4096, KDF: k}},
		Digests:  []luksfmt.Digest{{Keyslots: []int{0}, Segments: []int{0}, Hash: "sha256", Iterations: 1, Salt: []byte("s"), Digest: make([]byte, 32)}},
		Segments: []luksfmt.Segment{{Type: "crypt", Offset: 16 << 20, Encryption: "aes-xts-plain64", SectorSize: 512}}}
}

func TestMemoryIsBounded(t *testing.T) {
	freed := 0
	area := bytes.NewReader(make([]byte, 8192))
	h := header(luksfmt.KDF{Type: "argon2id", Salt: []byte("saltsalt"), Time: 1, Memory: 1 << 20, CPUs: 4})
	_, err := Open(t.Context(), h, area, []byte("x"), Options{MemAvailable: func() uint64 { return 512 << 20 }, FreeMemory: func() { freed++ }})
	var m *MemoryError
	if !errors.As(err, &m) || m.Need != 1<<30 || m.Available != 512<<20 || errors.Is(err, ErrWrongPassphrase) ||
		!strings.Contains(err.Error(), "keyslot 0: its argon2 key derivation needs 1024 MiB of memory, 512 MiB are available") {
		t.Error(err)
	}
	h.Keyslots[0].KDF.Memory = 1 << 30
	if _, err := Open(t.Context(), h, area, []byte("x"), Options{}); !errors.As(err, &m) || m.Available != 0 {
		t.Error(err)
	}
	if freed != 0 {
		t.Error("memory is given back that was not taken")
	}
	// A second slot that fits is still tried, and both are told.
	k := h.Keyslots[0]
	k.ID, k.KDF.Memory = 1, 64
	h.Keyslots = append(h.Keyslots, k)
	h.Digests[0].Keyslots = []int{0, 1}
	_, err = Open(t.Context(), h, area, []byte("x"), Options{FreeMemory: func() { freed++ }})
	if !errors.Is(err, ErrWrongPassphrase) || !errors.As(err, &m) || freed != 1 {
		t.Errorf("%v, freed %d times", err, freed)
	}
	h.Keyslots = h.Keyslots[:1]
	h.Keyslots[0].KDF.Type = "scrypt"
	if _, err := Open(t.Context(), h, area, nil, Options{}); !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrWrongPassphrase) {
		t.Error(err)
	}
}

func TestNullCipherTakesNoPassphrase(t *testing.T) {
	h := header(luksfmt.KDF{Type: "pbkdf2", Hash: "sha256", Iterations: 1, Salt: []byte("s")})
	h.Keyslots[0].Encryption = "cipher_null-ecb"
	key := make([]byte, 64) // what four stripes of zeros merge to
	s, err := newSplitter(nil, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	copy(key, s.merge(make([]byte, 256), 64, 4))
	if h.Digests[0].Digest, err = pbkdf2(t.Context(), nil, "sha256", key, []byte("s"), 1, 32); err != nil {
		t.Fatal(err)
	}
	area := bytes.NewReader(make([]byte, 8192))
	if k, err := Open(t.Context(), h, area, nil, Options{}); err != nil || !bytes.Equal(k.Bytes(), key) {
		t.Errorf("empty passphrase: %v", err)
	}
	if _, err := Open(t.Context(), h, area, []byte("secret"), Options{}); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a planted null keyslot takes any passphrase: %v", err)
	}
}

func TestTable(t *testing.T) {
	h := header(luksfmt.KDF{})
	vk := &VolumeKey{Digest: 3, key: bytes.Repeat([]byte{1}, 64)}
	base := MapOptions{Device: "8:3", DeviceSize: 32 << 20, Key: vk.KeyringRef(h)}
	line := "crypt aes-xts-plain64 :64:logon:cryptsetup:0c1bd4a5-6d36-4b8b-9d53-1ad5e5f3b0a1-d3 0 8:3 32768"
	for _, tt := range []struct {
		name string
		f    func(h *luksfmt.Header, o *MapOptions)
		want string // beginning with "!" for an error
	}{
		{"dynamic", func(*luksfmt.Header, *MapOptions) {}, "0 32768 " + line},
		{"fixed", func(h *luksfmt.Header, _ *MapOptions) { h.Segments[0].Size = 1 << 20 }, "0 2048 " + line},
		{"header's flags", func(h *luksfmt.Header, _ *MapOptions) {
			h.Flags = []string{"allow-discards", "no-read-workqueue", "no-journal"}
		},
			"0 32768 " + line + " 2 allow_discards no_read_workqueue"},
		{"options", func(h *luksfmt.Header, o *MapOptions) {
			o.AllowDiscards, o.SameCPUCrypt, o.SubmitFromCryptCPUs, o.NoReadWorkqueue, o.NoWriteWorkqueue = true, true, true, true, true
			h.Segments[0].SectorSize = 4096
		}, "0 32768 " + line + " 6 allow_discards same_cpu_crypt submit_from_crypt_cpus no_read_workqueue no_write_workqueue sector_size:4096"},
		{"tweak", func(h *luksfmt.Header, _ *MapOptions) { h.Segments[0].IVTweak = 77 }, strings.Replace("0 32768 "+line, " 0 8:3", " 77 8:3", 1)},
		{"key in the table", func(_ *luksfmt.Header, o *MapOptions) { o.Key = vk.KeyRef() }, "0 32768 crypt aes-xts-plain64 (hidden) 0 8:3 32768"},
		{"small device", func(_ *luksfmt.Header, o *MapOptions) { o.DeviceSize = 16 << 20 }, "!beyond the device's 16777216 bytes"},
		{"shrunk device", func(h *luksfmt.Header, _ *MapOptions) { h.Segments[0].Size = 17 << 20 }, "!reach beyond the device's"},
		{"odd size", func(h *luksfmt.Header, o *MapOptions) { h.Segments[0].SectorSize = 4096; o.DeviceSize += 512 }, "!not a multiple of the 4096-byte sectors"},
		{"integrity", func(h *luksfmt.Header, _ *MapOptions) { h.Segments[0].Integrity = "hmac(sha256)" }, "!dm-integrity"},
	} {
		h := header(luksfmt.KDF{})
		o := base
		tt.f(h, &o)
		table, err := Table(h, o)
		if msg, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: %v, want %s", tt.name, err, msg)
			}
			continue
		}
		if err != nil || len(table) != 1 || table[0].String() != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.name, table, err, tt.want)
		}
		if table[0].Secret != (tt.name == "key in the table") {
			t.Errorf("%s: secret is %v", tt.name, table[0].Secret)
		}
		if err := devmapper.CheckTable(table); err != nil {
			t.Error(tt.name, err)
		}
	}
}

func TestDMUUID(t *testing.T) {
	h := header(luksfmt.KDF{})
	if got := DMUUID(h, "root"); got != "CRYPT-LUKS2-0c1bd4a56d364b8b9d531ad5e5f3b0a1-root" {
		t.Error(got)
	}
	h.Version = 1
	if got := DMUUID(h, strings.Repeat("n", 127)); len(got) != devmapper.MaxUUID || !strings.HasPrefix(got, "CRYPT-LUKS1-") {
		t.Error(got)
	}
}

func BenchmarkPBKDF2(b *testing.B) {
	for _, name := range []string{"sha1", "sha256", "sha512", "ripemd160"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := pbkdf2(b.Context(), nil, name, []byte("x"), []byte("salt"), 100000, 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
