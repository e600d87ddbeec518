package inventory

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
)

// Change is how one thing differs between two images.
type Change struct {
	Kind   Kind
	Name   string // of a module or firmware file its name, else a path
	A, B   *Item  // what is in each; nil where it is not
	What   []string
	Lines  []string // of a text: those that differ, with "-" or "+" before each
	Why    string   // for what was added or removed, as far as an image tells
	Packed int64    // how much larger the file becomes by it, estimated, in bytes
}

// Group is all that differs in one kind.
type Group struct {
	Kind                    Kind
	Added, Removed, Changed []Change
	Same                    int
	Packed                  int64 // as in Change
}

// Facts is what is said of an image as a whole.
type Facts struct {
	Maker    string
	Kernels  []string
	Bytes    int64
	Unpacked int64
	Frames   int
	Files    int
	Cmdline  []string
}

// Difference is what is different between two images.
type Difference struct {
	A, B   Facts
	Groups []Group // those in which something differs, in the order of Kinds
	// Cmdline and Bootconfig are lines that only one has, with "-" or "+" before each.
	Cmdline, Bootconfig []string
}

// Same says whether nothing differs that was looked at.
func (d *Difference) Same() bool {
	return len(d.Groups) == 0 && len(d.Cmdline) == 0 && len(d.Bootconfig) == 0
}

// Facts are the facts of the image.
func (inv *Inventory) Facts() Facts {
	f := Facts{Maker: inv.Maker, Kernels: inv.Kernels, Bytes: inv.Bytes, Unpacked: inv.Unpacked, Frames: len(inv.Frames), Cmdline: inv.Cmdline}
	for _, it := range inv.Items {
		if it.Mode&cpio.TypeMask == cpio.TypeRegular {
			f.Files++
		}
	}
	return f
}

// Compare says what is different in b, compared with a. Things are compared by
// what they are: a module by its name, a library by the name that programs ask
// for, a path without the kernel's release.
func Compare(a, b *Inventory, limits image.Limits) (*Difference, error) {
	pairs := pair(a, b)
	var ofA, ofB []*Item
	for _, p := range pairs {
		if !p.same() {
			if p.a != nil {
				ofA = append(ofA, p.a)
			}
			if p.b != nil {
				ofB = append(ofB, p.b)
			}
		}
	}
	for inv, items := range map[*Inventory][]*Item{a: ofA, b: ofB} {
		if err := inv.readModules(items, limits); err != nil {
			return nil, err
		}
		if err := inv.Explain(items, limits); err != nil {
			return nil, err
		}
	}
	groups := map[Kind]*Group{}
	for _, p := range pairs {
		k := p.kind()
		if groups[k] == nil {
			groups[k] = &Group{Kind: k}
		}
		groups[k].take(p)
	}
	d := &Difference{A: a.Facts(), B: b.Facts(), Cmdline: lines(a.Cmdline, b.Cmdline),
		Bootconfig: lines(split(a.Bootconfig), split(b.Bootconfig))}
	for _, k := range Kinds() {
		if g := groups[k]; g != nil && len(g.Added)+len(g.Removed)+len(g.Changed) > 0 {
			for _, list := range [][]Change{g.Added, g.Removed, g.Changed} {
				slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
			}
			d.Groups = append(d.Groups, *g)
		}
	}
	return d, nil
}

// both is what two images have under one key.
type both struct{ a, b *Item }

func pair(a, b *Inventory) []both {
	byKey := map[string][]*Item{}
	for _, it := range a.Items {
		byKey[it.key] = append(byKey[it.key], it)
	}
	var out []both
	for _, it := range b.Items {
		if list := byKey[it.key]; len(list) > 0 {
			out = append(out, both{list[0], it})
			byKey[it.key] = list[1:]
			continue
		}
		out = append(out, both{b: it})
	}
	for _, it := range a.Items { // in the order of the image
		if list := byKey[it.key]; len(list) > 0 && list[0] == it {
			out = append(out, both{a: it})
			byKey[it.key] = list[1:]
		}
	}
	return out
}

func (p both) kind() Kind {
	if p.b != nil {
		return p.b.Kind
	}
	return p.a.Kind
}

// same says whether nothing differs that counts. Where a file stands does not:
// it may be below another kernel's release, or below /usr.
func (p both) same() bool {
	return p.a != nil && p.b != nil && p.a.Kind == p.b.Kind && p.a.Mode == p.b.Mode && p.a.Sum == p.b.Sum &&
		p.a.UID == p.b.UID && p.a.GID == p.b.GID && samePlace(p.a.Target, p.b.Target, p.a, p.b)
}

