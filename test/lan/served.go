package lan

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"

	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/initrd"
)

// SumOf stands in a command line before the path of a file of the server, for its
// SHA-256.
const SumOf = "SHA256:"

// What stands behind SumOf, before the path of a file that was packed as "verity": its
// root hash, and where the hash tree in it begins.
const (
	RootHashOf = "root-hash:"
	TreeOf     = "tree:"
)

// served puts what the server offers, and its programs, into its initramfs.
func (s Server) served(ctx context.Context, m *initrd.Image, dir string, sums map[string]string) error {
	for _, pkg := range s.Built {
		file, err := host.GoBuild(ctx, pkg, dir)
		if err != nil {
			return err
		}
		if err := m.Copy(file, "bin/"+filepath.Base(pkg), 0o755); err != nil {
			return err
		}
	}
	for i, to := range slices.Sorted(maps.Keys(s.Packed)) {
		file := filepath.Join(dir, fmt.Sprintf("served%d", i))
		if err := disks.Packed(ctx, s.Packed[to], file); err != nil {
			return err
		}
		if s.Packed[to] == "verity" {
			offset, root, err := disks.Verify(ctx, file)
			if err != nil {
				return err
			}
			sums[RootHashOf+to], sums[TreeOf+to] = root, fmt.Sprint(offset)
		}
		if s.Packed[to] == "oci" {
			if err := s.layout(m, file, to, sums); err != nil {
				return err
			}
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		sums[to] = hex.EncodeToString(sum[:])
		if err := m.Copy(file, strings.TrimPrefix(to, "/"), 0o644); err != nil {
			return err
		}
		if slices.Contains(s.Signed, to) {
			m.File(strings.TrimPrefix(to, "/")+".minisig", 0o644, []byte(minisign(b)))
		}
	}
	return nil
}

// layout puts the files of an image of layers into the initramfs. SumOf and its path is
// the SHA-256 of its index, which is what is signed.
func (s Server) layout(m *initrd.Image, dir, to string, sums map[string]string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		at := strings.TrimPrefix(to, "/") + "/" + rest
		if rest == "index.json" {
			sum := sha256.Sum256(b)
			sums[to] = hex.EncodeToString(sum[:])
			if slices.Contains(s.Signed, to) {
				m.File(at+".minisig", 0o644, []byte(minisign(b)))
			}
		}
		m.File(at, 0o644, b)
		return nil
	})
}

// signingKey is the key of the tests that images are signed with.
var signingKey = ed25519.NewKeyFromSeed([]byte("firstlight's key of test images."))

// keyNumber is its number in minisign's files.
const keyNumber = "\x01\x02\x03\x04\x05\x06\x07\x08"

// PublicKey is its public half as minisign writes it.
func PublicKey() string {
	return "untrusted comment: minisign public key\n" +
		base64.StdEncoding.EncodeToString([]byte("Ed"+keyNumber+string(signingKey.Public().(ed25519.PublicKey)))) + "\n"
}

// minisign is the signature of a file as minisign writes it.
func minisign(b []byte) string {
	sum := blake2b.Sum512(b)
	sig := ed25519.Sign(signingKey, sum[:])
	const comment = "of the tests"
	global := ed25519.Sign(signingKey, append(slices.Clone(sig), comment...))
	return "untrusted comment: signature\n" + base64.StdEncoding.EncodeToString([]byte("ED"+keyNumber+string(sig))) +
		"\ntrusted comment: " + comment + "\n" + base64.StdEncoding.EncodeToString(global) + "\n"
}
