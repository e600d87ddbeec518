package sim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

// The first copy of the header is damaged: the second one opens the device,
// and the person is told, with the command that repairs it.
func TestSecondCopyOfTheHeaderIsUsedAndSaid(t *testing.T) {
	testtool.Need(t, "cryptsetup")
	img := filepath.Join(t.TempDir(), "img")
	if err := os.WriteFile(img, make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtool.Path("cryptsetup"), "luksFormat", "-q", "--type", "luks2", "--key-size", "256", "--pbkdf", "pbkdf2",
		"--pbkdf-force-iterations", "1000", "--sector-size", "512", "--uuid", luksUUID, "--key-file", "-", img)
	cmd.Stdin = strings.NewReader(passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cryptsetup: %v: %s", err, out)
	}
	broken, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	broken[4096+100] ^= 1 // in the JSON area of the first copy
	d := &sim.Disk{Content: broken, Inside: &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}}
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID, d)
	m.Answer = types(passphrase, time.Second)
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if said := m.SaidText(); !strings.Contains(said, "the second one is used") || !strings.Contains(said, "cryptsetup repair /dev/") {
		t.Errorf("said:\n%s", said)
	}
}
