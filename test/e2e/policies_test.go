package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every policy for a bad day names a scenario or a test that shows it, and what
// it names is there.
func TestEachPolicyIsShown(t *testing.T) {
	top := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(top, "docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range Matrix() {
		known[s.Name] = true
	}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if path != top && d != nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // the cache may be a machine's root that is just being made
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(code, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	// Names of scenarios have hyphens; of several, an ellipsis stands for the rest.
	name := regexp.MustCompile(`^(Test\w+|[a-z0-9]+(-[a-z0-9]+)+)$`)
	rows := 0
	_, table, _ := strings.Cut(string(text), "| --- | --- | --- | --- |")
	if table == "" {
		_, table, _ = strings.Cut(string(text), "|---|---|---|---|")
	}
	for row := range strings.Lines(strings.TrimPrefix(table, "\n")) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(row), `\|`, "/"), "|")
		if len(cells) != 6 {
			break // the table ends
		}
		rows++
		found := false
		for _, q := range quoted.FindAllStringSubmatch(cells[4], -1) {
			start, more := strings.CutSuffix(q[1], "…")
			switch {
			case more:
				for k := range known {
					found = found || strings.HasPrefix(k, start)
				}
			case known[q[1]]:
				found = true
			case name.MatchString(q[1]):
				t.Errorf("%s: neither a scenario nor a test is called %s", strings.TrimSpace(cells[1]), q[1])
			}
		}
		if !found {
			t.Errorf("%s: nothing shows it (%s)", strings.TrimSpace(cells[1]), strings.TrimSpace(cells[4]))
		}
	}
	if rows < 100 {
		t.Errorf("%d policies were found", rows)
	}
}
