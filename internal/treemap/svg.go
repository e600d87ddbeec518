package treemap

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The sizes of an SVG's lettering, in pixels.
const (
	font   = 12
	letter = 7.2 // the width of one, of a monospaced font
	head   = 16  // the height of a title
)

// SVG draws a map as a picture that stands alone. The name and size of each
// part are shown where there is room, and by a browser under the pointer.
func SVG(root *Node, o Options) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="monospace" font-size="%d">`+"\n", o.Width, o.Height, font)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", o.Width, o.Height)
	svg(&b, root, rect{0, 0, float64(o.Width), float64(o.Height)}, 0, root.Name, o)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func svg(b *bytes.Buffer, n *Node, r rect, depth int, place string, o Options) {
	if r.w < 1 || r.h < 1 {
		return
	}
	label := o.Label(n.Size)
	fmt.Fprintf(b, `<g><title>%s, %s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="%.2f" stroke="#333333" stroke-width="0.5"/>`,
		escaped(place), escaped(label), r.x, r.y, r.w, r.h, colors[n.Color%len(colors)].rgb, min(0.25+0.15*float64(depth), 0.85))
	title := r.h >= head
	if title {
		if text := fit(n.Name, label, int((r.w-6)/letter)); text != "" {
			fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`, r.x+3, r.y+font, escaped(text))
		}
	}
	b.WriteString("</g>\n")
	inner := rect{r.x + 2, r.y + 2, r.w - 4, r.h - 4}
	if title {
		inner.y, inner.h = r.y+head, r.h-head-2
	}
	if inner.w < 4 || inner.h < 4 {
		return
	}
	for i, part := range layout(sizes(n.Parts), inner) {
		svg(b, n.Parts[i], part, depth+1, place+"/"+n.Parts[i].Name, o)
	}
}

// fit is as much of a name and a size as there is room for.
func fit(name, size string, room int) string {
	switch n := utf8.RuneCountInString(name); {
	case n+1+len(size) <= room:
		return name + " " + size
	case n <= room:
		return name
	case room >= 4:
		return string([]rune(name)[:room-1]) + "…"
	}
	return ""
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(strings.ToValidUTF8(s, "�"))) // a Buffer does not fail
	return b.String()
}
