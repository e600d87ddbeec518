package verityfmt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// made is a hash device of veritysetup's for a mebibyte of data.
func made(t *testing.T, args ...string) (tree []byte, root []byte) {
	t.Helper()
	testtool.Need(t, "veritysetup")
	dir := t.TempDir()
	data, hash, rootFile := filepath.Join(dir, "data"), filepath.Join(dir, "hash"), filepath.Join(dir, "root")
	if err := os.WriteFile(data, bytes.Repeat([]byte("firstlight 45678"), 65536), 0o600); err != nil {
		t.Fatal(err)
	}
	argv := append(append([]string{"format", "--root-hash-file", rootFile}, args...), data, hash)
	if out, err := exec.Command(testtool.Path("veritysetup"), argv...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tree, err := os.ReadFile(hash)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(rootFile)
	if err != nil {
		t.Fatal(err)
	}
	if root, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil {
		t.Fatal(err)
	}
	return tree, root
}

func TestSuperblocksOfVeritysetup(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		offset uint64
	}{
		"default":     {nil, 0},
		"sha512":      {[]string{"--hash", "sha512"}, 0},
		"sha1":        {[]string{"--hash", "sha1", "--format", "0"}, 0},
		"no salt":     {[]string{"--salt", "-"}, 0},
		"small":       {[]string{"--data-block-size", "1024", "--hash-block-size", "512"}, 0},
		"hash offset": {[]string{"--hash-offset", "8192"}, 8192},
	} {
		t.Run(name, func(t *testing.T) {
			tree, root := made(t, tt.args...)
			p, err := Read(bytes.NewReader(tree), tt.offset)
			if err != nil {
				t.Fatal(err)
			}
			if p.Blocks*uint64(p.DataBlock) != 1<<20 {
				t.Errorf("%+v", p)
			}
			if err := p.CheckRoot(bytes.NewReader(tree), root); err != nil {
				t.Error(err)
			}
			root[0] ^= 1
			if err := p.CheckRoot(bytes.NewReader(tree), root); !errors.Is(err, ErrRootHash) {
				t.Errorf("a wrong root hash: %v", err)
			}
		})
	}
}

func TestTable(t *testing.T) {
	o, err := ParseOptions("superblock=no,data-block-size=4096,hash-block-size=1024,data-blocks=256,hash-offset=1048576,salt=0a0b,hash=sha1," +
		"panic-on-corruption,ignore-zero-blocks,fec-device=/dev/sda3,fec-offset=2048,fec-roots=4,frobnicate,x-systemd.device-timeout=5")
	if err != nil || len(o.Problems) != 2 || !o.FEC.IsDevice() {
		t.Fatalf("%+v, %v", o, err)
	}
	p := o.With(nil)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	table, err := p.Table(Devices{Data: "8:1", Hash: "8:2", FEC: "8:3", HashSize: 16 << 20}, []byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	// What the error correction covers: the data, and the hash device from the
	// tree on, counted as veritysetup does.
	const want = "0 2048 verity 1 8:1 8:2 4096 1024 256 1024 sha1 0102 0a0b 10 panic_on_corruption ignore_zero_blocks " +
		"use_fec_from_device 8:3 fec_start 2 fec_blocks 3328 fec_roots 4"
	if got := table[0].String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// The superblock is no part of what it covers: figures of a table that
	// veritysetup 2.6 loaded.
	p.Superblock, p.HashBlock, p.Blocks = true, 4096, 8192
	p.FECOffset = 0
	if table, err = p.Table(Devices{Data: "8:1", Hash: "8:2", FEC: "8:3", HashSize: 16 << 20}, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	if got := table[0].String(); !strings.Contains(got, " 4096 4096 8192 257 ") || !strings.Contains(got, " fec_blocks 12031 ") {
		t.Errorf("with a superblock: %s", got)
	}
	for _, list := range []string{"data-blocks=x", "salt=zz", "superblock=perhaps", "fec-device=nonsense", "hash-offset=-1", "format=99999999999", "hash", "uuid=x/y"} {
		if _, err := ParseOptions(list); err == nil {
			t.Errorf("%s is taken", list)
		}
	}
}

func FuzzRead(f *testing.F) {
	b := make([]byte, 4096)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[offVersion:], 1)
	binary.LittleEndian.PutUint32(b[offType:], 1)
	copy(b[offAlg:], "sha256")
	binary.LittleEndian.PutUint32(b[offData:], 4096)
	binary.LittleEndian.PutUint32(b[offHash:], 4096)
	binary.LittleEndian.PutUint64(b[offBlocks:], 10)
	f.Add(b, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, offset uint64) {
		p, err := Read(bytes.NewReader(b), offset)
		if err != nil {
			return
		}
		if table, err := p.Table(Devices{Data: "8:1", Hash: "8:2"}, make([]byte, 32)); err != nil || len(table) != 1 {
			t.Errorf("%+v: %v", p, err)
		}
		p.CheckRoot(bytes.NewReader(b), make([]byte, 32))
	})
}

func FuzzOptions(f *testing.F) {
	f.Add("superblock=no,salt=0a,fec-device=/dev/sda,hash=sha256")
	f.Fuzz(func(t *testing.T, list string) {
		if o, err := ParseOptions(list); err == nil {
			p := o.With(nil)
			if p.Check() == nil && len(p.Salt) > maxSalt {
				t.Errorf("%+v", p)
			}
		}
	})
}