// samePlace compares targets of links, which may name the kernel's release.
func samePlace(x, y string, a, b *Item) bool {
	if x == y {
		return true
	}
	return releaseOf(a.Path) != "" && strings.ReplaceAll(x, releaseOf(a.Path), "*") == strings.ReplaceAll(y, releaseOf(b.Path), "*")
}

func releaseOf(p string) string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(p, "usr/"), "lib/modules/")
	if !ok {
		return ""
	}
	release, _, _ := strings.Cut(rest, "/")
	return release
}

func (it *Item) title() string {
	if it.name != "" {
		return it.name
	}
	return it.Path
}

func (g *Group) take(p both) {
	switch {
	case p.same():
		g.Same++
	case p.a == nil:
		g.Added = append(g.Added, Change{Kind: g.Kind, Name: p.b.title(), B: p.b, Why: strings.Join(p.b.Why, "; "), Packed: p.b.Packed})
		g.Packed += p.b.Packed
	case p.b == nil:
		g.Removed = append(g.Removed, Change{Kind: g.Kind, Name: p.a.title(), A: p.a, Why: strings.Join(p.a.Why, "; "), Packed: -p.a.Packed})
		g.Packed -= p.a.Packed
	default:
		c := Change{Kind: g.Kind, Name: p.b.title(), A: p.a, B: p.b, Packed: p.b.Packed - p.a.Packed, What: p.what()}
		if p.a.Text != "" && p.b.Text != "" && p.b.Kind != Index && p.a.Sum != p.b.Sum {
			c.Lines = lines(split(p.a.Text), split(p.b.Text))
		}
		g.Changed = append(g.Changed, c)
		g.Packed += c.Packed
	}
}

// what says in words how two things differ.
func (p both) what() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	a, b := p.a, p.b
	if a.Kind != b.Kind {
		add("was one of the %s, is one of the %s", a.Kind, b.Kind)
	}
	if x, y := a.Mode&cpio.TypeMask, b.Mode&cpio.TypeMask; x != y {
		add("was a %s, is a %s", image.TypeName(a.Mode), image.TypeName(b.Mode))
	}
	if x, y := a.Mode&^cpio.TypeMask, b.Mode&^cpio.TypeMask; x != y {
		add("mode %04o → %04o", x, y)
	}
	if a.UID != b.UID || a.GID != b.GID {
		add("owner %d:%d → %d:%d", a.UID, a.GID, b.UID, b.GID)
	}
	if a.Target != b.Target {
		add("leads to %s → %s", orNothing(a.Target), orNothing(b.Target))
	}
	if x, y := path.Base(a.Path), path.Base(b.Path); x != y {
		add("%s → %s", x, y)
	}
	if a.Sum == b.Sum {
		return out
	}
	if a.module != nil && b.module != nil {
		return append(out, moduleChange(a, b)...)
	}
	if a.Size != b.Size {
		add("%s → %s", Size(a.Size), Size(b.Size))
	} else {
		add("content, of the same size")
	}
	return out
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func moduleChange(a, b *Item) []string {
	x, y := a.module, b.module
	if x.sum == y.sum && x.sum != [32]byte{} {
		return []string{fmt.Sprintf("the same module, stored in %s → %s", Size(a.Size), Size(b.Size))}
	}
	var out []string
	if x.info.Version != y.info.Version {
		out = append(out, fmt.Sprintf("version %s → %s", orNothing(x.info.Version), orNothing(y.info.Version)))
	}
	rel := func(m *module) string { r, _, _ := strings.Cut(m.info.Vermagic, " "); return r }
	if rel(x) != rel(y) {
		out = append(out, fmt.Sprintf("for %s → %s", orNothing(rel(x)), orNothing(rel(y))))
	}
	if x.info.Source != "" && x.info.Source != y.info.Source && rel(x) == rel(y) {
		out = append(out, "built from another source")
	}
	if d := lines(x.info.Depends, y.info.Depends); len(d) > 0 {
		out = append(out, "needs "+strings.Join(d, " "))
	}
	if a.Size != b.Size {
		out = append(out, Size(a.Size)+" → "+Size(b.Size))
	}
	if len(out) == 0 {
		out = []string{"content, of the same size"}
	}
	return out
}

// Size is a number of bytes for a person: "1.23 MB".
func Size(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	switch {
	case n < 1000:
		return fmt.Sprintf("%s%d B", sign, n)
	case n < 1000_000:
		return fmt.Sprintf("%s%.1f kB", sign, float64(n)/1e3)
	}
	return fmt.Sprintf("%s%.2f MB", sign, float64(n)/1e6)
}
