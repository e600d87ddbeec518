package bootcmd

import "testing"

// The dataset that root= names with boot=zfs is no malformed device, on either side
// of it; without boot=zfs it is.
func TestDatasetOfAPoolIsNoMalformedDevice(t *testing.T) {
	for line, want := range map[string]int{"root=tank/ROOT/fl boot=zfs": 0, "boot=zfs root=tank/ROOT/fl": 0, "root=tank/ROOT/fl": 1} {
		_, problems := Parse(Source{"/proc/cmdline", line})
		n := 0
		for _, p := range problems {
			if p.Kind == Malformed {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %+v", line, problems)
		}
	}
}
