package build

import (
	"context"
	"slices"
	"testing"

	"firstlight/internal/kmod"
)

// A root on btrfs does not wait for checksums that it has not; the kernel gets
// those that it asks for.
func TestChecksumsOfBtrfsAreLoadedOnRequest(t *testing.T) {
	o := options(t, plain)
	o.Config.Root.FSType = List{"btrfs"}
	tree, _, err := Plan(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	index, err := kmod.OpenIndex(tree.Get("etc/firstlight/modules.idx").Data)
	if err != nil {
		t.Fatal(err)
	}
	steps := func(name string) (names []string) {
		p, err := index.PlanFor(name, kmod.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Steps {
			names = append(names, s.Name)
		}
		return names
	}
	mount := steps("fs-btrfs")
	for _, needed := range []string{"btrfs", "raid6_pq", "crc32c_intel"} {
		if !slices.Contains(mount, needed) {
			t.Errorf("fs-btrfs loads %q, without %s", mount, needed)
		}
	}
	for alias, module := range map[string]string{"crypto-xxhash64": "xxhash_generic", "crypto-blake2b-256": "blake2b_generic", "crypto-sha256": "sha256_ssse3"} {
		if slices.Contains(mount, module) {
			t.Errorf("fs-btrfs loads %q, with %s", mount, module)
		}
		if got := steps(alias); !slices.Contains(got, module) {
			t.Errorf("%s loads %q, without %s", alias, got, module)
		}
	}
}
