package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/sshfs"
	"firstlight/internal/testtool"
)

// sshfsRoot is a system with what a root by SSH needs.
func sshfsRoot(t *testing.T) string {
	testtool.Need(t, "ssh-keygen")
	root := t.TempDir()
	for _, f := range []string{"etc/firstlight/sshfs/id_ed25519", "home/locked", "home/other"} {
		p := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		phrase := ""
		if f == "home/locked" {
			phrase = "hunter2"
		}
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", p).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	pub, err := os.ReadFile(filepath.Join(root, "home/other.pub"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(pub))
	for name, text := range map[string]string{"etc/firstlight/sshfs/known_hosts": "# our server\nnas,10.0.0.1 " + f[0] + " " + f[1] + "\n", "home/hosts": "@cert-authority *.example " + f[0] + " " + f[1],
		"home/none": "# nobody\n", "home/config": "Ciphers aes128-ctr\n", "home/other-cert.pub": "a certificate\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// planSSHFS is the tree with these files alone.
func planSSHFS(t *testing.T, root, config string) (*builder, error) {
	t.Helper()
	b, err := withFeature(root, config, sshfsFeature)
	if err != nil {
		return nil, err
	}
	return b, b.sshfs()
}

// The image with the key is private, and has what ssh wants where sshfs looks for it.
func TestKeysForARootBySSHAreInAPrivateImage(t *testing.T) {
	root := sshfsRoot(t)
	b, err := planSSHFS(t, root, "")
	if err != nil {
		t.Fatal(err)
	}
	if !b.tree.HasSecrets() {
		t.Error("the image would be readable by everybody")
	}
	for f, want := range map[string]bool{sshfs.KnownHosts: true, sshfs.Keys + "/0": true, sshfs.Keys + "/1": false, sshfs.Settings: false} {
		if e := b.tree.Get(f); (e != nil) != want || want && e.Mode&0o777 != 0o600 {
			t.Errorf("%s: %+v", f, e)
		}
	}
	b, err = planSSHFS(t, root, "[sshfs]\nkeys = [\"/etc/firstlight/sshfs/id_ed25519\", \"/home/other\"]\nknown_hosts = [\"/etc/firstlight/sshfs/known_hosts\", \"/home/hosts\"]\nconfig = \"/home/config\"\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{sshfs.Keys + "/0", sshfs.Keys + "/1", sshfs.Keys + "/1-cert.pub", sshfs.Settings} {
		if b.tree.Get(f) == nil {
			t.Errorf("no %s", f)
		}
	}
	if text := string(b.tree.Get(sshfs.KnownHosts).Data); !strings.HasPrefix(text, "# our server\nnas,10.0.0.1 ") || !strings.Contains(text, "\n@cert-authority *.example ") {
		t.Error(text)
	}
}

func TestRootBySSHThatCannotBeIsRefused(t *testing.T) {
	root := sshfsRoot(t)
	for config, want := range map[string]string{
		"keys = [\"/home/locked\"]":         "ssh-keygen -p",
		"keys = [\"/home/none\"]":           "is no private key",
		"keys = [\"/home/absent\"]":         "/home/absent",
		"keys = [\"id\"]":                   "must be absolute",
		"known_hosts = \"/home/absent\"":    "ssh-keyscan SERVER",
		"known_hosts = \"/home/none\"":      "no line of /home/none is the host key of a server",
		"config = \"/home/absent\"":         "/home/absent",
		"passwords = [\"/home/passwords\"]": "unknown key",
	} {
		if _, err := planSSHFS(t, root, "[sshfs]\n"+config+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if _, err := planSSHFS(t, t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "ssh-keygen -t ed25519") {
		t.Error(err)
	}
}
