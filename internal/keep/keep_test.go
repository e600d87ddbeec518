package keep

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/postmortem"
)

func options(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	o := Options{From: filepath.Join(dir, "run"), To: filepath.Join(dir, "var/boots"), Count: 3, BootID: "b-1",
		Stores: []string{filepath.Join(dir, "pstore"), filepath.Join(dir, "none")}, Variables: filepath.Join(dir, "efivars"),
		ESP: []string{filepath.Join(dir, "efi", postmortem.File)}}
	for _, d := range []string{o.From, o.Stores[0] + "/177", o.Variables, filepath.Dir(o.ESP[0])} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, o.From+"/journal", "firstlight-journal 1\n")
	write(t, o.From+"/inputs", strings.Repeat("firstlight-inputs 1\n", 50))
	write(t, o.From+"/summary", "events=1\n")
	return o
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, o Options) Result {
	t.Helper()
	res, err := Keep(o)
	if err != nil || len(res.Problems) > 0 {
		t.Fatal(err, res.Problems)
	}
	return res
}

func names(t *testing.T, o Options) []string {
	t.Helper()
	list, err := os.ReadDir(o.To)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if e.Name() != collectedName {
			out = append(out, e.Name())
		}
	}
	return out
}

// The last boots are kept, the oldest go, and nobody but root can read what a
// boot was given.
func TestLastBootsAreKept(t *testing.T) {
	o := options(t)
	for i := range 5 {
		o.BootID = fmt.Sprintf("b-%d", i)
		res := run(t, o)
		if res.Kept != fmt.Sprintf("%06d-b-%d", i+1, i) {
			t.Error(res)
		}
	}
	if got := names(t, o); !slices.Equal(got, []string{"000003-b-2", "000004-b-3", "000005-b-4"}) {
		t.Error(got)
	}
	for name, mode := range map[string]os.FileMode{"journal": 0o644, "inputs.zst": 0o600, "summary": 0o644, ".": 0o755 | os.ModeDir} {
		st, err := os.Stat(filepath.Join(o.To, "000005-b-4", name))
		if err != nil || st.Mode() != mode || name == "inputs.zst" && st.Size() > 200 {
			t.Error(name, st, err)
		}
	}
}

// The unit may run twice in a boot, and after a crash in the middle.
func TestKeptBootIsReplacedNotDoubled(t *testing.T) {
	o := options(t)
	run(t, o)
	write(t, o.From+"/journal", "firstlight-journal 1\nmore\n")
	if err := os.MkdirAll(filepath.Join(o.To, tempPrefix+"7"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	if got := names(t, o); !slices.Equal(got, []string{"000001-b-1"}) {
		t.Error(got)
	}
	b, err := os.ReadFile(filepath.Join(o.To, "000001-b-1/journal"))
	if err != nil || !bytes.HasSuffix(b, []byte("more\n")) {
		t.Errorf("%q %v", b, err)
	}
}

func TestForeignDirectoriesStay(t *testing.T) {
	o := options(t)
	for _, d := range []string{"notes", "1-x", "lost+found"} {
		if err := os.MkdirAll(filepath.Join(o.To, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o.Count = 1
	run(t, o)
	o.BootID = "b-2"
	run(t, o)
	if got := names(t, o); !slices.Equal(got, []string{"000002-b-2", "1-x", "lost+found", "notes"}) {
		t.Error(got)
	}
}

func TestNothingToKeepIsNoFault(t *testing.T) {
	o := options(t)
	os.Remove(o.From + "/journal")
	if res := run(t, o); res.Kept != "" || len(names(t, o)) != 0 {
		t.Errorf("%+v", res)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no boots":   func(o *Options) { o.Count = 0 },
		"identifier": func(o *Options) { o.BootID = "../x" },
		"no name":    func(o *Options) { o.BootID = "" },
		"a file":     func(o *Options) { o.To = o.From + "/journal" },
	} {
		o := options(t)
		change(&o)
		if _, err := Keep(o); err == nil || !strings.Contains(err.Error(), "keep: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
