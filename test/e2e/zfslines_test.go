package e2e

import "testing"

// What two boots of one disk cannot have in common, and what is meant to differ, is
// not compared; all else is.
func TestLinesOfZFSAreCompared(t *testing.T) {
	for line, want := range map[string]string{
		"rpool/ROOT/debian\tavailable\t857157632\t-":         "",
		"rpool\tload_guid\t4987342461240319155\t-":           "",
		"rpool/ROOT/debian  relatime  on  temporary":         "rpool/ROOT/debian relatime off default",
		"/srv   rpool/ROOT/debian/srv / rw,relatime,xattr":   "/srv rpool/ROOT/debian/srv / rw,xattr",
		"    /dev/disk/by-id/virtio-d0-part1  ONLINE  0 0 0": "/dev/vda1 ONLINE 0 0 0",
		"/dev/vda1 1.27G - - - - - - - ONLINE":               "/dev/vda1 ONLINE",
		"rpool 1.25G 338M 942M - - 1% 26% 1.00x ONLINE -":    "rpool ONLINE",
		"rpool/ROOT/debian compression lz4 inherited":        "rpool/ROOT/debian compression lz4 inherited",
		"rpool bootfs rpool/ROOT/debian local":               "rpool bootfs rpool/ROOT/debian local",
	} {
		if got := comparable(line); got != want {
			t.Errorf("%q is compared as %q, not %q", line, got, want)
		}
	}
}
