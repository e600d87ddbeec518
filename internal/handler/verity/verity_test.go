package verity

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/testtool"
)

func register(w *handler.World) func() { return New(w).Start }

// made is data, its hash tree as veritysetup makes it, and the root hash.
func made(t *testing.T, args ...string) (data, tree []byte, root string) {
	t.Helper()
	testtool.Need(t, "veritysetup")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	data = bytes.Repeat([]byte("firstlight 45678"), 65536)
	if err := os.WriteFile(file("data"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	argv := append(append([]string{"format", "--root-hash-file", file("root"), "--uuid", "0a1b2c3d-0001-4002-8003-aabbccddeeff", "--salt", "0a0b"}, args...), file("data"), file("tree"))
	if out, err := exec.Command(testtool.Path("veritysetup"), argv...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tree, err := os.ReadFile(file("tree"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file("root"))
	if err != nil {
		t.Fatal(err)
	}
	return data, tree, strings.TrimSpace(string(b))
}

func boot(t *testing.T, cmdline string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{Full: true}, register)
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

const named = " systemd.verity_root_data=/dev/sda systemd.verity_root_hash=/dev/sdb"

func disk(name string, b []byte) handlertest.Disk {
	return handlertest.Disk{Name: name, Content: bytes.NewReader(b), Size: uint64(len(b))}
}

func TestRootThatFitsItsHashIsSetUp(t *testing.T) {
	data, tree, root := made(t)
	b := boot(t, "roothash="+root+named+" systemd.verity_root_options=panic-on-corruption,check-at-most-once")
	b.Add(disk("sdb", tree))
	if f := b.Fact("verified device"); f.Condition != goal.Incomplete || !strings.Contains(f.Text, "its data, ") {
		t.Errorf("%+v", f)
	}
	b.Add(disk("sda", data))
	m := b.Machine.DM
	if got := m.Tables["root"]; len(got) != 1 || !strings.HasPrefix(got[0].String(), "0 2048 verity 1 ") ||
		!strings.HasSuffix(got[0].String(), " 4096 4096 256 1 sha256 "+root+" 0a0b 2 panic_on_corruption check_at_most_once") {
		t.Errorf("%v", got)
	}
	if m.UUIDs["root"] != "CRYPT-VERITY-0a1b2c3d000140028003aabbccddeeff-root" || !m.ReadOnly["root"] {
		t.Errorf("uuid %s, read-only %v", m.UUIDs["root"], m.ReadOnly["root"])
	}
	if f := b.Fact("verified device"); f.Text != "" {
		t.Errorf("%+v", f)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	data, tree, root := made(t)
	other := "00" + root[2:]
	if root[:2] == "00" {
		other = "01" + root[2:]
	}
	damaged := bytes.Clone(tree)
	damaged[4096+17] ^= 1
	for name, tt := range map[string]struct {
		root, options, want string
		tree                []byte
	}{
		"another root hash": {other, "", "the root hash is not that of the hash device", tree},
		"damaged tree":      {root, "", "the root hash is not that of the hash device", damaged},
		"short":             {root[:40], "", "it has 20 bytes, and sha256 gives 32", tree},
		"no superblock":     {root, "", "no dm-verity superblock", make([]byte, 1<<20)},
		"signature":         {root, " systemd.verity_root_options=root-hash-signature=/sig", "/sig: read /sig: file does not exist", tree},
		"signature in PEM":  {root, " systemd.verity_root_options=root-hash-signature=base64:LS0tLS1CRUdJTg==", "it is text (PEM)", tree},
		"unsigned":          {root, " dm_verity.require_signatures=1", "this one has no signature", tree},
		"too little data":   {root, " systemd.verity_root_options=superblock=no,data-blocks=1000", "1000 blocks of data do not fit", tree},
		"bad option":        {root, " systemd.verity_root_options=hash-offset=x", "not a number", tree},
	} {
		t.Run(name, func(t *testing.T) {
			b := boot(t, "roothash="+tt.root+named+tt.options)
			b.Add(disk("sda", data), disk("sdb", tt.tree))
			if f := b.Fact("verified device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, tt.want) || f.Try == "" {
				t.Errorf("%+v", f)
			}
			if !b.Said(tt.want) || len(b.Machine.DM.Tables) != 0 {
				t.Errorf("tables %v", b.Machine.DM.Tables)
			}
		})
	}
}

func TestCorruptionIsNamed(t *testing.T) {
	data, tree, root := made(t)
	b := boot(t, "roothash="+root+named)
	b.Add(disk("sda", data), disk("sdb", tree))
	d := handlertest.Disk{Name: "dm-0", Attrs: map[string]string{"dm/name": "root", "dm/uuid": "CRYPT-VERITY-x-root", "dm/suspended": "0"}}
	b.ChangeWith(d, map[string]string{"DM_VERITY_ERR_BLOCK_NR": "1,17"})
	if f := b.Fact("verified device"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "block 1,17 is not what the root hash is of") {
		t.Errorf("%+v", f)
	}
}

func TestSmallInitSaysWhatItLacks(t *testing.T) {
	b := handlertest.New(t, "roothash="+strings.Repeat("0a", 32), handler.Image{}, func(w *handler.World) func() { return func() { Absent(w) } })
	if f := b.Fact("verified device"); f.Condition != goal.Blocked || !strings.Contains(f.Try, "--feature verity") || !b.Said("lacks the feature verity") {
		t.Errorf("%+v", f)
	}
}

// A device that happens to have the name is not mounted instead.
func TestNothingElseIsMountedUnderTheName(t *testing.T) {
	_, _, root := made(t)
	b := boot(t, "roothash="+root+named)
	b.Add(handlertest.Disk{Name: "dm-5", Attrs: map[string]string{"dm/name": "root", "dm/uuid": "CRYPT-LUKS2-x-root", "dm/suspended": "0"}})
	b.ChangeWith(handlertest.Disk{Name: "dm-5"}, map[string]string{"DM_COOKIE": "4194304"})
	e := b.World().Devices.ByName("/dev/dm-5")
	if e.Property("DM_NAME") != "root" {
		t.Fatalf("the device has the name %q", e.Property("DM_NAME"))
	}
	topic, why, _ := Gate(b.World())(e)
	if topic == "" || !strings.Contains(why, "not a verified one") {
		t.Errorf("%q, %q", topic, why)
	}
}
