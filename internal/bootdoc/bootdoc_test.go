package bootdoc

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"firstlight/internal/bootcmd"
	"firstlight/internal/testtool"
)

var update = flag.Bool("update", false, "write docs/command-line.md")

const file = "../../docs/command-line.md"

// Every parameter that has an effect is described, once, and nothing else is.
func TestParametersAreDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, s := range sections {
		for _, p := range s.params {
			if described[p.name] {
				t.Errorf("%s is described twice", p.name)
			}
			described[p.name] = true
			if p.usage != p.name && !strings.HasPrefix(p.usage, p.name+"=") && !strings.HasPrefix(p.usage, p.name+"[=") {
				t.Errorf("the usage %q is not that of %s", p.usage, p.name)
			}
			if !strings.HasSuffix(p.text, ".") {
				t.Errorf("%s: %q is no sentence", p.name, p.text)
			}
		}
	}
	for _, n := range bootcmd.Names() {
		if !described[n] {
			t.Errorf("%s has an effect and is not described", n)
		}
		delete(described, n)
	}
	for n := range described {
		t.Errorf("%s is described and has no effect", n)
	}
}

// The page in the repository is the one that the table makes.
func TestPageIsCurrent(t *testing.T) {
	want := Markdown()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/command-line.md is not what the table makes; run go test ./internal/bootdoc -update")
	}
}

// A bare parameter that the description says to be on or off is accepted, and
// an example of each usage is not malformed.
func TestUsagesParse(t *testing.T) {
	values := strings.NewReplacer("BOOL", "1", "SECONDS", "5", "STAGE", "mount", "UUID=NAME", "0a1b2c3d=root", "UUID", "0a1b2c3d-0001-4002-8003-aabbccddeeff",
		"VG/LV", "vg/root", "DEVICE", "/dev/sda2", "PAGES", "8", "BYTES", "512", "TYPE", "ext4", "NAME", "abc", "PATH", "/k", "LEVEL", "debug", "TARGET", "console",
		"OPTIONS", "discard", "OPTION", "discard", "WORD", "debug", "SERIAL", "S1", "TAG", "t", "DATASET", "a/b", "HOSTID", "0x00bab10c", "HASH", strings.Repeat("0a", 32))
	for _, s := range sections {
		for _, p := range s.params {
			usage := p.usage
			for strings.Contains(usage, "[") {
				open := strings.Index(usage, "[")
				usage = usage[:open] + usage[open+strings.Index(usage[open:], "]")+1:]
			}
			usage, _, _ = strings.Cut(strings.TrimSuffix(usage, "…"), "|")
			switch p.name {
			case "cryptkey":
				usage = "cryptkey=rootfs:/k"
			case "cryptopts":
				usage = "cryptopts=target=r,source=/dev/sda2"
			case "rd.md.degraded", "rd.btrfs.degraded", "rd.bcache.degraded", "rd.zfs.degraded":
				usage = p.name + "=30,ro"
			case "rd.md.uuid":
				usage = "rd.md.uuid=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f"
			}
			text := values.Replace(usage)
			_, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: text})
			for _, problem := range problems {
				if problem.Kind == bootcmd.Malformed || problem.Kind == bootcmd.Unknown {
					t.Errorf("%s: %v", text, problem)
				}
			}
		}
	}
}

func TestManualPageIsClean(t *testing.T) {
	testtool.Need(t, "man")
	cmd := exec.Command("man", "--warnings", "-l", "-")
	cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(Man())
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Fatalf("man: %v\n%s", err, &warnings)
	}
	if !strings.Contains(string(out), "rd.firstlight.degraded=SECONDS") {
		t.Error("the page does not show rd.firstlight.degraded")
	}
}
