package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// helpers are the programs that talk to servers and to people far away.
var helpers = []string{"network", "fetch", "imagecache", "oci", "httpdisk", "nbd", "nbd-tls", "nvmf", "iscsi", "tang", "tang-tls", "ssh", "sshfs"}

// started are the programs that they start, by package, as the source has them. None
// is a shell, but the emergency shell of a person who has proved to be one that may.
var started = map[string]string{
	`iscsihelper "/proc/self/exe"`:    "itself, to become iscsid",
	`iscsihelper path`:                "iscsid, as it is in the image",
	`iscsihelper "iscsiadm"`:          "open-iscsi's, with arguments that no shell reads",
	`fetchrun program`:                "the program that fetches",
	`fetchrun root + trustfiles.GPGV`: "gpgv, with arguments that no shell reads",
	`nethelper program`:               "wpa_supplicant, as it is in the image",
	`sshserver program`:               "the emergency shell",
	`gsshelper g.program`:             "rpc.gssd, as it is in the image",
	`ownroot program`:                 "the loader of rpc.gssd, sshfs and ssh, which says what they need",
	`sshfshelper program`:             "sshfs, as it is in the image",
	`sshfshelper programs + "/ssh"`:   "ssh, as it is in the image, with arguments that no shell reads",
}

// starters are the functions that start a program, and which argument it is.
var starters = map[string]int{
	"exec.Command": 0, "exec.CommandContext": 1, "os.StartProcess": 0, "syscall.Exec": 0, "syscall.ForkExec": 0, "syscall.StartProcess": 0, "unix.Exec": 0,
}

// No shell sees what comes from the network: the programs that talk to it start what
// is listed above and nothing else, none of which evaluates its arguments, and
// nothing in them names a shell besides.
func TestNoShellRunsWhatTheNetworkSays(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range helperPackages(t) {
		pkg := filepath.Base(dir)
		names, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					i, ok := starters[source(set, n.Fun)]
					if !ok {
						break
					}
					what := pkg + " " + source(set, n.Args[i])
					if seen[what] = true; started[what] == "" {
						t.Errorf("%s starts %s", set.Position(n.Pos()), what)
					}
				case *ast.BasicLit:
					s, err := strconv.Unquote(n.Value)
					if err != nil || n.Kind != token.STRING || pkg == "sshserver" && s == "sh" {
						break
					}
					switch filepath.Base(s) {
					case "sh", "bash", "ash", "dash", "busybox":
						t.Errorf("%s names a shell: %q", set.Position(n.Pos()), s)
					}
				}
				return true
			})
		}
	}
	for what := range started {
		if !seen[what] {
			t.Errorf("nobody starts %s: the list of this test is out of date", what)
		}
	}
}

// /init itself hands a text to a shell nowhere: programs get their arguments one by
// one.
func TestInitHandsNothingToAShell(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "firstlight/cmd/init-full").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		dir, ok := strings.CutPrefix(pkg, "firstlight/")
		if !ok {
			continue
		}
		names, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, text := range []string{`"sh", "-c"`, `sh", "-c`, `"-c", `} {
				if i := bytes.Index(b, []byte(text)); i >= 0 {
					t.Errorf("%s:%d hands a text to a shell", name, 1+bytes.Count(b[:i], []byte{'\n'}))
				}
			}
		}
	}
}

// helperPackages are the directories of what the helpers are made of.
func helperPackages(t *testing.T) (dirs []string) {
	t.Helper()
	args := []string{"list", "-deps"}
	for _, h := range helpers {
		args = append(args, "firstlight/cmd/"+h)
	}
	list, err := os.ReadDir("../../cmd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if own := []string{"firstlight", "init", "init-full"}; !slices.Contains(own, e.Name()) && !slices.Contains(helpers, e.Name()) {
			t.Errorf("cmd/%s is not in the list of this test", e.Name())
		}
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if dir, ok := strings.CutPrefix(pkg, "firstlight/"); ok && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) < 30 {
		t.Fatalf("only %d packages", len(dirs))
	}
	return dirs
}

// source is an expression as it is written.
func source(set *token.FileSet, e ast.Expr) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, set, e); err != nil {
		return ""
	}
	return b.String()
}
