package sim_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

// hashed is a root, its hash tree as veritysetup makes it, and the root hash.
type hashed struct {
	data, tree []byte
	root       string
}

var verified = sync.OnceValues(func() (hashed, error) {
	dir, err := os.MkdirTemp("", "verity")
	if err != nil {
		return hashed{}, err
	}
	defer os.RemoveAll(dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	h := hashed{data: make([]byte, 1<<20)}
	copy(h.data, sim.Ext4(rootUUID, "root"))
	if err := os.WriteFile(file("data"), h.data, 0o600); err != nil {
		return h, err
	}
	if out, err := exec.Command(testtool.Path("veritysetup"), "format", "--root-hash-file", file("root"), "--salt", "0a0b", file("data"), file("tree")).CombinedOutput(); err != nil {
		return h, fmt.Errorf("veritysetup: %w: %s", err, out)
	}
	if h.tree, err = os.ReadFile(file("tree")); err != nil {
		return h, err
	}
	root, err := os.ReadFile(file("root"))
	h.root = strings.TrimSpace(string(root))
	return h, err
})

// The root hash is another one, or a bit of the data or of the hash tree is not
// what it was: what does not fit is never the root, and no disk is written to.
func TestVerityFamily(t *testing.T) {
	testtool.Need(t, "veritysetup")
	made, err := verified()
	if err != nil {
		t.Fatal(err)
	}
	var data, tree *sim.Disk
	var other, damaged, first, treeBad bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		content, hashes, root := bytes.Clone(made.data), bytes.Clone(made.tree), []byte(made.root)
		other, damaged, first, treeBad = rng.IntN(4) == 0, rng.IntN(3) == 0, false, rng.IntN(4) == 0
		if other {
			i := rng.IntN(len(root))
			root[i] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", root[i])+1+rng.IntN(15))%16]
		}
		if damaged {
			at := rng.IntN(len(content))
			if first = rng.IntN(2) == 0; first {
				at = rng.IntN(4096) // with the superblock of the filesystem
			}
			content[at] ^= byte(1 << rng.IntN(8))
		}
		if treeBad {
			hashes[4096+rng.IntN(4096)] ^= byte(1 << rng.IntN(8)) // the block at the top
		}
		data = &sim.Disk{Name: "vda", Content: content, Size: int64(len(content)), Files: debian()}
		tree = &sim.Disk{Name: "vdb", Content: hashes, Size: int64(len(hashes))}
		m := machineWith("rd.emergency=poweroff rd.timeout=60 root=LABEL=root roothash="+string(root)+" systemd.verity_root_data=/dev/vda systemd.verity_root_hash=/dev/vdb", data)
		m.Image.Full = true
		late := time.Duration(rng.Int64N(int64(10 * time.Second)))
		with := tree
		m.At(late, func() { m.Plug(with) })
		return m
	}, func(m *sim.Machine) string {
		// Of the top block only what it has hashes in is vouched for, and what
		// is behind them by the root hash alone: any bit of it counts.
		bad := other || first || treeBad
		if data.Written != "" || tree.Written != "" {
			return "written to by " + data.Written + tree.Written
		}
		for _, mt := range m.Mounts {
			if mt.Target == handler.SysRoot && (bad || !strings.HasPrefix(mt.Source, "/dev/dm-")) {
				return fmt.Sprintf("%s was mounted; another root hash %v, the first block damaged %v, the tree damaged %v", mt.Source, other, first, treeBad)
			}
		}
		if !bad && !damaged && m.Started == nil && calm(m) {
			return "not started"
		}
		return ""
	})
}

// The signature of the root hash is given in the image, on the command line, or
// not at all; it is right, of another root hash, or the kernel has no key of who
// made it; and the kernel may take signed ones only. What it does not vouch for
// is never the root, and with a good signature the boot goes on.
func TestSignedVerityFamily(t *testing.T) {
	testtool.Need(t, "veritysetup")
	made, err := verified()
	if err != nil {
		t.Fatal(err)
	}
	const good, other = "\x30\x02ok", "\x30\x02no"
	var given, right, known, required bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		given, right, known, required = rng.IntN(3) > 0, rng.IntN(3) > 0, rng.IntN(3) > 0, rng.IntN(2) == 0
		data := &sim.Disk{Name: "vda", Content: made.data, Size: int64(len(made.data)), Files: debian()}
		tree := &sim.Disk{Name: "vdb", Content: made.tree, Size: int64(len(made.tree))}
		m := machineWith("rd.emergency=poweroff rd.timeout=60 roothash="+made.root+" systemd.verity_root_data=/dev/vda systemd.verity_root_hash=/dev/vdb", data, tree)
		m.Image.Full = true
		der := good
		if !right {
			der = other
		}
		switch {
		case given && rng.IntN(2) == 0:
			m.Files = map[string]string{"/etc/root.p7s": der}
			m.Cmdline += " systemd.verity_root_options=root-hash-signature=/etc/root.p7s"
		case given:
			m.Cmdline += " systemd.verity_root_options=root-hash-signature=base64:" + base64.StdEncoding.EncodeToString([]byte(der))
		}
		if known {
			m.Signed = map[string]string{made.root: good}
		}
		if m.RequireSigned = required; required && rng.IntN(2) == 0 {
			m.Cmdline += " dm_verity.require_signatures=1"
		}
		return m
	}, func(m *sim.Machine) string {
		boots := given && right && known || !given && !required
		said := m.SaidText()
		switch {
		case !boots && m.Started != nil:
			return "started although the kernel does not vouch for it"
		case boots && m.Started == nil && calm(m):
			return "not started"
		case boots || !calm(m):
		case given && !known && !strings.Contains(said, "has no key of whoever has signed"), given && known && !strings.Contains(said, "not one of this root hash"),
			!given && !strings.Contains(said, "this one has no signature"):
			return fmt.Sprintf("not explained; given %v, right %v, known %v, required %v", given, right, known, required)
		}
		return ""
	})
}
