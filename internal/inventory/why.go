package inventory

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
	"firstlight/internal/kmodtree"
)

// module is what a kernel module says of itself, and its content's sum once it
// is unpacked.
type module struct {
	info kmodtree.Info
	sum  [32]byte
}

// maxReasons is how many of those that need something are named.
const maxReasons = 3

// Explain fills in Why for some items: from the image's manifest where it has
// one, else from who needs what in the image.
func (inv *Inventory) Explain(items []*Item, limits image.Limits) error {
	if m := inv.byPath[image.ManifestPath]; m != nil {
		list, err := image.ParseManifest([]byte(m.Text))
		if err == nil {
			why := map[string]string{}
			for _, e := range list {
				why[e.Path] = e.Why
			}
			for _, it := range items {
				if w := why[it.Path]; w != "" {
					it.Why = []string{w}
				}
			}
			return nil
		}
	}
	if slices.ContainsFunc(items, func(it *Item) bool { return it.Kind == Firmware }) {
		if err := inv.readModules(inv.Items, limits); err != nil {
			return err
		}
	}
	users := inv.users()
	for _, it := range items {
		list := users[it.key]
		if it.Kind == Program || it.Kind == Library {
			list = append(list, users["/"+it.Path]...)
		}
		if len(list) > 0 {
			it.Why = []string{needed(it.Kind, list)}
		}
	}
	return nil
}

func needed(k Kind, list []string) string {
	slices.Sort(list)
	list = slices.Compact(list)
	word := "needed by "
	switch {
	case k == Firmware:
		word = "named by "
	case strings.HasPrefix(list[0], "to be loaded"):
		return list[0]
	}
	if n := len(list) - maxReasons; n > 0 {
		return fmt.Sprintf("%s%s and %d more", word, strings.Join(list[:maxReasons], ", "), n)
	}
	return word + strings.Join(list, ", ")
}

// users says who needs what, by the key of what is needed; interpreters and
// libraries by their paths, too, with a slash before.
func (inv *Inventory) users() map[string][]string {
	out := map[string][]string{}
	add := func(key, who string) { out[key] = append(out[key], who) }
	byName := map[string][]string{} // keys of libraries
	for _, it := range inv.Items {
		switch {
		case it.Kind == Library:
			byName[path.Base(it.Path)] = append(byName[path.Base(it.Path)], it.key)
			if s := it.linking.Soname; s != "" && s != path.Base(it.Path) {
				byName[s] = append(byName[s], it.key)
			}
		case it.Kind == Index && path.Base(it.Path) == "modules.dep":
			for line := range strings.Lines(it.Text) {
				who, needs, _ := strings.Cut(line, ":")
				// modules.dep names those of the whole kernel, not only of the image.
				if inv.module(moduleName(who)) == nil {
					continue
				}
				for f := range strings.FieldsSeq(needs) {
					add("module "+moduleName(f), moduleName(who))
				}
			}
		case it.Path == "conf/modules" || path.Base(path.Dir(it.Path)) == "modules-load.d":
			for line := range strings.Lines(it.Text) {
				if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
					add("module "+kmod.NormalizeName(f[0]), "to be loaded, says "+it.Path)
				}
			}
		}
	}
	for _, it := range inv.Items {
		for _, lib := range it.linking.Needed {
			for _, key := range byName[lib] {
				if key != it.key {
					add(key, "/"+it.Path)
				}
			}
		}
		if it.linking.Interp != "" {
			inv.interpreter(it.linking.Interp, it, add)
		}
		if line, _, ok := strings.Cut(it.Text, "\n"); ok && strings.HasPrefix(line, "#!") {
			if f := strings.Fields(line[2:]); len(f) > 0 {
				inv.interpreter(f[0], it, add)
			}
		}
		if it.module != nil {
			for _, f := range it.module.info.Firmware {
				add("firmware "+f, it.name)
			}
			for _, d := range it.module.info.Depends {
				add("module "+d, it.name)
			}
		}
	}
	return out
}

func (inv *Inventory) interpreter(name string, user *Item, add func(key, who string)) {
	if it := inv.Get(name); it != nil {
		add("/"+it.Path, "/"+user.Path)
	}
}

func (inv *Inventory) module(name string) *Item {
	if inv.modules == nil {
		inv.modules = map[string]*Item{}
		for _, it := range inv.Items {
			if it.Kind == Module {
				inv.modules[it.name] = it
			}
		}
	}
	return inv.modules[name]
}

// readModules reads what modules say of themselves, of those among items.
func (inv *Inventory) readModules(items []*Item, limits image.Limits) error {
	want := map[int]*Item{}
	for _, it := range items {
		if it.Kind == Module && it.module == nil {
			want[it.entry] = it
		}
	}
	if len(want) == 0 {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	entry := -1
	err := image.Walk(inv.data, limits, func(_ image.Part, h *cpio.Header, body io.Reader) error {
		entry++
		it := want[entry]
		if it == nil || int64(h.Size) > kmodtree.MaxModule {
			return nil
		}
		b, err := whole(nil, body, h.Size)
		if err != nil {
			return err
		}
		g.Go(func() error { it.module = parseModule(it.Path, b); return nil })
		return nil
	})
	if werr := g.Wait(); err == nil {
		err = werr
	}
	return err
}

// parseModule returns what can be read of a module; of one that is damaged that
// is nothing.
func parseModule(name string, b []byte) *module {
	m := &module{}
	b, err := kmodtree.Unpack(name, b)
	if err != nil {
		return m
	}
	m.sum = sumOf(b)
	m.info, _ = kmodtree.ParseInfo(bytes.NewReader(b))
	return m
}
