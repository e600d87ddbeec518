package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The examples in docs/trace.md are what the commands print; UPDATE=1 writes
// them.
func TestTraceDocumentIsTrue(t *testing.T) {
	name, err := filepath.Abs("../../docs/trace.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NO_COLOR", "1")
	t.Chdir("../trace/testdata")
	const fence = "```\n"
	parts := strings.Split(string(text), fence)
	examples := 0
	for i := 1; i < len(parts); i += 2 {
		command, _, _ := strings.Cut(parts[i], "\n")
		args, ok := strings.CutPrefix(command, "$ firstlight ")
		if !ok {
			t.Fatalf("a block begins with %q", command)
		}
		var out, errs bytes.Buffer
		if code := Main(strings.Fields(args), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("%s: exit code %d: %s", command, code, &errs)
		}
		want := command + "\n" + out.String()
		if parts[i] != want && os.Getenv("UPDATE") != "1" {
			t.Errorf("%s prints\n%s\nthe page says\n%s", command, want, parts[i])
		}
		parts[i] = want
		examples++
	}
	if examples < 6 {
		t.Errorf("only %d examples", examples)
	}
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(name, []byte(strings.Join(parts, fence)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
