package kmod_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/kmod"

	"pgregory.net/rapid"
)

func mod(name string, deps ...string) kmod.SourceModule {
	return kmod.SourceModule{Name: name, Path: "/m/" + name + ".ko", Deps: deps}
}

// show writes a plan as "name(needs;after)?params", '?' for a soft one.
func show(p kmod.Plan) string {
	var out []string
	for _, s := range p.Steps {
		text := s.Name
		if len(s.Needs)+len(s.After) > 0 {
			var needs, after []string
			for _, n := range s.Needs {
				needs = append(needs, p.Steps[n].Name)
			}
			for _, n := range s.After {
				after = append(after, p.Steps[n].Name)
			}
			text += "(" + strings.Join(needs, ",") + ";" + strings.Join(after, ",") + ")"
		}
		if s.Soft {
			text += "?"
		}
		if s.Params != "" {
			text += "{" + s.Params + "}"
		}
		out = append(out, text)
	}
	for _, s := range p.Skipped {
		out = append(out, "-"+s.Name+": "+s.Reason)
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	btrfs := mod("btrfs", "xor", "raid6-pq", "libcrc32c")
	btrfs.Pre, btrfs.Post = []string{"sha256", "absent"}, []string{"late"}
	btrfs.Aliases = []string{"fs-btrfs"}
	loop1, loop2 := mod("loop1"), mod("loop2", "loop1")
	loop1.Pre = []string{"loop2"}
	nested := mod("nested", "btrfs")
	far := mod("far", "nested")
	black := mod("black")
	black.Blacklisted, black.Aliases = true, []string{"pci:*"}
	white := mod("white", "black")
	white.Aliases = []string{"pci:v1*"}
	late := mod("late", "nested") // needs what is still being planned
	ix := open(t, kmod.Source{
		Modules: []kmod.SourceModule{mod("xor"), mod("raid6_pq"), mod("crc32c"), mod("libcrc32c", "crc32c"),
			mod("sha256", "crc32c"), btrfs, late, nested, far, loop1, loop2, black, white,
			{Name: "ext4", Builtin: true, Aliases: []string{"fs-ext4"}}, mod("slot0")},
		Aliases: []kmod.SourceAlias{{Pattern: "snd-slot-?", Module: "slot0"}, {Pattern: "net-pf-10", Module: "off"}},
		Options: []kmod.SourceOption{{Name: "raid6-pq", Options: "a=1 \t b=2"}, {Name: "raid6_pq", Options: "c"},
			{Name: "snd-slot-1", Options: "index=1"}, {Name: "slot0", Options: "id=x"}},
	})
	var params kmod.Config
	params.AddParam("raid6-pq", "d=4")
	params.AddParam("raid6_pq", "e")
	for _, c := range []struct {
		what, name string
		cfg        kmod.Config
		want       string
	}{
		{"direct dependencies and parameters", "raid6-pq", params, "raid6_pq{a=1 b=2 c d=4 e}"},
		{"by alias, soft ones before and after", "fs-btrfs", kmod.Config{},
			"xor raid6_pq{a=1 b=2 c} crc32c libcrc32c(crc32c;) sha256(crc32c;)? btrfs(xor,raid6_pq,libcrc32c;sha256) nested(btrfs;)? late(nested;btrfs)?"},
		{"a soft dependency that needs what waits for it", "far", kmod.Config{},
			"xor raid6_pq{a=1 b=2 c} crc32c libcrc32c(crc32c;) sha256(crc32c;)? btrfs(xor,raid6_pq,libcrc32c;sha256) nested(btrfs;) far(nested;) late(nested;)?"},
		{"a circle of soft and hard", "loop1", kmod.Config{}, "loop1 loop2(loop1;)?"},
		{"a blacklist holds for aliases", "pci:v2", kmod.Config{}, "-black: blacklisted"},
		{"but not for dependencies", "pci:v1", kmod.Config{}, "black white(black;) -black: blacklisted"},
		{"nor for names", "black", kmod.Config{}, "black"},
		{"unless it should", "black", kmod.Config{Names: true}, "-black: blacklisted"},
		{"the command line blacklists, too", "fs-btrfs", kmod.Config{Blacklist: []string{"btrfs"}}, "-btrfs: blacklisted"},
		{"names are not blacklisted by it", "xor", kmod.Config{Blacklist: []string{"xor"}}, "xor"},
		{"denied ones are not loaded by name", "raid6_pq", kmod.Config{Deny: []string{"raid6-pq"}}, "-raid6_pq: denied"},
		{"nor for others", "nested", kmod.Config{Deny: []string{"crc32c"}},
			"-nested: needs btrfs, which needs libcrc32c, which needs crc32c, which is denied"},
		{"a denied soft one is left out", "btrfs", kmod.Config{Deny: []string{"sha256", "late"}},
			"xor raid6_pq{a=1 b=2 c} crc32c libcrc32c(crc32c;) btrfs(xor,raid6_pq,libcrc32c;) -sha256: denied -late: denied"},
		{"built in", "fs-ext4", kmod.Config{}, ""},
		{"options for an alias", "snd-slot-1", kmod.Config{}, "slot0{id=x index=1}"},
		{"and not for another", "snd-slot-2", kmod.Config{}, "slot0{id=x}"},
	} {
		t.Run(c.what, func(t *testing.T) {
			plan, err := ix.PlanFor(c.name, c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			checkPlan(t, ix, plan)
			if got := show(plan); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	for _, name := range []string{"nosuch", "net-pf-10", "x[", ""} {
		if _, err := ix.PlanFor(name, kmod.Config{}); !errors.Is(err, kmod.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if plan, _ := ix.PlanFor("fs-ext4", kmod.Config{}); !plan.Builtin {
		t.Error("a plan for a built-in module does not say so")
	}
}

func TestWriteIndexRefuses(t *testing.T) {
	for what, mods := range map[string][]kmod.SourceModule{
		"b, which is not in the index": {mod("a", "b")},
		"there twice":                  {mod("a-b"), mod("a_b")},
		"needs itself":                 {mod("a", "b"), mod("b", "c"), mod("c", "a")},
		"no path":                      {{Name: "a"}},
		"too big":                      {mod(strings.Repeat("a", 1<<16))},
	} {
		if err := kmod.WriteIndex(io.Discard, kmod.Source{Modules: mods}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := kmod.WriteIndex(io.Discard, kmod.Source{Aliases: []kmod.SourceAlias{{Pattern: "a[", Module: "b"}}})
	if !errors.Is(err, kmod.ErrBracket) {
		t.Error(err)
	}
}

// Whatever the dependencies, soft ones in circles included, a plan is sound.
func TestPlansOfRandomTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "modules")
		var src kmod.Source
		some := func(limit int) []string {
			var names []string
			if limit > 0 {
				for _, d := range rapid.SliceOfN(rapid.IntRange(0, limit-1), 0, 3).Draw(t, "some") {
					names = append(names, fmt.Sprint("m", d))
				}
			}
			return names
		}
		for i := range n {
			m := mod(fmt.Sprint("m", i), some(i)...)
			m.Pre, m.Post = some(n), some(n)
			src.Modules = append(src.Modules, m)
		}
		var b strings.Builder
		if err := kmod.WriteIndex(&b, src); err != nil {
			t.Fatal(err)
		}
		ix, err := kmod.OpenIndex([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		id, _ := ix.Lookup(fmt.Sprint("m", rapid.IntRange(0, n-1).Draw(t, "root")))
		plan := ix.Plan([]kmod.ModuleID{id}, kmod.Config{})
		place := map[kmod.ModuleID]int{}
		for i, s := range plan.Steps {
			place[s.ID] = i
			for _, w := range append(slices.Clone(s.Needs), s.After...) {
				if w >= i {
					t.Fatalf("%s waits for a later step", s.Name)
				}
			}
			for _, dep := range ix.Deps(s.ID) {
				if at, ok := place[dep]; !ok || !slices.Contains(s.Needs, at) {
					t.Fatalf("%s does not wait for %s", s.Name, ix.Name(dep))
				}
			}
		}
		if len(place) != len(plan.Steps) {
			t.Fatal("a module is there twice")
		}
		for _, s := range plan.Steps {
			for _, soft := range append(ix.SoftPre(s.ID), ix.SoftPost(s.ID)...) {
				if _, ok := place[soft]; !ok {
					t.Fatalf("%s is left out, a soft dependency of %s", ix.Name(soft), s.Name)
				}
			}
		}
	})
}
