package lan

import (
	"encoding/hex"
	"testing"
)

// MIT's ktutil makes this of the machine's password, with key number 1.
func TestKeyOfAPassword(t *testing.T) {
	got := hex.EncodeToString(keyOf(machineSecret, Realm+"hostbox.firstlight.test"))
	const want = "32ff0e44ebefacb2ee079467ce0f3d0959f01c0efd6032bb2d2eaa60c691531f"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
