package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/luksfmt"
	"firstlight/internal/testtool"
)

// What a boot turns out to read on filesystems that are not mounted, a key file
// say, is looked at without a byte being written; its content never goes into a
// file without --with-keys.
func TestFilesOnOtherFilesystemsAreLookedAt(t *testing.T) {
	o := machine(t)
	root := string(o.Root)
	key := append([]byte("secret key"), make([]byte, 20)...)
	for name, data := range map[string][]byte{"aside/keys/root.key": key, "usr/cr.hdr": []byte("header")} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Take(o)
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	o.Aside = func(fstype, source string, options ...string) (string, func(), error) {
		if fstype != "ext4" || source != "/dev/vdc" || !slices.Equal(options, []string{"ro", "noload"}) {
			t.Errorf("%s on %s with %q", fstype, source, options)
		}
		open++
		return "/aside", func() { open-- }, nil
	}
	s.Sys.Set("/class/block/vdb/dev", "254:1")
	if !s.Look(o, []File{{"vdc", "ext4", "/keys/root.key"}, {"vdc", "ext4", "/keys/none"}, {"vdb", "ext4", "/cr.hdr"}}) {
		t.Fatalf("%q", s.Notes)
	}
	if open != 0 || len(s.Aside) != 1 {
		t.Fatalf("%d left open, %+v", open, s.Aside)
	}
	in := s.Aside[0].Entries
	if e := in["/keys/root.key"]; string(e.Data) != "secret key" || e.Size != 30 || !e.Secret {
		t.Errorf("the key: %+v", e)
	}
	if e, looked := in["/keys/none"]; !looked || e.Mode != 0 {
		t.Error("what is not there was not noted as such")
	}
	if e := s.MountAt("/usr").Entries["/cr.hdr"]; string(e.Data) != "header" {
		t.Errorf("a file where its filesystem is mounted: %+v", e)
	}
	var with, without bytes.Buffer
	if err := errors.Join(Write(&with, s), Write(&without, s.WithoutKeys())); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&with)
	if err != nil || !again.Aside[0].Entries["/keys/root.key"].Secret || string(again.Aside[0].Entries["/keys/root.key"].Data) != "secret key" {
		t.Errorf("read back: %v", err)
	}
	bare, err := Read(&without)
	if err != nil || bare.Aside[0].Entries["/keys/root.key"].Data != nil || bare.MountAt("/usr").Entries["/cr.hdr"].Data != nil {
		t.Errorf("the key is in the file without keys: %v", err)
	}
	if s.Look(o, []File{{"vdd", "zfs", "/x"}}) || !strings.Contains(s.Notes[len(s.Notes)-1], "was not looked into") {
		t.Errorf("%q", s.Notes)
	}
}

// Of a LUKS header in a file, which is 16 MiB of mostly random bytes, what
// unlocks the device is kept.
func TestHeaderInAFileKeepsWhatUnlocks(t *testing.T) {
	testtool.Need(t, "cryptsetup")
	dir := t.TempDir()
	file, key := filepath.Join(dir, "header"), filepath.Join(dir, "key")
	noise := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, b := range map[string][]byte{file: noise, key: []byte("secret")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(testtool.Path("cryptsetup"), "-q", "luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--key-file", key, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	short := withoutRest(b)
	if kept := withoutZeros(short); len(short) != len(b) || len(kept) > 1<<20 {
		t.Errorf("%d of %d bytes are kept", len(kept), len(b))
	}
	h, err := luksfmt.Read(bytes.NewReader(short))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keyAreas(h) {
		if !bytes.Equal(short[k.off:k.end], b[k.off:k.end]) {
			t.Errorf("the keyslot at %d is another", k.off)
		}
	}
	if other := []byte("no header"); !bytes.Equal(withoutRest(other), other) {
		t.Error("what is no header was changed")
	}
}

func TestPathsOfNamespacesAreTold(t *testing.T) {
	for name, want := range map[string]string{"nvme1c0n1": "nvme1n1", "nvme10c12n3": "nvme10n3", "nvme0n1": "", "nvme0n1p2": "", "nvme0c1": "", "sdc": "", "nvmecn": ""} {
		if got := Whole(name); got != want {
			t.Errorf("%s is a path of %q, want %q", name, got, want)
		}
	}
}
