package migrate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/features"
	"firstlight/internal/build"
	"firstlight/internal/feature"
)

func known(t testing.TB) (names []string) {
	t.Helper()
	set, err := feature.Load(feature.Dir{Name: "features", FS: features.FS})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set.All() {
		names = append(names, f.Name)
	}
	return names
}

func tool(t testing.TB, name string) Tool {
	t.Helper()
	i := slices.IndexFunc(Tools(), func(x Tool) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no tool %s", name)
	}
	return Tools()[i]
}

// TestExamples: the configurations in testdata give the files beside them;
// UPDATE=1 writes these.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) < len(Tools()) {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			x := tool(t, name)
			var files []File
			for _, pattern := range x.Files {
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range found {
					b, err := os.ReadFile(p)
					if err != nil {
						t.Fatal(err)
					}
					files = append(files, File{strings.TrimPrefix(p, dir), string(b)})
				}
			}
			got := x.Read(files, known(t)).TOML()
			want := filepath.Join(dir, "firstlight.toml")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(want)
			if err != nil || got != string(b) {
				t.Errorf("%v\n%s", err, got)
			}
			if _, err := build.ParseConfig(want, b); err != nil {
				t.Error(err)
			}
			for i, line := range strings.Split(got, "\n") {
				if !strings.HasPrefix(line, "#") && len(line) > 200 {
					t.Errorf("line %d is long: %s", i+1, line)
				}
			}
		})
	}
}

func TestShellWords(t *testing.T) {
	for text, want := range map[string]string{
		`A=b`:                 "A[b]",
		`A="b c" # d`:         "A[b c]",
		`A+=' b '`:            "A+[ b ]",
		"A=(b 'c d' # e\n f)": "A[b,c d,f]",
		"A=(\n)":              "A[]",
		"A=b\\\nc":            "A[bc]",
		`A=`:                  "A[]",
		"export A=b":          "A[b]",
		"A=\"b\nc\"":          "A[b\nc]",
		`A=$B`:                "!it is more than a setting, or has to be computed",
		`A="$(date)"`:         "!it is more than a setting, or has to be computed",
		`A=b; rm -rf /`:       "!it is more than a setting, or has to be computed",
		`rm -rf /`:            "!it is a command and not a setting: it was not run",
		`if [ x = y ]; then`:  "!it is a command and not a setting: it was not run",
		"A=(b":                "!a quote or a bracket is not closed",
		`A="b`:                "!a quote or a bracket is not closed",
		"# A=b\n\n  B=c\t# d": "B[c]",
		`A=(b) c`:             "!it is more than a setting, or has to be computed",
	} {
		m := &migration{r: &Result{}}
		var got string
		for _, a := range assignments(m, File{"f", text}) {
			got += a.name
			if a.add {
				got += "+"
			}
			got += "[" + strings.Join(a.values, ",") + "]"
		}
		for _, l := range m.r.Left {
			got += "!" + l.Why
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Whatever a file holds, what is made of it is a configuration that can be read
// or, where a value is none, one that says so.
func FuzzMigrate(f *testing.F) {
	names := known(f)
	for _, dir := range []string{"dracut", "initramfs-tools", "mkinitcpio", "booster", "make-initrd"} {
		found, _ := filepath.Glob("testdata/" + dir + "/etc/*")
		for _, p := range found {
			if b, err := os.ReadFile(p); err == nil {
				f.Add(string(b))
			}
		}
	}
	f.Add("COMPRESS=zstd\nCOMPRESSLEVEL=99\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, x := range Tools() {
			r := x.Read([]File{{"/etc/" + x.Name, text}}, names)
			c := &build.Config{}
			if err := feature.Decode("made", []byte(r.TOML()), c); err != nil {
				t.Errorf("%s: %v\n%s", x.Name, err, r.TOML())
			}
		}
	})
}
