package compile

import (
	"os"
	"testing"

	"firstlight/internal/testtool"
	"firstlight/internal/udevd/rules"
)

// TestDistributionRules: every rule that Debian's packages brought to this
// machine is one that we read without an error.
func TestDistributionRules(t *testing.T) {
	testtool.Need(t, "udevadm", "dmsetup", "lvm", "mdadm")
	dir := "/usr/lib/udev/rules.d"
	files, err := Collect([]Dir{{dir, os.DirFS(dir)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Compile(files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Errors(r.Problems) {
		t.Error(p)
	}
	table, err := rules.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 || table.Len() < 400 {
		t.Errorf("only %d files with %d rules", len(files), table.Len())
	}
}
