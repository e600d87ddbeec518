package treemap

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func label(n int64) string { return fmt.Sprintf("%d B", n) }

func tree() *Node {
	root := &Node{Name: "image"}
	root.Add([]string{"modules", "fs", "ext4.ko"}, 400)
	root.Add([]string{"modules", "fs", "jbd2.ko"}, 200)
	root.Add([]string{"modules", "net", "tg3.ko"}, 100)
	root.Add([]string{"programs", "usr", "bin", "x<&>"}, 300)
	root.Tidy(0)
	return root
}

// Areas are the sizes, nothing overlaps, and nothing is left over.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Float64Range(0, 1000), 1, 40).Draw(t, "sizes")
		all := rect{0, 0, rapid.Float64Range(1, 500).Draw(t, "w"), rapid.Float64Range(1, 500).Draw(t, "h")}
		var total float64
		for _, s := range list {
			total += s
		}
		out := layout(list, all)
		if len(out) != len(list) {
			t.Fatalf("%d places for %d", len(out), len(list))
		}
		if total == 0 {
			return
		}
		const eps = 1e-6
		for i, r := range out {
			if want := list[i] / total * all.w * all.h; math.Abs(r.w*r.h-want) > eps*all.w*all.h {
				t.Fatalf("area %v instead of %v", r.w*r.h, want)
			}
			if r.x < -eps || r.y < -eps || r.x+r.w > all.w+eps*all.w+eps || r.y+r.h > all.h+eps*all.h+eps {
				t.Fatalf("%+v is not in %+v", r, all)
			}
			for _, o := range out[:i] {
				w := min(r.x+r.w, o.x+o.w) - max(r.x, o.x)
				h := min(r.y+r.h, o.y+o.h) - max(r.y, o.y)
				if w > 1e-3 && h > 1e-3 {
					t.Fatalf("%+v and %+v overlap", r, o)
				}
			}
		}
	})
}

func TestTidy(t *testing.T) {
	root := tree()
	if root.Size != 1000 || root.Parts[0].Name != "modules" || root.Parts[1].Name != "programs/usr/bin" {
		t.Errorf("%+v %+v %+v", root, root.Parts[0], root.Parts[1])
	}
	root.Tidy(250)
	if fs := root.Parts[0]; len(fs.Parts) != 2 || fs.Parts[0].Name != "fs" {
		t.Errorf("%+v", fs.Parts)
	}
}

func TestText(t *testing.T) {
	text := Text(tree(), Options{Width: 60, Height: 16, Label: label})
	for _, want := range []string{"image 1000 B", "modules 700 B", "ext4.ko 400 B", "programs/usr/b…"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 16 || utf8.RuneCountInString(lines[0]) != 60 {
		t.Errorf("%d lines of %d", len(lines), utf8.RuneCountInString(lines[0]))
	}
	for w := range 12 { // no size is too small
		for h := range 8 {
			_ = Text(tree(), Options{Width: w, Height: h, Label: label})
		}
	}
}

// A browser can read it, whatever a file is called.
func TestSVG(t *testing.T) {
	b := SVG(tree(), Options{Width: 600, Height: 400, Label: label})
	d := xml.NewDecoder(strings.NewReader(string(b)))
	rects, titles := 0, ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "rect" {
				rects++
			}
		case xml.CharData:
			titles += string(e)
		}
	}
	if rects < 7 || !strings.Contains(titles, "image/programs/usr/bin/x<&>, 300 B") {
		t.Errorf("%d rectangles, %s", rects, titles)
	}
}
