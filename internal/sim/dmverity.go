package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// verity reads "1 DATA HASH 4096 4096 BLOCKS START sha256 DIGEST SALT …": each
// block shows if the hash tree, of two levels at most, vouches for it, and cannot
// be read otherwise.
func (d mapper) verity(t *dmTable, v view, f []string) ([]view, error) {
	const block = 4096
	if len(f) < 10 || f[0] != "1" || f[3] != "4096" || f[4] != "4096" || f[7] != "sha256" {
		return nil, unix.EINVAL
	}
	blocks, err1 := strconv.ParseInt(f[5], 10, 64)
	start, err2 := strconv.ParseInt(f[6], 10, 64)
	digest, err3 := hex.DecodeString(f[8])
	salt, err4 := hex.DecodeString(f[9])
	if f[9] == "-" {
		salt, err4 = nil, nil
	}
	if err := d.signed(f[8], f[10:]); err != nil {
		return nil, err
	}
	const inBlock = block / sha256.Size
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || blocks<<12 != v.n || blocks < 1 || blocks > inBlock*inBlock {
		return nil, unix.EINVAL
	}
	var tree view
	if err := d.on(t, &v, f[1], "0"); err != nil {
		return nil, err
	}
	if err := d.on(t, &tree, f[2], "0"); err != nil {
		return nil, err
	}
	read := func(from view, n int64) []byte {
		b := make([]byte, block)
		if _, err := from.base.read(b, n*block); err != nil {
			return nil
		}
		return b
	}
	good := func(b, want []byte) bool {
		sum := sha256.Sum256(append(bytes.Clone(salt), b...))
		return b != nil && bytes.Equal(sum[:], want)
	}
	leaves := (blocks + inBlock - 1) / inBlock // blocks of hashes of data
	var out []view
	top := read(tree, start)
	for n := range blocks {
		hashes, ok := top, good(top, digest)
		if leaves > 1 {
			i := n / inBlock * sha256.Size
			if ok {
				hashes = read(tree, start+1+n/inBlock)
				ok = good(hashes, top[i:i+sha256.Size])
			}
		}
		x := v
		x.at, x.n, x.from = v.at+n*block, block, n*block
		if i := n % inBlock * sha256.Size; !ok || !good(read(v, n), hashes[i:i+sha256.Size]) {
			x.fails = true
		}
		out = append(out, x)
	}
	return out, nil
}

// signed checks the signature of a root hash as dm-verity does: what its keyring
// has for the word after root_hash_sig_key_desc.
func (d mapper) signed(root string, options []string) error {
	i := slices.Index(options, "root_hash_sig_key_desc")
	if i < 0 || i+1 >= len(options) {
		if d.m.RequireSigned {
			return unix.ENOKEY
		}
		return nil
	}
	signature := d.m.keyring[options[i+1]]
	switch good := d.m.Signed[root]; {
	case signature == nil || good == "":
		return unix.ENOKEY
	case string(signature) != good:
		return unix.EKEYREJECTED
	}
	return nil
}
