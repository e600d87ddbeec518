package bootdoc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firstlight/internal/bootcmd"
)

const peersFile = "../../docs/parameters.md"

// same are rows that ask for what is the case anyway.
const same = " ro rd_NO_FSTAB boot=local boot=nfs rdudevinfo rd.udev.info rd_NO_MULTIPATH rd.retry=200 " + effectless

// effectless are what the description says to have no effect: an overlay takes
// only the memory that is written to, and nobody is asked.
const effectless = " rd.live.overlay.thin rd.live.overlay.nouserconfirmprompt "

// What the table says of a parameter is so: it changes what the boot is to do, or
// a handler reads it, or it is reported, and there is a reason.
func TestEachRowIsSo(t *testing.T) {
	plain, _ := bootcmd.Parse()
	read := handlers(t)
	for _, p := range peers {
		for _, text := range strings.Fields(p.params) {
			verdict, no := here(text)
			c, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: text})
			for _, x := range problems {
				if x.Kind == bootcmd.Unknown || x.Kind == bootcmd.Malformed && text != "rdpanic" {
					t.Errorf("%s: %v", text, x)
				}
			}
			name, _, _ := strings.Cut(text, "=")
			name, _, _ = strings.Cut(stand(name), "=")
			c.Params = nil
			changes := !cmp.Equal(plain, c)
			isRead := strings.Contains(read, `"`+name+`"`) || strings.Contains(read, `"`+strings.ReplaceAll(name, "-", "_")+`"`)
			reported := slices.ContainsFunc(problems, func(x bootcmd.Problem) bool { return x.Kind == bootcmd.NotYet })
			switch {
			case verdict == "unknown", strings.HasSuffix(verdict, ": "):
				t.Errorf("%s (%s): %q, without a reason", text, p.system, verdict)
			case no && strings.HasPrefix(verdict, "reported") != reported:
				t.Errorf("%s (%s): %q, and reported %v", text, p.system, verdict, reported)
			case !no && !changes && !isRead && !strings.Contains(same, " "+text+" "):
				t.Errorf("%s (%s): %q, and it changes nothing, nor does a handler read it", text, p.system, verdict)
			}
		}
	}
}

// handlers is the source of what reads parameters by itself.
func handlers(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"../handler/*/*.go", "../bootcmd/rare.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

// What handlers are said to read they read.
func TestHandlersReadWhatTheyAreSaidTo(t *testing.T) {
	read := handlers(t)
	for _, name := range bootcmd.OfHandlers() {
		if !strings.Contains(effectless, " "+name+" ") && !strings.Contains(read, `"`+name+`"`) && !strings.Contains(read, `"`+strings.ReplaceAll(name, "-", "_")+`"`) {
			t.Errorf("no handler reads %s", name)
		}
	}
}

// A subject that is reported and is about local storage has a row.
func TestEverySubjectHasARow(t *testing.T) {
	network := []string{"the network", "NFS", "network filesystems", "iSCSI", "FCoE", "NVMe over fabrics", "downloaded images", "virtual machine tools", "s390", "a keyboard or font other than the image's",
		"the changes that an overlay keeps", "integrity without encryption"}
	for _, a := range bootcmd.Areas() {
		if slices.Contains(network, a.Subject) {
			continue
		}
		found := false
		for _, p := range peers {
			for _, text := range strings.Fields(p.params) {
				name, _, _ := strings.Cut(text, "=")
				found = found || slices.ContainsFunc(a.Names, func(n string) bool { return strings.ReplaceAll(n, "_", "-") == strings.ReplaceAll(name, "_", "-") })
			}
		}
		if !found {
			t.Errorf("%s: none of %v is in the table", a.Subject, a.Names)
		}
	}
}

func TestTableOfOtherSystemsIsCurrent(t *testing.T) {
	want := Parameters()
	if *update {
		if err := os.WriteFile(peersFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(peersFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/parameters.md is not what the table makes; run go test ./internal/bootdoc -update")
	}
}
