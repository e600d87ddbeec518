package migrate

import (
	"strings"
	"testing"
)

// A machine that was unlocked by Dropbear is unlocked by the same keys.
func TestDropbearIsCarriedOver(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me\n"
	var tool Tool
	for _, x := range Tools() {
		if x.Name == "initramfs-tools" {
			tool = x
		}
	}
	r := tool.Read([]File{
		{"/etc/initramfs-tools/initramfs.conf", "IP=10.0.0.5::10.0.0.1:255.255.255.0::eth0:off\n"},
		{"/etc/dropbear/initramfs/dropbear.conf", "# a comment\nDROPBEAR_OPTIONS=\"-I 300 -j -k -p 2222 -s -c cryptroot-unlock\"\nIFDOWN=none\n"},
		{"/etc/dropbear/initramfs/authorized_keys", "no-port-forwarding,command=\"cryptroot-unlock\" " + key + "command=\"sh\" " + key},
	}, []string{"ssh"})
	text := r.TOML()
	for _, want := range []string{"\n[ssh]\n", "authorized_keys = \"/etc/dropbear/initramfs/authorized_keys\"", "port = 2222 ", "idle_timeout = 300 ", "command = \"unlock\"",
		"authorized_keys:2: a key", `command="sh" is none`, "ssh-keygen -t ed25519", "ip=10.0.0.5::10.0.0.1:255.255.255.0::eth0:off"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "there is no SSH server") {
		t.Error("it says that there is no SSH server")
	}
}
