package pid1

import "testing"

// A hash whose cost cannot be read must deny, not be computed with another.
func TestArgonCost(t *testing.T) {
	if m, n, p, ok := argonCost("m=65536,t=3,p=4"); !ok || m != 65536 || n != 3 || p != 4 {
		t.Errorf("m=65536,t=3,p=4: %d %d %d %v", m, n, p, ok)
	}
	for _, s := range []string{"", "m=1,t=1", "m=1,t=1,p=256", "m=4294967296,t=1,p=1", "t=1,m=1,p=1", "m=1,t=1,p=1,x=1", "m=-1,t=1,p=1", "m=1,t=1,p=1x", "m= 1,t=1,p=1"} {
		if _, _, _, ok := argonCost(s); ok {
			t.Errorf("%q was read", s)
		}
	}
}
