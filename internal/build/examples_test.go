package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"firstlight/features"
	"firstlight/internal/feature"
	"firstlight/internal/image/cpio"
)

// examples are the features that docs/features.md shows, by their files' names.
func examples(t *testing.T) fstest.MapFS {
	t.Helper()
	text, err := os.ReadFile("../../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	const mark = "```toml\n# /etc/firstlight/features/"
	for _, part := range strings.Split(string(text), mark)[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		body, _, ok := strings.Cut(rest, "```")
		if !ok {
			t.Fatalf("the example %s has no end", name)
		}
		out[name] = &fstest.MapFile{Data: []byte(body), Mode: 0o644}
	}
	return out
}

// The worked examples of the documentation are read as they stand, and give what
// it says.
func TestExamplesOfTheDocumentation(t *testing.T) {
	own := examples(t)
	if len(own) != 3 {
		t.Fatalf("%d examples", len(own))
	}
	set, err := feature.Load(feature.Dir{Name: "features", FS: features.FS}, feature.Dir{Name: "own", FS: own})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := set.Choose([]feature.Fact{{Name: "bus:my-raid", Why: "because"}}, nil, nil)
	if err != nil || len(chosen) < 2 || chosen[0].Name != "my-raid" || chosen[1].Name != "scsi" {
		t.Errorf("%v %v", chosen, err)
	}
	o := options(t, "features = [\"ipmi\"]\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\nlayers = \"luks\"\n")
	o.Features = set
	o.ModulesDir = o.Sysroot.Host("/lib/modules/" + o.Kernel)
	static, err := os.ReadFile(o.Init) // any program without libraries
	if err != nil {
		t.Fatal(err)
	}
	o.Sysroot = system(t, map[string]string{"usr/bin/ipmitool": string(static), "usr/bin/busybox": string(static), "etc/cryptsetup-keys.d/cr.key": "secret"})
	for _, p := range []string{"usr/bin/ipmitool", "usr/bin/busybox"} {
		if err := os.Chmod(filepath.Join(string(o.Sysroot), p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	report, b := mustBuild(t, o)
	if !report.Private || string(cat(t, b, "etc/cryptsetup-keys.d/cr.key")) != "secret" || len(cat(t, b, "usr/bin/ipmitool")) == 0 {
		t.Errorf("private %v", report.Private)
	}
	if mode := modeOf(t, b, "etc/cryptsetup-keys.d/cr.key"); mode != cpio.TypeRegular|0o400 {
		t.Errorf("the key has mode %o", mode)
	}
}
