package devspec_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/devspec"
	"firstlight/internal/sysfs"
	"firstlight/internal/testtool"
)

var _ devspec.Info = (*device.Device)(nil)

// What blkid says of real filesystems is what udev's database holds; each is
// found by every spelling of its UUID and label, and no other's.
func TestFindsFilesystemsAsBlkidSeesThem(t *testing.T) {
	testtool.Need(t, "blkid", "mkfs.ext4", "mkfs.vfat", "mkswap")
	dir := t.TempDir()
	made := []struct {
		file  string
		mkfs  []string
		names []string
	}{
		{"ext4", []string{"mkfs.ext4", "-q", "-L", `a "b" \c`, "-U", "0A1B2C3D-0001-4002-8003-AABBCCDDEEFF"},
			[]string{"UUID=0A1B2C3D-0001-4002-8003-AABBCCDDEEFF", "UUID=0a1b2c3d000140028003aabbccddeeff",
				"/dev/disk/by-uuid/0a1b2c3d-0001-4002-8003-aabbccddeeff", `LABEL=a\x20\x22b\x22\x20\x5cc`,
				`/dev/disk/by-label/a\x20\x22b\x22\x20\x5cc`, `LABEL=a "b" \c`}},
		{"vfat", []string{"mkfs.vfat", "-i", "44EFC1A0", "-n", "MY ESP"},
			[]string{"UUID=44EF-C1A0", "UUID=44ef-c1a0", `LABEL="MY ESP"`, "LABEL=MY%20ESP"}},
		{"swap", []string{"mkswap", "-q", "-L", "größe", "-U", "11111111-2222-4333-8444-555555555555"},
			[]string{"UUID=11111111-2222-4333-8444-555555555555", "LABEL=größe"}},
	}
	var devices []*device.Device
	for _, m := range made {
		file := filepath.Join(dir, m.file)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, 8<<20); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(testtool.Path(m.mkfs[0]), append(m.mkfs[1:], file)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", m.mkfs, err, out)
		}
		out, err := exec.Command(testtool.Path("blkid"), "-p", "-o", "udev", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		props := map[string]string{}
		for line := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			props[k] = v
		}
		devices = append(devices, device.New(sysfs.Dir(dir), "/devices/"+m.file, props))
	}
	for i, m := range made {
		for _, name := range m.names {
			spec, err := devspec.Parse(name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for j, d := range devices {
				if got := spec.Matches(d); got != (i == j) {
					t.Errorf("%s matches %s: %v (%v)", name, made[j].file, got, d.Properties())
				}
			}
		}
	}
}

// libdevmapper splits names in the same way.
func TestSplitsNamesAsDmsetup(t *testing.T) {
	testtool.Need(t, "dmsetup")
	for _, name := range []string{"vg-lv", "vg--a-lv--b", "vg--a-lv--b-real", "vg-lv_rimage_0", "vg-pool-tpool", "my----vg-x"} {
		out, err := exec.Command(testtool.Path("dmsetup"), "splitname", "--noheadings", "--separator", "/",
			"-o", "vg_name,lv_name,lv_layer", name, "LVM").CombinedOutput()
		if err != nil {
			t.Fatalf("dmsetup splitname: %v\n%s", err, out)
		}
		vg, lv, layer, ok := devspec.SplitLVM(name)
		if got, want := vg+"/"+lv+"/"+layer, strings.TrimSpace(string(out)); got != want || !ok {
			t.Errorf("%s: %s, %v; dmsetup has %s", name, got, ok, want)
		}
		if layer == "" && devspec.JoinLVM(vg, lv) != name {
			t.Errorf("%s does not survive splitting and joining", name)
		}
	}
}
