package compile

import (
	"os"
	"testing"

	"firstlight/internal/udevd/rules"
)

// TestDistributionRules: every rule that Debian's packages brought to this
// machine is one that we read without an error.
func TestDistributionRules(t *testing.T) {
	dir := os.Getenv("RULES_DIR")
	if dir == "" {
		dir = "/usr/lib/udev/rules.d"
	}
	files, err := Collect([]Dir{{dir, os.DirFS(dir)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, p := range f.Problems {
			t.Log(p)
		}
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
	t.Logf("%d files, %d rules, %d bytes", len(files), table.Len(), len(r.Table))
}
