package compile

import (
	"flag"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/tab"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestProblems: each mistake is named with its place, and with what to do.
func TestProblems(t *testing.T) {
	text, err := os.ReadFile("testdata/bad.rules")
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) (uint32, bool) { return 0, false }
	r, err := Compile([]*File{Parse("bad.rules", text)}, Options{User: none, Group: none})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	if *update {
		if err := os.WriteFile("testdata/bad.golden", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/bad.golden")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got:\n%s", b.String())
	}
	// Whatever is wrong, a table comes out, and it is a sound one.
	if _, err := rules.Open(r.Table); err != nil {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	f := Parse("x", []byte("# c\n\n  KERNEL==\"a\", \\\r\n# in between\n   ENV{A}=\"1\"\r\nKERNEL==\"b\",\\\nENV{B}=\"2\"\n"))
	if len(f.Rules) != 2 || f.Rules[0].Line != 3 || f.Rules[1].Line != 6 {
		t.Fatalf("%+v %v", f.Rules, f.Problems)
	}
	long := "ENV{X}=\"" + strings.Repeat("x", 17000) + "\"\nENV{Y}=\"1\"\n"
	f = Parse("x", []byte(long))
	if len(f.Rules) != 1 || len(f.Problems) != 1 || f.Problems[0].Line != 1 || !strings.Contains(f.Problems[0].Text, "longer") {
		t.Errorf("%+v", f.Problems)
	}
}

// TestValues: quotes, escapes and prefixes.
func TestValues(t *testing.T) {
	for in, want := range map[string]string{
		`ENV{X}="a\"b"`:                 `a"b`,
		`ENV{X}="a\\b\n"`:               `a\\b\n`,
		`ENV{X}=e"a\\b\n\t\"\x41\101"`:  "a\\b\n\t\"AA",
		`ENV{X}=e"\u20ac\U0001f600\s."`: "€\U0001f600 .",
		`ENV{X} = "spaced"`:             "spaced",
		`ENV{X}+=""`:                    "",
	} {
		f := Parse("x", []byte(in))
		if len(f.Problems) != 0 || len(f.Rules) != 1 {
			t.Errorf("%s: %v", in, f.Problems)
			continue
		}
		if got := f.Rules[0].Keys[0].Value; got != want {
			t.Errorf("%s: %q instead of %q", in, got, want)
		}
	}
	f := Parse("x", []byte(`KERNEL==ie"S\x44A", ATTR{x}==ei"a|b", ENV{Y}="1"`))
	if len(f.Problems) != 0 || f.Rules[0].Keys[0].Flags&tab.Fold == 0 || f.Rules[0].Keys[0].Value != "SDA" {
		t.Errorf("%+v %v", f.Rules, f.Problems)
	}
}

// TestOrder: the keys of a rule are looked at in udev's order.
func TestOrder(t *testing.T) {
	f := Parse("x", []byte(`RUN+="p", SYMLINK+="s", RESULT=="r", PROGRAM=="q", ATTRS{a}=="1", KERNEL=="k", ACTION=="add", RUN{builtin}+="kmod load", ENV{X}="1", OPTIONS="watch"`))
	var got []string
	for _, k := range f.Rules[0].Keys {
		got = append(got, k.Name)
	}
	if s := strings.Join(got, " "); s != "ACTION KERNEL ATTRS{a} PROGRAM RESULT OPTIONS ENV{X} SYMLINK RUN{builtin} RUN" {
		t.Error(s)
	}
}

// TestCollect: the first directory that has a name decides about it, an empty
// file turns it off, and the files come by name.
func TestCollect(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	dirs := []Dir{
		{"/etc", fstest.MapFS{"50-b.rules": file(`ENV{X}="etc"`), "10-off.rules": file(""), "README": file("x")}},
		{"/usr", fstest.MapFS{"50-b.rules": file(`ENV{X}="usr"`), "10-off.rules": file(`ENV{X}="off"`), "20-a.rules": file(`ENV{X}="a"`), "90-no.rules": file("?")}},
	}
	files, err := Collect(dirs, func(n string) bool { return n != "90-no.rules" })
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Name != "/usr/20-a.rules" || files[1].Name != "/etc/50-b.rules" {
		t.Errorf("%+v", files)
	}
}

// TestMissingTools: what is not in the image is named; a rule that needs it
// as a condition goes, one that runs it at the end stays.
func TestMissingTools(t *testing.T) {
	f := Parse("x.rules", []byte(`PROGRAM=="/bin/gone", ENV{A}="1"
PROGRAM!="/bin/gone", ENV{B}="1"
IMPORT{program}="/bin/here $kernel"
ENV{C}="1", RUN+="/bin/gone x"
IMPORT{builtin}="hwdb", ENV{D}="1"
IMPORT{program}="ata_id --export $devnode"
`))
	r, err := Compile([]*File{f}, Options{
		Program:        func(p string) bool { return p == "/bin/here" },
		Builtin:        func(b string) bool { return b == "ata_id" },
		ProgramBuiltin: func(p string) string { return map[string]string{"ata_id": "ata_id"}[p] },
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := rules.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	var lines []uint32
	for _, w := range table.Applicable("x", "add") {
		lines = append(lines, w.Line)
	}
	if len(lines) != 4 || lines[0] != 2 || lines[1] != 3 || lines[2] != 4 || lines[3] != 6 {
		t.Errorf("rules %v are left", lines)
	}
	missing := ""
	for _, n := range r.Needs {
		if n.Missing {
			missing += " " + n.Name
		}
	}
	if missing != " /bin/gone /bin/gone /bin/gone hwdb" || len(r.Problems) != 0 {
		t.Errorf("missing%s, %v", missing, r.Problems)
	}
}

// TestNamesBecomeNumbers: owners are resolved when the target is known.
func TestNamesBecomeNumbers(t *testing.T) {
	f := Parse("x", []byte(`KERNEL=="a", OWNER="root", GROUP="disk", MODE="0660", OPTIONS="static_node=a"`))
	r, err := Compile([]*File{f}, Options{
		User:  func(n string) (uint32, bool) { return 0, n == "root" },
		Group: func(n string) (uint32, bool) { return 6, n == "disk" },
	})
	if err != nil || len(r.Problems) != 0 {
		t.Fatal(err, r)
	}
	table, err := rules.Open(r.Table)
	if err != nil {
		t.Fatal(err)
	}
	if n := table.StaticNodes(); len(n) != 1 || *n[0].UID != 0 || *n[0].GID != 6 || *n[0].Mode != 0o660 {
		t.Errorf("%+v", n)
	}
}

// TestDeterministic: the same rules give the same bytes.
func TestDeterministic(t *testing.T) {
	text, err := os.ReadFile("testdata/bad.rules")
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 5 {
		r, err := Compile([]*File{Parse("a", text), Parse("b", text)}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r.Table
		} else if string(first) != string(r.Table) {
			t.Fatal("two tables of the same rules differ")
		}
	}
}

// FuzzParse: no text makes the parser or the compiler fail, and what they
// make is a table.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/bad.rules")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for l := range strings.SplitSeq(string(text), "\n") {
		f.Add(l)
	}
	f.Add("SUBSYSTEM!=\"block\", GOTO=\"x\"\nKERNEL==\"a|b*|\", SYMLINK+=\"$env{A}%n$result{2+}\"\nLABEL=\"x\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Compile([]*File{Parse("f", []byte(text))}, Options{})
		if err != nil {
			if len(text) < 1<<16 {
				t.Fatal(err)
			}
			return
		}
		if _, err := rules.Open(r.Table); err != nil {
			t.Fatal(err)
		}
	})
}
