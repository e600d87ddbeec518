package treemap

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Options say how a map is drawn.
type Options struct {
	Width, Height int                // of the text, in characters; of the SVG, in pixels
	Label         func(int64) string // how a size is written
	Color         bool               // colors in the text
}

// colors are those of the 256 that most terminals have, and for SVG.
var colors = [...]struct {
	ansi int
	rgb  string
}{
	{75, "#4e79a7"}, {208, "#f28e2b"}, {71, "#59a14f"}, {167, "#e15759"}, {140, "#af7aa1"}, {179, "#edc948"},
	{73, "#76b7b2"}, {211, "#ff9da7"}, {137, "#9c755f"}, {245, "#bab0ac"},
}

// canvas is the text while it is drawn.
type canvas struct {
	cells [][]rune
	color [][]int // index in colors plus one; 0 is none
}

// Text draws a map with lines of box-drawing characters. A character is taken
// to be twice as high as wide.
func Text(root *Node, o Options) string {
	c := &canvas{cells: make([][]rune, o.Height), color: make([][]int, o.Height)}
	for y := range c.cells {
		c.cells[y] = []rune(strings.Repeat(" ", o.Width))
		c.color[y] = make([]int, o.Width)
	}
	c.draw(root, 0, 0, o.Width, o.Height, o)
	var b strings.Builder
	for y, row := range c.cells {
		was := 0
		end := len(row)
		for end > 0 && row[end-1] == ' ' {
			end--
		}
		for x, r := range row[:end] {
			if now := c.color[y][x]; o.Color && now != was {
				if b.WriteString("\x1b[0m"); now > 0 {
					fmt.Fprintf(&b, "\x1b[38;5;%dm", colors[now-1].ansi)
				}
				was = now
			}
			b.WriteRune(r)
		}
		if was != 0 {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// draw draws a node as a box with its name in the upper edge, and its parts in
// it where there is room.
func (c *canvas) draw(n *Node, x, y, w, h int, o Options) {
	if w < 3 || h < 2 {
		return
	}
	name, size := n.Name, o.Label(n.Size)
	for len(n.Parts) > 0 && n.Parts[0].Size >= n.Size-n.Size/20 { // as good as all of it
		n = n.Parts[0]
		name += "/" + n.Name
	}
	color := n.Color%len(colors) + 1
	for i := range w {
		c.set(x+i, y, '─', color)
		c.set(x+i, y+h-1, '─', color)
	}
	for i := range h {
		c.set(x, y+i, '│', color)
		c.set(x+w-1, y+i, '│', color)
	}
	c.set(x, y, '┌', color)
	c.set(x+w-1, y, '┐', color)
	c.set(x, y+h-1, '└', color)
	c.set(x+w-1, y+h-1, '┘', color)
	c.text(x+1, y, w-2, color, name, size)
	if h > 2 && utf8.RuneCountInString(name)+1+len(size) > w-2 {
		c.text(x+1, y+1, w-2, color, size) // what found no room above
	}
	inner := rect{float64(x + 1), 2 * float64(y+1), float64(w - 2), 2 * float64(h-2)}
	if w < 10 || h < 4 || len(n.Parts) == 0 {
		return
	}
	for i, r := range layout(sizes(n.Parts), inner) {
		x0, y0 := int(math.Round(r.x)), int(math.Round(r.y/2))
		x1, y1 := int(math.Round(r.x+r.w)), int(math.Round((r.y+r.h)/2))
		c.draw(n.Parts[i], x0, y0, x1-x0, y1-y0, o)
	}
}

// text writes words with a blank between them, as many as there is room for;
// the first is cut if need be.
func (c *canvas) text(x, y, room, color int, words ...string) {
	line := []rune(words[0])
	for _, w := range words[1:] {
		if len(line)+1+utf8.RuneCountInString(w) <= room {
			line = append(append(line, ' '), []rune(w)...)
		}
	}
	if len(line) > room {
		if room < 3 {
			return
		}
		line = append(line[:room-1], '…')
	}
	for i, r := range line {
		c.set(x+i, y, r, color)
	}
}

func (c *canvas) set(x, y int, r rune, color int) {
	if y >= 0 && y < len(c.cells) && x >= 0 && x < len(c.cells[y]) {
		c.cells[y][x], c.color[y][x] = r, color
	}
}
