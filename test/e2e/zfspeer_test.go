package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// A Debian whose root is an encrypted dataset of a mirror finds its pool as it
// does after a boot by initramfs-tools with zfs-initramfs: what zpool and zfs say
// of it, and what is mounted how, is the same, line by line.
func TestZFSIsLeftAsInitramfsToolsLeaveIt(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_E2E") == "" || os.Getenv("FIRSTLIGHT_FULL") == "" {
		t.Skip("boots a Debian twice: make test-full")
	}
	testtool.Root(t)
	testtool.Need(t, "qemu-system-x86_64", "qemu-img")
	l := disks.DebianZFS("bookworm")
	made, err := disks.Make(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := host.Cache()
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{Firstlight: filepath.Join(checkout, "bin/firstlight"), Cache: filepath.Join(cache, "firstlight"), Made: made}
	s := Scenario{Name: "bookworm-zfs", For: small("zfs"), Layouts: on(l), Memory: 1536}
	k, err := s.kernel(t.Context(), "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := r.build(t.Context(), s, k, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := debian.ZFSImage(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	a := asked(t, r, s, k, ours, "root=ZFS=rpool/ROOT/debian", Action{When: promptText})
	// zfs load-key throws away what is typed before it has turned off the echo, after
	// its prompt, and nothing tells when that is.
	b := asked(t, r, s, k, theirs, "boot=zfs root=ZFS=rpool/ROOT/debian", Action{When: "Enter passphrase for ", After: 10 * time.Second})
	if len(a) < 100 {
		t.Fatalf("only %d lines", len(a))
	}
	different := 0
	for _, line := range a {
		if !slices.Contains(b, line) {
			t.Errorf("only after Firstlight: %s", line)
			different++
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			t.Errorf("only after initramfs-tools: %s", line)
			different++
		}
	}
	t.Logf("%d lines compared, %d differ", len(a), different)
}

// changing are values that no two boots of one disk share: what is written to the
// root meanwhile, and the number that each import gets.
var changing = regexp.MustCompile(`^\S+ (free|allocated|used|available|referenced|usedbydataset|usedbychildren|usedbysnapshots|written|logicalused|logicalreferenced|compressratio|refcompressratio|capacity|load_guid|fragmentation) `)

// sized are lines of zpool list -v, which has sizes in all its columns: of them the
// name and the health count.
var sized = regexp.MustCompile(`^(\S+) [0-9.]+[KMGT] .*\b(ONLINE|DEGRADED|FAULTED|UNAVAIL)\b.*$`)

// alike are what the two are meant to differ in. Firstlight has the pool know its
// disks by names that stay (docs/features.md), and mounts datasets as their
// properties say: Debian's mount(8) adds relatime to them, later versions of
// zfs-initramfs do not.
var alike = strings.NewReplacer("/dev/disk/by-id/virtio-d0-part1", "/dev/vda1", "/dev/disk/by-id/virtio-d1-part1", "/dev/vdb1",
	"rw,relatime,", "rw,", " relatime on temporary", " relatime off default")

// comparable is a line as it is compared, "" for one that is not.
func comparable(line string) string {
	line = alike.Replace(strings.Join(strings.Fields(line), " "))
	if changing.MatchString(line) {
		return ""
	}
	return sized.ReplaceAllString(line, "$1 $2")
}

// asked boots a Debian and returns what its ZFS said of itself.
func asked(t *testing.T, r *Runner, s Scenario, k debian.Kernel, image, line string, prompt Action) []string {
	t.Helper()
	dir := t.TempDir()
	attached, _, err := r.disks(t.Context(), s, dir)
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := k.Unpacked()
	if err != nil {
		t.Fatal(err)
	}
	m := vm.Machine{Kernel: kernel, Initrd: image, Memory: s.Memory, Disks: attached, Append: "console=ttyS0 quiet panic=-1 no_timer_check ro " + line}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	v, err := vm.Run(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	prompt.Type = disks.Passphrase + "\r"
	if err := act(ctx, v, m, []Action{prompt}); err != nil {
		t.Fatalf("%v\n%s", err, host.Tail(plain(v.Console.Text()), 40))
	}
	if err := v.Wait(ctx); err != nil {
		t.Fatalf("%v\n%s", err, host.Tail(plain(v.Console.Text()), 40))
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range ms {
		if m.Debian == nil {
			continue
		}
		if m.Debian.State != "running" || m.Debian.Failed != "" {
			t.Errorf("%s: %s, failed %q", line, m.Debian.State, m.Debian.Failed)
		}
		for l := range strings.Lines(m.Debian.Log) {
			_, text, ok := strings.Cut(strings.TrimRight(l, "\n"), "]: ")
			if text = comparable(text); ok && strings.Contains(l, " asked[") && text != "" {
				lines = append(lines, text)
			}
		}
	}
	if len(lines) == 0 {
		t.Fatalf("no report\n%s", host.Tail(plain(v.Console.Text()), 40))
	}
	return lines
}
