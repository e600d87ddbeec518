package archtest

import (
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const ownFmt = "firstlight/internal/fmt"

// TestInitFormatsWhatItsFmtCanPrint looks at every call of internal/fmt in
// /init, and of functions that pass a format on to it: a verb that does not
// go with its operand would show only in the one boot that fails.
func TestInitFormatsWhatItsFmtCanPrint(t *testing.T) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}}\t{{.Export}}\t{{.Dir}}\t{{.Standard}}\t{{join .GoFiles \" \"}}", "firstlight/cmd/init").Output()
	if err != nil {
		t.Fatal(err)
	}
	export := map[string]string{}
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(p string) (io.ReadCloser, error) { return os.Open(export[p]) })
	calls := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		pkg := f[0]
		export[pkg] = f[1]
		if f[3] == "true" || !strings.HasPrefix(pkg, "firstlight/") || pkg == ownFmt {
			continue
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		var files []*ast.File
		for _, name := range strings.Fields(f[4]) {
			file, err := parser.ParseFile(set, filepath.Join(f[2], name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, im := range file.Imports {
				if im.Path.Value == `"fmt"` {
					t.Errorf("%s imports fmt: /init uses internal/fmt", set.Position(im.Pos()))
				}
			}
			files = append(files, file)
		}
		if _, err := (&types.Config{Importer: imports}).Check(pkg, set, files, info); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && checkFormat(t, set, info, call) {
					calls++
				}
				return true
			})
		}
	}
	if calls < 300 {
		t.Errorf("only %d calls were looked at", calls)
	}
}

// checkFormat checks a call of a function whose last parameters are "format
// string, args ...any", and says whether it is one.
func checkFormat(t *testing.T, set *token.FileSet, info *types.Info, call *ast.CallExpr) bool {
	t.Helper()
	sig, ok := info.Types[call.Fun].Type.(*types.Signature)
	if !ok || !sig.Variadic() || sig.Params().Len() < 2 {
		return false
	}
	at := sig.Params().Len() - 2
	if p := sig.Params().At(at); p.Name() != "format" || p.Type() != types.Typ[types.String] {
		return false
	}
	pos := set.Position(call.Pos())
	format := info.Types[call.Args[at]].Value
	if call.Ellipsis.IsValid() {
		return true // the caller's own format and operands, checked where they come from
	}
	if format == nil {
		t.Errorf("%s: the format is not a constant", pos)
		return true
	}
	args := call.Args[at+1:]
	text := constant.StringVal(format)
	for _, piece := range strings.Split(strings.ReplaceAll(text, "%%", ""), "%")[1:] {
		flags := piece[:len(piece)-len(strings.TrimLeft(piece, "#0-123456789."))]
		if len(flags) == len(piece) || len(args) == 0 {
			t.Errorf("%s: %q lacks a verb or an operand", pos, text)
			return true
		}
		verb := piece[len(flags)]
		if !printable(info.Types[args[0]].Type, verb, flags) {
			t.Errorf("%s: %q: internal/fmt does not print %s with %%%s%c", pos, text, info.Types[args[0]].Type, flags, verb)
		}
		args = args[1:]
	}
	if len(args) != 0 {
		t.Errorf("%s: %q has too many operands", pos, text)
	}
	return true
}

// printable says what the doc comment of internal/fmt says.
func printable(typ types.Type, verb byte, flags string) bool {
	isText, isInt, isBool := false, false, false
	if basic, ok := types.Default(typ).(*types.Basic); ok {
		isText = basic.Info()&types.IsString != 0
		isInt = basic.Info()&types.IsInteger != 0
		isBool = basic.Info()&types.IsBoolean != 0
	} else {
		methods := types.NewMethodSet(typ)
		isText = methods.Lookup(nil, "Error") != nil || methods.Lookup(nil, "String") != nil || types.Identical(typ, types.NewSlice(types.Typ[types.Byte]))
	}
	if iface, ok := typ.Underlying().(*types.Interface); ok && iface.Empty() {
		return verb == 'v' && flags == "" // the value of a panic
	}
	zero := strings.HasPrefix(strings.TrimLeft(flags, "#-"), "0")
	switch verb {
	case 's', 'q', 'w':
		return isText && !zero && !strings.Contains(flags, "#")
	case 'v':
		return (isText && !zero || isInt || isBool) && !strings.Contains(flags, "#")
	case 'd':
		return isInt && !strings.Contains(flags, "#") && !strings.Contains(flags, ".")
	case 'x', 'X':
		return isInt && !strings.Contains(flags, ".") || isText && !zero
	case 't':
		return isBool && !zero
	}
	return false
}

// What the check must see.
func TestFormatCheck(t *testing.T) {
	named := types.NewNamed(types.NewTypeName(0, nil, "named", nil), types.Typ[types.String], nil)
	str, num, err := types.Typ[types.String], types.Typ[types.Uint32], types.Universe.Lookup("error").Type()
	for _, c := range []struct {
		typ         types.Type
		verb, flags string
		want        bool
	}{
		{str, "s", "", true}, {str, "q", ".60", true}, {str, "d", "", false}, {str, "s", "05", false},
		{num, "d", "", true}, {num, "x", "08", true}, {num, "x", "#", true}, {num, "s", "", false}, {num, "d", ".3", false}, {num, "b", "", false},
		{err, "w", "", true}, {err, "v", "", true}, {err, "d", "", false},
		{named, "s", "", false}, {named, "v", "", false}, {types.NewSlice(num), "v", "", false}, {types.NewSlice(types.Typ[types.Byte]), "x", "", true},
		{types.Typ[types.Float64], "f", ".1", false}, {types.Typ[types.Bool], "t", "", true},
		{types.NewInterfaceType(nil, nil), "v", "", true}, {types.NewInterfaceType(nil, nil), "s", "", false},
	} {
		if got := printable(c.typ, c.verb[0], c.flags); got != c.want {
			t.Errorf("%s with %s: %v", c.typ, strconv.Quote("%"+c.flags+c.verb), got)
		}
	}
}
