package check

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/handler/all"
	"firstlight/internal/snapshot"
	"firstlight/internal/testtool"
)

const (
	encrypted = virtio + "layers = [\"luks\"]\n"
	keyFile   = "/etc/cryptsetup-keys.d/cr.key"
	key       = "the content of a key file"
)

// lockedMachine is a machine whose root is in a LUKS device on the whole
// disk, which is open in the snapshot. With keys its header is a fresh one,
// of the same UUID, that the key opens, with the key material.
func lockedMachine(t *testing.T, keys bool) (s *snapshot.Snapshot, cmdline string) {
	t.Helper()
	s = taken(t, "luks")
	at := strings.Index(s.Cmdline, "rd.luks.name=")
	if at < 0 {
		t.Fatal(s.Cmdline)
	}
	uuid, _, _ := strings.Cut(s.Cmdline[at+len("rd.luks.name="):], "=")
	if keys {
		b := s.Block("vda")
		*b = *luksDisk(t, uuid, b.Size)
	}
	return s, "ro root=/dev/mapper/cr rd.luks.name=" + uuid + "=cr rd.luks.key=" + uuid + "=" + keyFile
}

// formatted is the device that luksDisk made.
var formatted *snapshot.Block

// luksDisk is a LUKS device that the key opens; it is made once.
func luksDisk(t *testing.T, uuid string, size int64) *snapshot.Block {
	t.Helper()
	if formatted != nil {
		return formatted
	}
	testtool.Need(t, "cryptsetup")
	dir := t.TempDir()
	disk, file := filepath.Join(dir, "disk"), filepath.Join(dir, "key")
	for name, b := range map[string][]byte{disk: nil, file: []byte(key)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(disk, size); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(testtool.Path("cryptsetup"), "-q", "luksFormat", "--type", "luks2", "--uuid", uuid,
		"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", file, disk).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if formatted, err = snapshot.Content("vda", f, size, 512, true); err != nil {
		t.Fatal(err)
	}
	return formatted
}

// A key file is really tried, and only a passphrase is taken on trust.
func TestKeysAreTried(t *testing.T) {
	for _, c := range []struct {
		name       string
		keys       bool // the snapshot has the key material
		file       string
		without    []string
		unattended bool
		want       Verdict
		asked      int
		says       string // in the conditions, or in the explanation
	}{
		{name: "right key", keys: true, file: key},
		{name: "wrong key", keys: true, file: "another one", asked: 1, says: "a person types the passphrase"},
		{name: "wrong key and nobody there", keys: true, file: "another one", unattended: true, want: Fails, asked: 1, says: "passphrase could not be asked for"},
		{name: "no key", keys: true, asked: 1, says: "a person types the passphrase"},
		{name: "key that cannot be tried", file: key, asked: 1, says: "could not be tried"},
		{name: "key that cannot be tried and nobody there", file: key, unattended: true, want: Unknown, asked: 1, says: "could not be tried"},
		{name: "no driver", keys: true, file: key, without: []string{"dm-crypt.ko"}, want: Fails, asked: 1, says: "unknown target type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, line := lockedMachine(t, c.keys)
			im := open(t, built(t, encrypted))
			if c.file != "" {
				im.put(keyFile, c.file)
			}
			if c.without != nil {
				im.without(t, c.without...)
			}
			r := Run(im, s, Config{Cmdline: line, Unattended: c.unattended, Handlers: all.Handlers()})
			if r.Verdict != c.want || len(r.Asked) != c.asked {
				t.Fatalf("it %s, %q is asked: %s", r.Verdict, r.Asked, strings.Join(r.Explanation, "\n"))
			}
			text := strings.Join(append(r.Conditions, r.Explanation...), "\n")
			if !strings.Contains(text, c.says) || c.says == "" && text != "" {
				t.Errorf("it says: %s", text)
			}
			if bytes.Contains(r.Journal, []byte(key)) {
				t.Error("the key is in the journal")
			}
		})
	}
}

func TestKeymapIsNamedWhereItMatters(t *testing.T) {
	s, line := lockedMachine(t, false)
	s.Config["/etc/vconsole.conf"] = "KEYMAP=\"de-latin1\"\n"
	im := open(t, built(t, encrypted))
	r := Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()})
	if len(r.Warnings) == 0 || !strings.Contains(strings.Join(r.Warnings, " "), `"de-latin1"`) {
		t.Errorf("%q", r.Warnings)
	}
	s.Config["/etc/vconsole.conf"] = "KEYMAP=us\n"
	if r = Run(im, s, Config{Cmdline: line, Handlers: all.Handlers()}); strings.Contains(strings.Join(r.Warnings, " "), "keyboard") {
		t.Errorf("%q", r.Warnings)
	}
}
