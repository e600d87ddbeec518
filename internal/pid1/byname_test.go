package pid1

import "testing"

// What is no mapped device, or has no name that leads to it, is mounted as it is
// called.
func TestWhatMountsAreCalled(t *testing.T) {
	for _, node := range []string{"/dev/sda1", "tmpfs", "/dev/dm-4000000", "/dev/mapper/a", "/dev/dm-../../etc"} {
		if got := byName(node); got != node {
			t.Errorf("%s: %s", node, got)
		}
	}
}
