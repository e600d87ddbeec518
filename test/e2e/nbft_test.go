package e2e

import (
	"testing"

	"firstlight/internal/nbft"
)

// The table of the tests is one that can be read.
func TestFirmwareTable(t *testing.T) {
	table, err := nbft.Parse(firmwareTable("4420"))
	if err != nil || len(table.HFIs) != 1 || len(table.Namespaces) != 1 || table.Namespaces[0].NQN != subsystem || table.HFIs[0].Addr.String() != "10.7.0.9/24" || table.Host.NQN != hostNQN {
		t.Errorf("%+v, %v", table, err)
	}
}
