// Package archtest enforces the rules of docs/architecture.md that a compiler
// does not: which package may import what, and who may read a clock.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// core are the packages that decide or parse: the same input gives the same
// output, in PID 1, in the simulator and in a test. A name that ends in /
// stands for all below it.
var core = []string{
	"ueventd", "udevd", "udevd/rules", "udevd/rules/tab", "udevd/glob", "udevd/escape", "filter", "goal", "boot", "handler", "handler/",
	"journal", "inputs", "postmortem", "bootcmd", "devspec", "fstab", "crypttab", "timespan", "machine", "device",
	"netup", "netreport", "netid", "nfs", "sshfs", "dns", "nbd", "nbd/nbdserve", "nbdup", "httpdisk", "aoe", "nvmf", "nvmfup", "iscsiup", "fetch", "fetch/fetchplan", "imagecache", "oci", "askwire", "lineedit", "sshconf", "sshdesk", "diskup",
	"blkid", "blkread", "blktext", "bootsector", "parttable", "luksfmt", "luksfmt/", "lvmmeta", "mdsuper", "md", "kmod",
	"acpitable", "dhcp4", "dhcp6", "duid", "ibft", "ipv4ll", "nbft", "netconf", "ra",
}

// exceptions are what a core package may import or call although the rule
// says otherwise, each with its reason.
var exceptions = map[string]string{
	"handler/lvm golang.org/x/sys/unix":       "for the kernel's error numbers, which are constants",
	"handler/mdraid golang.org/x/sys/unix":    "the same",
	"handler/multipath golang.org/x/sys/unix": "the same",
	"handler/cifs golang.org/x/sys/unix":      "the same",
	"handler/hostdir golang.org/x/sys/unix":   "the same",
	"handler/mend golang.org/x/sys/unix":      "the same",
	"handler/verity golang.org/x/sys/unix":    "the same",
}

// effects are packages that touch the world.
func effect(path string) bool {
	switch path {
	case "os", "os/exec", "os/signal", "net", "net/http", "syscall", "math/rand", "math/rand/v2", "io/ioutil":
		return true
	}
	return strings.HasPrefix(path, "golang.org/x/sys")
}

// clocks are the functions of package time that read the clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

const internalDir = ".."

func isCore(pkg string) bool {
	return slices.ContainsFunc(core, func(c string) bool {
		return c == pkg || strings.HasSuffix(c, "/") && strings.HasPrefix(pkg, c)
	})
}

func TestCorePackagesTouchNothing(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(internalDir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		pkg, err := filepath.Rel(internalDir, filepath.Dir(p))
		if err != nil || !isCore(pkg) || filepath.Base(pkg) == "handlertest" {
			return err
		}
		seen[pkg] = true
		checkFile(t, pkg, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range core {
		if !strings.HasSuffix(c, "/") && !seen[c] {
			t.Errorf("internal/%s does not exist: the list of this test is out of date", c)
		}
	}
}

func checkFile(t *testing.T, pkg, file string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	timeName := ""
	for _, im := range f.Imports {
		path, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if effect(path) && exceptions[pkg+" "+path] == "" {
			t.Errorf("%s imports %s", file, path)
		}
		if path == "time" {
			timeName = "time"
			if im.Name != nil {
				timeName = im.Name.Name
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && timeName != "" && x.Name == timeName && slices.Contains(clocks, n.Sel.Name) {
				t.Errorf("%s reads the clock: time.%s", set.Position(n.Pos()), n.Sel.Name)
			}
		case *ast.GoStmt:
			if exceptions[pkg+" go"] == "" {
				t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
			}
		}
		return true
	})
}

// heavy are packages that cost /init size or start-up, and that nothing there
// needs.
var heavy = []string{"net", "net/http", "encoding/json", "encoding/gob", "encoding/xml", "regexp", "text/template", "html/template",
	"os/exec", "go/ast", "testing", "flag", "log", "crypto/tls", "crypto/x509", "math/big",
	"github.com/spf13/cobra", "github.com/pelletier/go-toml/v2", "github.com/klauspost/compress/zstd"}

func TestInitLeavesHeavyPackagesOut(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "firstlight/cmd/init").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("only %d packages", len(deps))
	}
	for _, h := range heavy {
		if slices.Contains(deps, h) && exceptions["init "+h] == "" {
			t.Errorf("/init depends on %s: go list -deps shows through what", h)
		}
	}
	for _, d := range deps {
		if d == "firstlight/internal/sim" || d == "firstlight/internal/check" || d == "firstlight/internal/snapshot" || d == "firstlight/internal/testtool" || strings.HasPrefix(d, "firstlight/internal/udevd/rules/compile") {
			t.Errorf("/init depends on %s", d)
		}
	}
}

func TestExceptionsAreUsed(t *testing.T) {
	for e := range exceptions {
		pkg, what, _ := strings.Cut(e, " ")
		if pkg == "init" {
			continue
		}
		names, err := filepath.Glob(filepath.Join(internalDir, pkg, "*.go"))
		if err != nil || len(names) == 0 {
			t.Errorf("exception %q: no such package", e)
			continue
		}
		if !slices.ContainsFunc(names, func(n string) bool {
			b, err := os.ReadFile(n)
			return err == nil && strings.Contains(string(b), strings.Trim(what, `"`))
		}) {
			t.Errorf("exception %q is needed no more", e)
		}
	}
}

// Whatever asks a person hands the answer to the core as an inputs.Secret: the
// value of any other type would stand in the record of the boot.
func TestAnswersOfPeopleAreSecrets(t *testing.T) {
	asked := 0
	err := filepath.WalkDir(internalDir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		pkg, err := filepath.Rel(internalDir, filepath.Dir(p))
		if err != nil || !isCore(pkg) {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.FuncLit)
			if !ok || !asks(lit.Body) {
				return true
			}
			asked++
			if r := lit.Type.Results; r == nil || len(r.List) != 2 || !isSecret(r.List[0].Type) {
				t.Errorf("%s: it asks a person and does not return an inputs.Secret", set.Position(n.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked == 0 {
		t.Error("nobody asks: the test looks for the wrong thing")
	}
}

// asks says whether a function calls Ask with a prompt.
func asks(body ast.Node) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 1 {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Ask" {
				found = true
			}
		}
		return !found
	})
	return found
}

func isSecret(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "inputs" && s.Sel.Name == "Secret"
}
