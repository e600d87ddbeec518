package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// builder are the packages that decide what the bytes of an image are.
var builder = []string{"image", "image/cpio", "image/compress", "image/elf", "kmodtree", "kmod", "feature", "sbom", "pkgdb", "kernelimage", "sysroot",
	"udevd/rules/compile", "udevd/rules/tab", "build"}

// measures is where the builder reads the clock to say how long it took.
var measures = map[string]int{"build/build.go Now": 3, "build/build.go Since": 3}

// An image must be the same tomorrow: nothing that makes it looks at the clock,
// the environment, the host's name or the user.
func TestTheBuilderDoesNotLookAtTheClock(t *testing.T) {
	found := map[string]int{}
	for _, pkg := range builder {
		files, err := filepath.Glob(filepath.Join(internalDir, pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(pkg, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := s.X.(*ast.Ident)
				if !ok {
					return true
				}
				switch {
				case x.Name == "time" && slices.Contains(clocks, s.Sel.Name):
					found[pkg+"/"+filepath.Base(name)+" "+s.Sel.Name]++
				case x.Name == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "Hostname", "Getuid", "Getwd"}, s.Sel.Name):
					t.Errorf("%s: os.%s", set.Position(s.Pos()), s.Sel.Name)
				case x.Name == "user" || x.Name == "rand":
					t.Errorf("%s: %s.%s", set.Position(s.Pos()), x.Name, s.Sel.Name)
				}
				return true
			})
		}
	}
	for where, n := range found {
		if measures[where] != n {
			t.Errorf("%s is called %d times, for measuring %d", where, n, measures[where])
		}
	}
}
