package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fewOf are the packages of which /init uses only this: anything else of them
// brings in files with pollers and splicing, or times with their formats and
// zones, tens of kilobytes each.
var fewOf = map[string][]string{
	"os":      {"Args", "Environ", "Exit", "Signal"},
	"context": {},
}

// dear are functions of package time that make a time.Time an interface
// value, for the same reason; time.AfterFunc does not.
var dear = []string{"NewTimer", "NewTicker", "After", "Tick"}

// buildersOnly are files of packages of /init that only the builder calls, so
// that the linker leaves them out.
var buildersOnly = []string{"write.go", "writetrie.go"}

func TestInitUsesLittleOfOS(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}\t{{join .GoFiles \" \"}}{{end}}",
		"firstlight/cmd/init").Output()
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	looked := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || !strings.HasPrefix(f[0], "firstlight/") {
			continue
		}
		for _, name := range strings.Fields(f[2]) {
			file, err := parser.ParseFile(set, filepath.Join(f[1], name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			looked++
			imported := map[string]bool{}
			for _, im := range file.Imports {
				imported[strings.Trim(im.Path.Value, `"`)] = true
			}
			ast.Inspect(file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok || !imported[x.Name] {
					return true
				}
				if x.Name == "slices" && strings.HasPrefix(sel.Sel.Name, "Sort") && !slices.Contains(buildersOnly, name) {
					t.Errorf("%s: slices.%s is compiled anew for each type, ten kilobytes each: see internal/order and package sort",
						set.Position(sel.Pos()), sel.Sel.Name)
				}
				allowed, limited := fewOf[x.Name]
				if limited && !slices.Contains(allowed, sel.Sel.Name) || x.Name == "time" && slices.Contains(dear, sel.Sel.Name) {
					t.Errorf("%s: %s.%s makes /init larger by far more than it is worth: see internal/sysfile and time.AfterFunc",
						set.Position(sel.Pos()), x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
	if looked < 100 {
		t.Errorf("only %d files were looked at", looked)
	}
}
