package live

import (
	"path"
	"strings"
	"testing"
)

func TestPersistenceConf(t *testing.T) {
	list, wrong := parseConf("# nothing\n\n/ union\n/home bind\n /etc\tunion,source=config/etc\n/srv/ source=.\n/home/a link source=dot\n" +
		"/lib\n/lib/live x\n/run/live/medium\n/a/../b\nrelative\n/c source=/abs\n/d source=..\n/e source=\n/f nothing\n/ bind\n")
	want := []kept{{dir: "/", how: union, rw: "rw"}, {dir: "/home", source: "home", rw: "rw"}, {dir: "/etc", source: "config/etc", how: union, rw: "rw"},
		{dir: "/srv", rw: "rw"}, {dir: "/home/a", source: "dot", how: link, rw: "rw"}}
	if len(list) != len(want) {
		t.Fatalf("%+v", list)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("%+v, want %+v", list[i], want[i])
		}
	}
	if len(wrong) != 10 || !strings.Contains(wrong[0], "line 8 (/lib): cannot be kept") || !strings.Contains(wrong[9], "line 17 (/): the root itself") {
		t.Errorf("%d:\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
}

// What is above comes first, links come last, and nothing is in two places.
func TestArrange(t *testing.T) {
	one, two := &store{node: "/dev/a"}, &store{node: "/dev/b"}
	list, why := arrange([]kept{{dir: "/a", how: link, source: "l", store: one}, {dir: "/home/x", source: "x", store: one}, {dir: "/home", source: "x", store: two}, {dir: "/", how: union, rw: "rw", store: one}})
	got := ""
	for _, k := range list {
		got += k.dir + " "
	}
	if got != "/ /home /home/x /a " || why != "" {
		t.Errorf("%s, %s", got, why)
	}
	for _, bad := range [][]kept{
		{{dir: "/a", source: "x", store: one}, {dir: "/a", source: "y", store: two}},
		{{dir: "/a", source: "x", store: one}, {dir: "/b", source: "x/y", store: one}},
		{{dir: "/a", source: "", store: one}, {dir: "/b", source: "y", store: one}},
		{{dir: "/", how: union, rw: "rw", store: one}, {dir: "/b", source: "rw/b", store: one}},
	} {
		if _, why := arrange(bad); why == "" {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestImagesThatAreListed(t *testing.T) {
	names, why := parseList("f", "a.squashfs\nb.squashfs c.ext4\n")
	if strings.Join(names, " ") != "a.squashfs b.squashfs c.ext4" || why != "" {
		t.Errorf("%v, %s", names, why)
	}
	names, why = layersOf("minimal.standard.live.squashfs")
	if strings.Join(names, " ") != "minimal.squashfs minimal.standard.squashfs minimal.standard.live.squashfs" || why != "" {
		t.Errorf("%v, %s", names, why)
	}
	for _, text := range []string{"", "../a", "a a", "a/b", "a:b", ".."} {
		if _, why := parseList("f", text); why == "" {
			t.Errorf("%q is taken", text)
		}
	}
	for _, name := range []string{"", "a", ".a", "a..b", "a/b.c", "a:b.c"} {
		if _, why := layersOf(name); why == "" {
			t.Errorf("%q is taken", name)
		}
	}
}

// Whatever a medium says: what is taken of it stays in its directories.
func FuzzPersistence(f *testing.F) {
	f.Add("/ union\n/home bind,source=x\n", "a.b")
	f.Add("/a link,source=../x\n#\n/b/./c", "a\n/b")
	f.Fuzz(func(t *testing.T, text, names string) {
		list, _ := parseConf(text)
		if len(list) > maxKept {
			t.Errorf("%d lines", len(list))
		}
		s := &store{}
		for i := range list {
			k := &list[i]
			k.store = s
			if k.dir != path.Clean(k.dir) || k.dir[0] != '/' || path.Join("/", k.source) != path.Clean("/"+k.source) || dotted(k.source) {
				t.Errorf("%q: %+v", text, k)
			}
		}
		arrange(list)
		for _, read := range []func() ([]string, string){func() ([]string, string) { return parseList("f", names) }, func() ([]string, string) { return layersOf(names) }} {
			images, why := read()
			if (len(images) == 0) != (why != "") {
				t.Errorf("%q: %v, %q", names, images, why)
			}
			for _, n := range images {
				if n != path.Base(n) || strings.ContainsAny(n, ",:") {
					t.Errorf("%q is no name", n)
				}
			}
		}
	})
}
