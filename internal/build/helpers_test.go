package build

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Nobody whose root needs no network carries the programs for it, and who needs one
// carries no other.
func TestHelpersAreInAnImageOnlyWhenNeeded(t *testing.T) {
	all := []string{"network", "nbd", "nbd-tls", "nvmf", "iscsi", "fetch", "imagecache", "oci", "httpdisk", "ssh", "sshfs", "tang", "tang-tls"}
	for _, test := range []struct{ config, want string }{
		{plain, ""},
		{"[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\nlayers = [\"luks\", \"lvm\", \"md-raid1\"]\n", ""},
		{"mode = \"generic\"\n", ""},
		{"[root]\nfstype = \"nfs\"\n", "network"},
		{"[root]\nfstype = \"ext4\"\nneeds = \"nbd\"\n", "network nbd"},
		{"[root]\nfstype = \"ext4\"\nneeds = \"nvmf\"\n", "network nvmf"},
		{"mode = \"generic\"\nfeatures = [\"nfs\"]\n", "network"},
	} {
		o := options(t, test.config)
		o.InitFull = o.Init
		tree, _, err := Plan(context.Background(), o)
		if err != nil {
			t.Errorf("%q: %v", test.config, err)
			continue
		}
		has := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return tree.Get("usr/lib/firstlight/"+p) == nil })
		if got := strings.Join(has, " "); got != test.want {
			t.Errorf("%q: the image has %q, not %q", test.config, got, test.want)
		}
	}
}
