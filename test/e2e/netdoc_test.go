package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firstlight/test/host"
)

// docs/network-tests.md has every scenario with a network, and no other name between
// backquotes.
func TestNetworkScenariosAreDescribed(t *testing.T) {
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(checkout, "docs/network-tests.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9.-]+)`").FindAllStringSubmatch(string(text), -1) {
		said[m[1]] = !strings.HasPrefix(m[1], "rd.") // a parameter
	}
	for _, s := range Matrix() {
		if (s.Net != nil || s.Share != "") && !said[s.Name] {
			t.Errorf("%s is not in docs/network-tests.md", s.Name)
		}
		delete(said, s.Name)
	}
	for name, scenario := range said {
		if scenario {
			t.Errorf("docs/network-tests.md has %s, which is no scenario", name)
		}
	}
}
