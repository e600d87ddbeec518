package e2e

import (
	"testing"

	"firstlight/internal/ibft"
)

// The iSCSI table of the tests is one that can be read.
func TestISCSITable(t *testing.T) {
	table, err := ibft.Parse(iscsiTable())
	if err != nil || len(table.Notes) > 0 || table.Initiator != iscsiInitiator || len(table.NICs) != 1 || table.NICs[0].Addr.String() != "10.7.0.9/24" || table.NICs[0].DHCP ||
		len(table.Targets) != 1 || table.Targets[0].Name != iscsiTarget || table.Targets[0].LUN != 1<<48 || table.Targets[0].InSecret != chapSecretIn || table.Targets[0].Addr.String() != serverAddress+":3260" {
		t.Errorf("%+v, %v", table, err)
	}
}
