package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// documentedKinds are the first column of the table in docs/journal.md.
func documentedKinds(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "## Kinds")
	if !ok {
		t.Fatal("docs/journal.md has no section Kinds")
	}
	out := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		out[m[1]] = true
	}
	return out
}

// recordedKinds are the kinds in every call of Record, Note and their like in
// the code, with a place of each.
func recordedKinds(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	// Where the kind stands among the arguments: a task's Record has it
	// first, a recorder's after the cause.
	places := map[string][]int{"Record": {0, 1}, "Note": {0}, "add": {1}, "do": {1}}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, p, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = f.Sel.Name
			case *ast.Ident:
				name = f.Name
			}
			if (name == "add" || name == "do") && !strings.HasSuffix(p, "journal/journal.go") && !strings.HasSuffix(p, "ueventd/task.go") {
				return true
			}
			for _, i := range places[name] {
				if i >= len(call.Args) {
					continue
				}
				if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if kind, err := strconv.Unquote(lit.Value); err == nil {
						out[kind] = set.Position(lit.Pos()).String()
					}
					break
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A reader of the journal finds every kind in its description, and nothing
// there that is never written.
func TestEveryKindIsDocumented(t *testing.T) {
	documented, recorded := documentedKinds(t), recordedKinds(t)
	for kind, where := range recorded {
		if !documented[kind] {
			t.Errorf("%s: the kind %q is not in docs/journal.md", where, kind)
		}
	}
	for kind := range documented {
		if recorded[kind] == "" {
			t.Errorf("docs/journal.md describes %q, which nothing records", kind)
		}
	}
}

// The real journal that other tests use holds no kind without a description.
func TestRealJournalIsDocumented(t *testing.T) {
	f, err := os.Open("../trace/testdata/stack.journal")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedKinds(t)
	for _, r := range records {
		if !documented[r.Kind] {
			t.Errorf("record %d has the kind %q", r.Number, r.Kind)
		}
	}
}
