package kmod_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/kmod"
	"firstlight/internal/kmodtree"
	"firstlight/internal/testtool"
)

// fullIndex is the table of all modules of Debian 12's kernel.
func fullIndex(t testing.TB, suite string, config ...string) (*kmodtree.Tree, *kmod.Index) {
	t.Helper()
	root, release := testtool.Kernel(t, suite)
	tree, err := kmodtree.Open(filepath.Join(root, "lib/modules", release), kmodtree.Options{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	src, err := tree.Source(tree.Modules(), func(m *kmodtree.Module) string { return "/lib/modules/" + m.File })
	if err != nil {
		t.Fatal(err)
	}
	return tree, open(t, src)
}

func open(t testing.TB, src kmod.Source) *kmod.Index {
	t.Helper()
	var b bytes.Buffer
	if err := kmod.WriteIndex(&b, src); err != nil {
		t.Fatal(err)
	}
	ix, err := kmod.OpenIndex(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func matchNames(ix *kmod.Index, alias string) []string {
	var names []string
	for _, id := range ix.Match(alias) {
		names = append(names, ix.Name(id))
	}
	return names
}

// modprobeResolve asks modprobe what each alias stands for, thousands in one
// process. Between two answers it asks for two modules in an order in which
// no answer has them.
func modprobeResolve(t *testing.T, suite, config string, aliases []string) [][]string {
	t.Helper()
	testtool.Need(t, "modprobe")
	root, release := testtool.Kernel(t, suite)
	mark := []string{"jfs", "ext4", "jfs"}
	answers := make([][]string, 0, len(aliases))
	for batch := range slices.Chunk(aliases, 4000) {
		args := []string{"-d", root, "-S", release, "-C", config, "-q", "-a", "-R", "--"}
		for _, a := range batch {
			args = append(append(args, a), mark...)
		}
		out, _ := exec.Command(testtool.Path("modprobe"), args...).Output() // fails if one is unknown
		var answer []string
		for line := range strings.Lines(string(out)) {
			answer = append(answer, strings.TrimSpace(line))
			if n := len(answer) - len(mark); n >= 0 && slices.Equal(answer[n:], mark) {
				answers = append(answers, unique(answer[:n]))
				answer = nil
			}
		}
	}
	if len(answers) != len(aliases) {
		t.Fatalf("modprobe gave %d answers for %d aliases", len(answers), len(aliases))
	}
	return answers
}

func unique(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// instances makes texts that a pattern matches, and one that it may not.
func instances(pattern string, rng *rand.Rand) []string {
	fill := func(star string, last bool) string {
		var b strings.Builder
		for i := 0; i < len(pattern); i++ {
			switch pattern[i] {
			case '*':
				b.WriteString(star)
			case '?':
				b.WriteByte("0x-/"[rng.IntN(4)])
			case '[':
				end := i + strings.IndexByte(pattern[i:], ']')
				if last {
					b.WriteByte(pattern[end-1])
				} else {
					b.WriteByte(pattern[i+1])
				}
				i = end
			default:
				b.WriteByte(pattern[i])
			}
		}
		return b.String()
	}
	short, long := fill("", false), fill("00:A/b", true)
	off := []byte(fill("0", false))
	off[rng.IntN(len(off))] = "0F:*v"[rng.IntN(5)]
	return []string{short, long, string(off)}
}

func TestMatchEveryAliasAsModprobe(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) { matchEveryAlias(t, suite) })
	}
}

func matchEveryAlias(t *testing.T, suite string) {
	tree, ix := fullIndex(t, suite)
	rng := rand.New(rand.NewPCG(1, 2))
	var queries []string
	patterns := 0
	for _, m := range append(tree.Modules(), tree.BuiltinModules()...) {
		aliases, err := tree.Aliases(m)
		if err != nil {
			t.Fatal(err)
		}
		patterns += len(aliases)
		for _, p := range aliases {
			queries = append(queries, instances(p, rng)...)
		}
		if !m.Builtin {
			queries = append(queries, m.Name, strings.ReplaceAll(m.Name, "_", "-"))
		}
	}
	if patterns < 25000 {
		t.Fatalf("only %d patterns", patterns)
	}
	if testing.Short() {
		rng.Shuffle(len(queries), func(i, j int) { queries[i], queries[j] = queries[j], queries[i] })
		queries = queries[:8000]
	}
	matched := 0
	for i, want := range modprobeResolve(t, suite, "/dev/null", queries) {
		got := matchNames(ix, queries[i])
		if len(want) > 1 && ix.Builtin(ix.Match(queries[i])[0]) {
			slices.Sort(want) // kmod leaves the order of built-in ones to chance
			slices.Sort(got)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, modprobe says %v", queries[i], got, want)
		}
		if i%16 == 0 { // the builder's own search is slower
			resolved, err := tree.Resolve(queries[i])
			slices.Sort(resolved)
			if slices.Sort(want); err != nil || !slices.Equal(resolved, want) {
				t.Fatalf("%s: Resolve gave %v (%v), modprobe says %v", queries[i], resolved, err, want)
			}
		}
		matched += len(got)
	}
	if matched < len(queries)/2 {
		t.Fatalf("%d of %d queries matched: the test asks for nothing", matched, len(queries))
	}
}

func TestConfiguredPatternsAsModprobe(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(words []string, n int) string {
		var b strings.Builder
		for range 1 + rng.IntN(n) {
			b.WriteString(words[rng.IntN(len(words))])
		}
		return b.String()
	}
	pieces := []string{"x", "y", "z", "1", "*", "*", "?", "[xy]", "[!x]", "[^y]", "[x-z]", "[z-x]", "[a-", "]", "[", "[]", "[!]",
		"[[:digit:]]", "[x[:upper:]z]", "[[:nope:]]", "[[.x.]]", "[[=y=]z]", "[\\x-z]", "-", "_", "/", ".", ":", "\\", "\\*", "\\?", "[*]", "[-x]", "[x-]", "[x-y-z]", "[*-1]", "\xe4", "\\["}
	texts := []string{"x", "y", "z", "1", "-", "_", "/", ".", ":", "*", "?", "\\", "A", "[xy]", "\xe4"}
	// Everything begins with "q", so that no pattern matches the marks.
	var conf strings.Builder
	for i := range 400 {
		fmt.Fprintf(&conf, "alias q%s m%d\n", strings.ReplaceAll(random(pieces, 6), `\`, `\\`), i)
	}
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, _ := fullIndex(t, "bookworm", file)
	src, err := tree.Source(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		name := fmt.Sprintf("m%d", i)
		src.Modules = append(src.Modules, kmod.SourceModule{Name: name, Path: "/" + name + ".ko"})
	}
	var queries []string
	for range 3000 {
		queries = append(queries, "q"+random(texts, 6))
	}
	ix := open(t, src)
	matched := 0
	for i, want := range modprobeResolve(t, "bookworm", file, queries) {
		got := matchNames(ix, queries[i])
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, modprobe says %v with\n%s", queries[i], got, want, conf.String())
		}
		matched += len(got)
	}
	if matched < 3000 {
		t.Fatalf("only %d matches: the test asks for nothing", matched)
	}
}

func TestPlanOfEveryModuleIsItsClosure(t *testing.T) {
	tree, ix := fullIndex(t, "bookworm")
	for i, m := range tree.Modules() {
		if testing.Short() && i%10 != 0 {
			continue
		}
		closure, err := tree.Closure([]string{m.Name})
		if err != nil {
			t.Fatal(err)
		}
		id, ok := ix.Lookup(m.Name)
		if !ok {
			t.Fatalf("%s is not in the index", m.Name)
		}
		plan := ix.Plan([]kmod.ModuleID{id}, kmod.Config{})
		checkPlan(t, ix, plan)
		var got, want []string
		for _, s := range plan.Steps {
			got = append(got, s.Name)
		}
		for _, c := range closure {
			want = append(want, c.Name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: planned %v, modprobe loads %v", m.Name, got, want)
		}
	}
}

// checkPlan checks what must hold for every plan.
func checkPlan(t testing.TB, ix *kmod.Index, plan kmod.Plan) {
	t.Helper()
	place := map[kmod.ModuleID]int{}
	for i, s := range plan.Steps {
		if _, twice := place[s.ID]; twice {
			t.Fatalf("%s is there twice", s.Name)
		}
		place[s.ID] = i
		for _, n := range append(slices.Clone(s.Needs), s.After...) {
			if n >= i {
				t.Fatalf("%s (%d) waits for a later step %d", s.Name, i, n)
			}
		}
		for _, dep := range ix.Deps(s.ID) {
			if at, ok := place[dep]; !ok || !slices.Contains(s.Needs, at) {
				t.Fatalf("%s does not wait for %s, which it needs", s.Name, ix.Name(dep))
			}
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	_, ix := fullIndex(b, "bookworm")
	for name, alias := range map[string]string{
		"pci":     "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00",
		"usb":     "usb:v0951p1666d0110dc00dsc00dp00ic08isc06ip50in00",
		"acpi":    "acpi:PNP0C0A:",
		"of":      "of:NethernetT(null)Cti,am654-cpsw-nussCsyscon",
		"dmi":     "dmi:bvnQEMU:bvrrel-1.16.2:bd04/01/2014:br0.0:svnQEMU:pnStandardPC:pvrpc-q35-7.2:cvnQEMU:ct1:cvrpc-q35-7.2:sku:",
		"cpu":     "cpu:type:x86,ven0000fam0006mod009E:feature:,0000,0001,0002,0003,0004,0005,0006,0007,0008,0009,000B,000C,000D,000E,000F,0010,0011,0013,0017,0018",
		"unknown": "pci:v0000FFFFd0000FFFFsv00000000sd00000000bc00sc00i00",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var ids []kmod.ModuleID
			for b.Loop() {
				ids, _ = ix.AppendMatch(ids[:0], alias)
			}
		})
	}
}

func BenchmarkOpenIndex(b *testing.B) {
	tree, _ := fullIndex(b, "bookworm")
	src, err := tree.Source(tree.Modules(), func(m *kmodtree.Module) string { return "/lib/modules/" + m.File })
	if err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	if err := kmod.WriteIndex(&buf, src); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kmod.OpenIndex(buf.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
