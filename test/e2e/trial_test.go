package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
)

// `firstlight boot --test` says of a good image that it boots and of a wrong
// command line that it does not, and leaves the disks as they were: a file
// that nobody may write, and, where this machine can have one, a loop device,
// named on the command line and as the one disk of the machine (--host-disks).
func testTrial(t *testing.T, r *Runner) {
	t.Parallel()
	start := time.Now()
	t.Cleanup(func() {
		results.Lock()
		defer results.Unlock()
		res := Result{Scenario: "trial", Suite: "bookworm", OK: !t.Failed(), Seconds: time.Since(start).Seconds()}
		if !res.OK {
			res.Problems = []string{"firstlight boot says something else, as the test says"}
		}
		results.all = append(results.all, res)
	})
	ctx := t.Context()
	k, err := debian.FindKernel("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	made, err := disks.Make(ctx, disks.Plain, disks.LUKS1)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.Dir, "trial")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	image, err := r.build(ctx, Scenario{Name: "trial", For: small("ext4", "luks")}, k, dir)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(l disks.Layout) string {
		file := filepath.Join(dir, l.Name+".img")
		if _, err := host.Run(ctx, "cp", "--sparse=always", made[l.Name].Files["d0"], file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o444); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plain, crypt, secret := copied(disks.Plain), copied(disks.LUKS1), filepath.Join(dir, "passphrase")
	if err := os.WriteFile(secret, []byte(disks.Passphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	device, whole := plain, ""
	if out, err := host.Run(ctx, "losetup", "--find", "--show", plain); err == nil {
		device = strings.TrimSpace(out)
		whole = device
		t.Cleanup(func() { exec.Command("losetup", "--detach", device).Run() })
	} else {
		t.Logf("no loop device: %v", err)
	}
	for _, tt := range []struct {
		name, disk, append string
		args               []string
		code               int
		verdict, why       string
	}{
		{"block device", device, "rw " + uuid(disks.Plain.FSUUID("root")), nil, 0, "started", ""},
		{"passphrase", crypt, "rw rd.luks.name=" + disks.LUKS1.UUID("crypt") + "=cr root=/dev/mapper/cr", []string{"--passphrase-file", secret}, 0, "started", ""},
		{"wrong root", plain, "rw root=LABEL=fl-rout rd.timeout=20", nil, 1, "failed", `if vda2 is meant, write LABEL=fl-root instead of LABEL=fl-rout`},
		{"no kernel", plain, "ro", []string{"--kernel", filepath.Join(dir, "none")}, 2, "", ""},
		{"disks of this machine", whole, "rw " + uuid(disks.Plain.FSUUID("root")), []string{ownDisks}, 0, "started", ""},
		{"disks of this machine, wrong root", whole, "rw root=LABEL=fl-rout rd.timeout=20", []string{ownDisks}, 1, "failed", `if vda2 is meant, write LABEL=fl-root instead of LABEL=fl-rout`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.disk == "" {
				t.Log("this machine has no loop device")
				return
			}
			before := sum(t, tt.disk)
			args := []string{r.Firstlight, "boot", image, "--kernel", k.Image(), "--append", "quiet no_timer_check " + tt.append,
				"--test", "--json", "--timeout", "5m", "--journal", filepath.Join(dir, "journal")}
			if slices.Contains(tt.args, ownDisks) {
				args = append(onMachineWith(t, tt.disk, "root=LABEL=elsewhere console=tty7"), args...)
			} else {
				args = append(args, "--disk", tt.disk)
			}
			args = append(args, tt.args...)
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			var console strings.Builder
			cmd.Stderr = &console
			out, err := cmd.Output()
			code := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s\n%s", code, tt.code, out, host.Tail(console.String(), 40))
			}
			if sum(t, tt.disk) != before {
				t.Errorf("%s was written to", tt.disk)
			}
			if strings.Contains(console.String()+string(out), disks.Passphrase) {
				t.Error("the passphrase is shown")
			}
			if tt.verdict == "" {
				return
			}
			var v struct {
				Verdict, Why string
				Explanation  []string
			}
			if err := json.Unmarshal(out, &v); err != nil || v.Verdict != tt.verdict || !strings.Contains(strings.Join(v.Explanation, "\n"), tt.why) {
				t.Errorf("%v: %s", err, out)
			}
			if _, err := host.Run(ctx, r.Firstlight, "trace", "summary", filepath.Join(dir, "journal")); err != nil {
				t.Error(err)
			}
		})
	}
}

// ownDisks takes the disks and the command line of the machine itself.
const ownDisks = "--host-disks"

// onMachineWith begins a command that sees a machine with one virtio disk and a
// command line: a sysfs of its own, in a mount namespace of its own, since the
// real disks of the machine that tests run on are nobody's to try.
func onMachineWith(t *testing.T, disk, cmdline string) []string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "sys/devices/virtio2/block/vda", filepath.Base(disk))
	line := filepath.Join(dir, "cmdline")
	for name, text := range map[string]string{filepath.Join(at, "size"): "1000\n", filepath.Join(at, "device"): "", line: cmdline + "\n"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sys/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../devices/virtio2/block/vda/"+filepath.Base(disk), filepath.Join(dir, "sys/block", filepath.Base(disk))); err != nil {
		t.Fatal(err)
	}
	return []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0/sys" /sys && mount --bind "$0/cmdline" /proc/cmdline && exec "$@"`, dir}
}

// sum is the checksum of a disk.
func sum(t *testing.T, name string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
