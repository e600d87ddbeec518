package luks

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"firstlight/internal/luksfmt"
	"firstlight/internal/testtool"
)

// TestArgon2TakesNoLongerThanCryptsetup compares the processor time on this
// machine itself: in an emulated one argon2 is mostly the emulator's calls for
// vector instructions, of which the two programs use different ones.
func TestArgon2TakesNoLongerThanCryptsetup(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector makes it slow")
	}
	testtool.Need(t, "cryptsetup")
	const pass = "passphrase"
	path := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 32<<20); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) time.Duration {
		cmd := exec.Command(testtool.Path("cryptsetup"), append(args, path)...)
		cmd.Stdin = strings.NewReader(pass)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	run("luksFormat", "-q", "--key-file", "-", "--type", "luks2", "--pbkdf", "argon2id",
		"--pbkdf-memory", "262144", "--pbkdf-parallel", "1", "--pbkdf-force-iterations", "4")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	ours, theirs := time.Hour, time.Hour
	for range 5 {
		theirs = min(theirs, run("open", "--test-passphrase", "--key-file", "-"))
		start := used()
		h, err := luksfmt.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		key, err := Open(context.Background(), h, f, []byte(pass), Options{})
		if err != nil {
			t.Fatal(err)
		}
		key.Wipe()
		ours = min(ours, used()-start)
	}
	ratio := float64(ours) / float64(theirs)
	t.Logf("ours %v, cryptsetup %v, ratio %.2f", ours, theirs, ratio)
	if ratio > 1.15 {
		t.Errorf("it takes %.2f times as long as cryptsetup", ratio)
	}
}
