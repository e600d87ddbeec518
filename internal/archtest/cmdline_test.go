package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const bootcmdPath = "firstlight/internal/bootcmd"

// notRead are fields of the command line's configuration that nothing needs to
// read, each with its reason.
var notRead = map[string]string{
	"Console.Options":    "the kernel has set the line up by them",
	"Config.Unsupported": "the problem that goes with each says it",
	"Failure.ShellSet":   "Shell is what comes of it",
}

// A parameter that is read, and then looked at by nobody, is one that a person
// relies on in vain: every field of the configuration is used outside of the
// functions that fill it.
func TestEveryFieldOfTheCommandLineIsRead(t *testing.T) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export", "firstlight/cmd/init").Output()
	if err != nil {
		t.Fatal(err)
	}
	type pkg struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports := map[string]string{}
	var ours []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, "firstlight/") {
			ours = append(ours, p)
		}
	}
	set := token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	// One importer, so that a type is the same one for all that use it.
	imp := importer.ForCompiler(set, "gc", lookup)
	config, err := imp.Import(bootcmdPath)
	if err != nil {
		t.Fatal(err)
	}
	unread := map[types.Object]string{}
	for _, name := range config.Scope().Names() {
		obj := config.Scope().Lookup(name)
		s, ok := obj.Type().Underlying().(*types.Struct)
		if !ok || !reached(config, obj.Type()) {
			continue
		}
		for i := range s.NumFields() {
			unread[s.Field(i)] = name + "." + s.Field(i).Name()
		}
	}
	if len(unread) < 50 {
		t.Fatalf("only %d fields: the test looks at the wrong thing", len(unread))
	}
	for _, p := range ours {
		var files []*ast.File
		for _, n := range p.GoFiles {
			f, err := parser.ParseFile(set, filepath.Join(p.Dir, n), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		checked, err := (&types.Config{Importer: imp}).Check(p.ImportPath, set, files, info)
		if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != bootcmdPath {
			for _, obj := range info.Uses {
				delete(unread, obj)
			}
			continue
		}
		// What a Config says of itself (Lookup, BreaksAt) reads it as well.
		// Compared by name: here the package was made from its source.
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && ast.IsExported(fn.Name.Name) {
					for field, name := range unread {
						if readIn(checked, info, fn, name) {
							delete(unread, field)
						}
					}
				}
			}
		}
	}
	for _, name := range unread {
		if notRead[name] == "" {
			t.Errorf("bootcmd.%s is filled and never read: its parameters have no effect", name)
		}
	}
	for name, why := range notRead {
		found := false
		for _, n := range unread {
			found = found || n == name
		}
		if !found {
			t.Errorf("%s is read after all, or is no field: the exception (%s) is needed no more", name, why)
		}
	}
}

// readIn says whether a function uses a field, "Type.Field".
func readIn(pkg *types.Package, info *types.Info, fn *ast.FuncDecl, field string) bool {
	owner, name, _ := strings.Cut(field, ".")
	s, ok := pkg.Scope().Lookup(owner).Type().Underlying().(*types.Struct)
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		sel, is := n.(*ast.SelectorExpr)
		for i := 0; ok && is && i < s.NumFields(); i++ {
			found = found || s.Field(i).Name() == name && info.Uses[sel.Sel] == s.Field(i)
		}
		return true
	})
	return found
}

// reached says whether values of a type of the package are part of a Config.
func reached(config *types.Package, typ types.Type) bool {
	seen := map[types.Type]bool{}
	var visit func(types.Type)
	visit = func(x types.Type) {
		if seen[x] {
			return
		}
		seen[x] = true
		switch x := x.(type) {
		case *types.Named:
			if x.Obj().Pkg() == config {
				visit(x.Underlying())
			}
		case *types.Slice:
			visit(x.Elem())
		case *types.Map:
			visit(x.Elem())
		case *types.Struct:
			for i := range x.NumFields() {
				visit(x.Field(i).Type())
			}
		}
	}
	visit(config.Scope().Lookup("Config").Type())
	return seen[typ]
}
