//go:build amd64

package entry_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firstlight/internal/entry"
)

// build makes a root directory with a program that begins as /init does.
func build(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	cmd := exec.Command("go", "build", "-ldflags", "-E firstlight/internal/entry.start", "-o", filepath.Join(root, "prog"), "./testdata/prog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(entry.Names)), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// run starts the program in the root and returns what its main function says,
// "" if that was not reached, and its exit code.
func run(t *testing.T, root string, argv ...string) (said string, code int) {
	t.Helper()
	cmd := exec.Command("/prog")
	cmd.Args = argv
	cmd.Dir = "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		if os.Getenv("FIRSTLIGHT_REQUIRE") == "" && errors.Is(err, syscall.EPERM) {
			t.Skip("the system lets nobody but root change the root directory")
		}
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestRequestsThatNoModuleAnswersEndBeforeMain(t *testing.T) {
	root := build(t)
	long := strings.Repeat("x", 120)
	list := "crypto_aes\ncrypto_xts\ncrypto_" + long[:119] + "\ncrypto_simd\n"
	full := strings.Repeat("crypto_0123456\n", entry.MaxNames/15+1)
	const modprobe = "/sbin/modprobe"
	for _, c := range []struct {
		name, list string // "-": there is none
		argv       []string
		main       bool
	}{
		{"first", list, []string{modprobe, "-q", "--", "crypto-aes"}, true},
		{"middle", list, []string{modprobe, "-q", "--", "crypto-xts"}, true},
		{"last", list, []string{modprobe, "-q", "--", "crypto-simd"}, true},
		{"spelled otherwise", list, []string{modprobe, "-q", "--", "crypto_simd"}, true},
		{"the longest that is looked for", list, []string{modprobe, "-q", "--", "crypto-" + long[:119]}, true},
		{"longer", list, []string{modprobe, "-q", "--", "crypto-" + long}, true},
		{"beginning of a name", list, []string{modprobe, "-q", "--", "crypto-xt"}, false},
		{"more than a name", list, []string{modprobe, "-q", "--", "crypto-xts-all"}, false},
		{"the last and more", list, []string{modprobe, "-q", "--", "crypto-simd-all"}, false},
		{"the end of a name", list, []string{modprobe, "-q", "--", "crypto-"}, false},
		{"a composition", list, []string{modprobe, "-q", "--", "crypto-cryptd(__xts-aes-aesni)"}, false},
		{"brackets", list, []string{modprobe, "-q", "--", "crypto-a[b-c]"}, true},
		{"another kind", list, []string{modprobe, "-q", "--", "fs-ext4"}, true},
		{"almost that kind", list, []string{modprobe, "-q", "--", "cryptodisk"}, true},
		{"other arguments", list, []string{modprobe, "crypto-none"}, true},
		{"more arguments", list, []string{modprobe, "-q", "--", "crypto-none", "crypto-none"}, true},
		{"another program", list, []string{"/init", "-q", "--", "crypto-none"}, true},
		{"another modprobe", list, []string{"/sbin/modprobe2", "-q", "--", "crypto-none"}, true},
		{"no arguments", list, []string{}, true},
		{"no list", "-", []string{modprobe, "-q", "--", "crypto-none"}, true},
		{"empty list", "", []string{modprobe, "-q", "--", "crypto-none"}, true},
		{"list without an end", strings.TrimSuffix(list, "\n"), []string{modprobe, "-q", "--", "crypto-none"}, true},
		{"list of the greatest length", full[:entry.MaxNames-1] + "\n", []string{modprobe, "-q", "--", "crypto-none"}, false},
		{"list that is too long", full[:entry.MaxNames] + "\n", []string{modprobe, "-q", "--", "crypto-none"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(root, entry.Names)
			os.Remove(file)
			if c.list != "-" {
				if err := os.WriteFile(file, []byte(c.list), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			said, code := run(t, root, c.argv...)
			switch {
			case c.main && (!strings.HasPrefix(said, "main "+strings.Join(c.argv, " ")) || code != 0):
				t.Errorf("main was not reached: %q, exit code %d", said, code)
			case !c.main && (said != "" || code != 1):
				t.Errorf("it did not end at once: %q, exit code %d", said, code)
			}
		})
	}
}

// The kernel asks for the driver of an array's level when it is there too.
func TestLevelThatIsLoadedIsAnsweredBeforeMain(t *testing.T) {
	root := build(t)
	loaded := filepath.Join(root, entry.Loaded)
	ask := func(name string, main bool) {
		t.Helper()
		said, code := run(t, root, "/sbin/modprobe", "-q", "--", name)
		if strings.HasPrefix(said, "main ") != main || code != 0 {
			t.Errorf("%s: %q, exit code %d", name, said, code)
		}
	}
	ask("md-level-1", true)
	if err := os.MkdirAll(loaded, 0o755); err != nil {
		t.Fatal(err)
	}
	ask("md-level-1", true)
	for _, name := range []string{"md_level_1", "md_level__1", "md_raid1"} {
		if err := os.WriteFile(filepath.Join(loaded, name), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	ask("md-level-1", false)
	ask("md-level--1", false)
	ask("md-level-10", true)
	ask("md-level-", true)
	ask("md-raid1", true)
	ask("md-level-"+strings.Repeat("1", 200), true)
}

// A process that begins here has pages of 4 KiB only, also those that the
// runtime touches first.
func TestHugePagesAreOffBeforeTheRuntimeStarts(t *testing.T) {
	root := build(t)
	cmd := exec.Command(filepath.Join(root, "prog"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	switch s := string(out); {
	case strings.Contains(s, "thp=unknown"):
		t.Skip("this kernel does not say it (THP_enabled in /proc/self/status)")
	case !strings.Contains(s, "thp=0"):
		t.Errorf("%s", s)
	}
}

// The runtime's own threads sleep longer than they ask for, so that they do
// not take the only processor from what boots.
func TestThreadsMayOversleepBeforeTheRuntimeStarts(t *testing.T) {
	out, err := exec.Command(filepath.Join(build(t), "prog")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(out); !strings.HasSuffix(s, "slack=200000\n") {
		t.Errorf("%s", s)
	}
}
