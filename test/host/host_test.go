package host

import (
	"strings"
	"testing"
)

// A Makefile that exports SOURCE_DATE_EPOCH once made every squashfs of the boots
// fail, in runs by make alone.
func TestToolsAreNotToldTheDateOfASource(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	t.Setenv("FIRSTLIGHT_HOST_TEST", "kept")
	out, err := Cmd{Argv: []string{"env"}}.Run(t.Context())
	if err != nil || strings.Contains(out, "SOURCE_DATE_EPOCH") || !strings.Contains(out, "FIRSTLIGHT_HOST_TEST=kept\n") {
		t.Errorf("environment %q, %v", out, err)
	}
	out, err = Cmd{Argv: []string{"env"}, Env: []string{"SOURCE_DATE_EPOCH=1"}}.Run(t.Context())
	if err != nil || !strings.Contains(out, "SOURCE_DATE_EPOCH=1\n") {
		t.Errorf("one that is asked for: environment %q, %v", out, err)
	}
}
