package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/feature"
	"firstlight/internal/sshconf"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
)

// sshRoot is a system with keys for the server.
func sshRoot(t *testing.T) string {
	testtool.Need(t, "ssh-keygen")
	root := t.TempDir()
	for _, f := range []string{"etc/firstlight/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key", "home/locked", "home/client"} {
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
	pub, err := os.ReadFile(filepath.Join(root, "home/client.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for f, text := range map[string]string{"etc/firstlight/ssh/authorized_keys": `command="unlock" ` + string(pub), "home/none": `command="sh" ` + string(pub)} {
		if err := os.WriteFile(filepath.Join(root, f), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := os.ReadFile(filepath.Join(root, "etc/ssh/ssh_host_ed25519_key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "home/copied"), copied, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// planSSH is the tree with the server's files alone.
func planSSH(t *testing.T, root, config string) (*builder, error) {
	t.Helper()
	b, err := withFeature(root, config, sshFeature)
	if err != nil {
		return nil, err
	}
	return b, b.ssh()
}

// withFeature is a builder for a tree and a configuration, in which a feature is chosen.
func withFeature(root, config, name string) (*builder, error) {
	c, err := ParseConfig("test.toml", []byte(config))
	if err != nil {
		return nil, err
	}
	b := newBuilder(Options{Sysroot: sysroot.Root(root), Config: *c})
	b.report.Features = []feature.Chosen{{Feature: &feature.Feature{Name: name}}}
	return b, nil
}

// The image with a host key is private, and has the keys and settings where the
// server reads them.
func TestSSHFilesAreInAPrivateImage(t *testing.T) {
	b, err := planSSH(t, sshRoot(t), "[ssh]\nport = 2222\nlisten = \"10.0.0.1\"\ncommand = \"console\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if !b.tree.HasSecrets() {
		t.Error("the image would be readable by everybody")
	}
	for _, f := range []string{sshconf.SettingsFile, sshconf.KeysFile, sshconf.HostKeysFile} {
		e := b.tree.Get(f)
		if e == nil || e.Mode&0o777 != 0o600 {
			t.Errorf("%s: %+v", f, e)
		}
	}
	s, err := sshconf.ParseSettings(string(b.tree.Get(sshconf.SettingsFile).Data))
	if err != nil || s.Port != 2222 || s.Mode != sshconf.ModeConsole || len(s.Listen) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if line := string(b.tree.Get(sshconf.HostKeysFile).Data); !strings.HasPrefix(line, "ed25519 ") || len(line) != len("ed25519 ")+65 {
		t.Errorf("%d bytes of a host key", len(line))
	}
}

func TestSSHSaysWhatIsMissingOrWrong(t *testing.T) {
	root := sshRoot(t)
	for config, want := range map[string]string{
		"[ssh]\nhost_keys = [\"/etc/ssh/ssh_host_ed25519_key\"]":                            "host key of the system itself",
		"[ssh]\nhost_keys = [\"/home/copied\"]":                                             "host key of the system itself",
		"[ssh]\nhost_keys = [\"/etc/ssh/ssh_host_ed25519_key\"]\nsystem_host_keys = true\n": "",
		"[ssh]\nhost_keys = [\"/home/locked\"]":                                             "locked with a passphrase",
		"[ssh]\nhost_keys = [\"/home/client.pub\"]":                                         "no private key",
		"[ssh]\nhost_keys = [\"/home/nothing\"]":                                            "nothing",
		"[ssh]\nauthorized_keys = \"/home/nothing\"":                                        "there is no /home/nothing",
		"[ssh]\nauthorized_keys = \"/home/none\"":                                           "no key of /home/none can log in",
		"[ssh]\nauthorized_keys = \"none\"":                                                 "must be absolute",
		"[ssh]\ncommand = \"sh\"":                                                           "unlock or console",
		"[ssh]\nport = 70000":                                                               "no port",
		"[ssh]\nlisten = [\"here\"]":                                                        "no address",
		"[ssh]\nsessions = 1000":                                                            "from 1 to 64",
		"[ssh]\npassword = \"x\"":                                                           "unknown key",
	} {
		_, err := planSSH(t, root, config)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, not %q", config, err, want)
		}
	}
	if _, err := planSSH(t, t.TempDir(), "[ssh]"); err == nil || !strings.Contains(err.Error(), "authorized_keys") {
		t.Errorf("a system without keys: %v", err)
	}
}

// The whole way: an image with the table has the server, the network and the full
// /init, and one without has none.
func TestSSHIsInAnImageOnlyWhenConfigured(t *testing.T) {
	for _, config := range []string{"mode = \"generic\"\n", "mode = \"generic\"\n[ssh]\n"} {
		o := options(t, config)
		o.ModulesDir = filepath.Join(string(o.Sysroot), "lib/modules", o.Kernel)
		o.Sysroot = sysroot.Root(sshRoot(t))
		o.InitFull = o.Init
		tree, _, err := Plan(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if has := tree.Get("usr/lib/firstlight/ssh") != nil; has != strings.Contains(config, "[ssh]") {
			t.Errorf("%q: the server is there: %v", config, has)
		}
	}
}
