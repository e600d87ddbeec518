package build

import (
	"context"
	"slices"
	"testing"

	"firstlight/internal/detect"
	"firstlight/internal/feature"
)

// Firmware that the machine's description names is looked for like that of modules,
// and one that the system lacks is said.
func TestFirmwareThatTheMachineNames(t *testing.T) {
	o := options(t, "mode = \"host\"\n")
	o.Detect = func() (*detect.Need, error) {
		return &detect.Need{Facts: []feature.Fact{{Name: "fstype:ext4", Why: "/"}}, Firmware: map[string]string{"acme/phy.bin": "named by the device tree"}}, nil
	}
	_, r, err := Plan(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(r.Missing, "acme/phy.bin") {
		t.Errorf("missing: %q", r.Missing)
	}
}
