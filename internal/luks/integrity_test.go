package luks

import (
	"errors"
	"testing"

	"firstlight/internal/integrityfmt"
	"firstlight/internal/luksfmt"
)

func TestAuthenticatedCiphersInTheKernelsSpelling(t *testing.T) {
	for _, tt := range []struct{ spec, integrity, want string }{
		{"aes-xts-random", "hmac(sha256)", "capi:authenc(hmac(sha256),xts(aes))-random"},
		{"aes-xts-plain64", "hmac(sha512)", "capi:authenc(hmac(sha512),xts(aes))-plain64"},
		{"aes-gcm-random", "aead", "capi:gcm(aes)-random"},
		{"aes-ccm-random", "aead", "capi:rfc4309(ccm(aes))-random"},
		{"aegis128-random", "aead", "capi:aegis128-random"},
		{"chacha20-random", "poly1305", "capi:rfc7539(chacha20,poly1305)-random"},
		{"aes-xts-random", "none", "capi:xts(aes)-random"},
	} {
		if got, err := authenticated(tt.spec, tt.integrity); err != nil || got != tt.want {
			t.Errorf("%s with %s: %s, %v, want %s", tt.spec, tt.integrity, got, err, tt.want)
		}
	}
	for _, bad := range [][2]string{{"aes", "aead"}, {"", "aead"}, {"aes-xts-random", "crc32c"}} {
		if got, err := authenticated(bad[0], bad[1]); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: %s, %v", bad, got, err)
		}
	}
}

func TestTablesOfAnAuthenticatedVolume(t *testing.T) {
	h := &luksfmt.Header{Version: 2, UUID: "0a1b2c3d-0001-4002-8003-aabbccddeeff", Segments: []luksfmt.Segment{{Type: "crypt", Offset: 1 << 20,
		Encryption: "aes-xts-random", SectorSize: 4096, Integrity: "hmac(sha256)"}}}
	sb := &integrityfmt.Superblock{TagSize: 48, Sectors: 8192, BlockSize: 4096}
	key := &VolumeKey{key: make([]byte, 96)}
	o := MapOptions{Device: "8:1", DeviceSize: 16 << 20, Key: key.KeyringRef(h), AllowDiscards: true}
	below, err := IntegrityTable(h, sb, o)
	if err != nil || below[0].String() != "0 8192 integrity 8:1 2048 48 J 1 block_size:4096" {
		t.Errorf("%v, %v", below, err)
	}
	over, err := AuthenticatedTable(h, sb, o)
	if want := "0 8192 crypt capi:authenc(hmac(sha256),xts(aes))-random :96:logon:cryptsetup:" + h.UUID + "-d0 0 8:1 0 2 integrity:48:aead sector_size:4096"; err != nil || over[0].String() != want {
		t.Errorf("%v, %v, want %s", over, err, want)
	}
	if got := IntegrityDMUUID(h, "cr"); got != "CRYPT-SUBDEV-0a1b2c3d000140028003aabbccddeeff-cr_dif" {
		t.Error(got)
	}
	sb.Sectors = 1 << 30
	if _, err := IntegrityTable(h, sb, o); !errors.Is(err, luksfmt.ErrCorrupt) {
		t.Errorf("more sectors than the device has: %v", err)
	}
}
