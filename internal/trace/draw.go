package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a timeline's picture, in columns and lines.
const (
	minWidth   = 80
	maxWidth   = 120
	maxIndent  = 14 // levels of nesting that are shown
	kernelPart = 10 // columns that the kernel's time gets at most
	// DefaultLines is how many subjects a timeline shows if not told.
	DefaultLines = 40
)

// scale turns times into columns. The kernel's own time comes before
// anything that can be shown; where it is long it is drawn short, so that
// the rest can be told apart.
type scale struct {
	columns        int
	started, ended time.Duration
	kernel         int // columns for the time before started
}

func newScale(columns int, started, ended time.Duration) scale {
	s := scale{columns: columns, started: started, ended: max(ended, started+1)}
	s.kernel = min(int(int64(columns)*int64(started)/max(int64(s.ended), 1)), kernelPart)
	return s
}

// compressed says whether the kernel's part is not to scale.
func (s scale) compressed() bool { return s.kernel == kernelPart }

// at is the column of a time, from 0 to columns.
func (s scale) at(t time.Duration) int {
	if t < s.started {
		return int(int64(s.kernel) * int64(t) / int64(s.started))
	}
	rest := s.columns - s.kernel
	return s.kernel + int(int64(rest)*int64(min(t, s.ended)-s.started)/int64(s.ended-s.started))
}

// perColumn is the time that a column stands for.
func (s scale) perColumn() time.Duration {
	return (s.ended - s.started) / time.Duration(max(s.columns-s.kernel, 1))
}

// bar draws intervals. Each that is there is at least one column wide; where
// several fall on one column the strongest mark is seen.
func (s scale) bar(in []Interval, begin, end time.Duration) string {
	row := []byte(strings.Repeat(" ", s.columns))
	put := func(from, to time.Duration, mark byte) {
		a := min(s.at(from), s.columns-1)
		for c := a; c < max(s.at(to), a+1); c++ {
			if strength(mark) > strength(row[c]) {
				row[c] = mark
			}
		}
	}
	put(begin, end, MarkIdle)
	for _, i := range in {
		put(i.Begin, i.End, i.Mark)
	}
	return string(row)
}

func strength(mark byte) int { return strings.IndexByte(" -.=?", mark) }

// Text draws the timeline. lines bounds how many subjects are shown, 0 is
// all.
func (t *Timeline) Text(s Style, lines int) string {
	w := min(max(s.Width, minWidth), maxWidth)
	least := (t.Ended - t.Started) / 500
	shown, quiet, brief := t.Lanes, 0, 0
	if lines > 0 {
		shown, quiet, brief = choose(t.Lanes, lines, least)
	}
	roots := nest(t.Lanes, shown)
	const timeColumn = 10
	label := 12
	walk(roots, 0, func(n *node, depth int) { label = max(label, 2+min(depth, maxIndent)+width(clean(n.Label))) })
	label = min(label, w*2/5)
	sc := newScale(w-label-timeColumn-2, t.Started, t.Ended)
	var b strings.Builder
	end := "the switch to the real system"
	if !t.Switched {
		end = "the end of the journal: the real system was not started"
	}
	b.WriteString(prose(span(t.Ended)+" from the start of the kernel to "+end, w))
	b.WriteString(strings.TrimRight(pad("", label+1)+sc.axis(), " ") + "\n")
	line := func(name, bar, took, color string) {
		fmt.Fprintf(&b, "%s %s %*s\n", s.paint(color, pad(cut(clean(name), label), label)), s.colorBar(bar), timeColumn, took)
	}
	line("* kernel", sc.kernelBar(), span(t.Started), "")
	walk(roots, 0, func(n *node, depth int) {
		mark, color := "  ", ""
		if n.Critical {
			mark, color = "* ", strong
		}
		if n.Error != "" {
			color = red
		}
		line(mark+strings.Repeat(" ", min(depth, maxIndent))+n.Label, sc.bar(n.Intervals, n.Begin, n.End), span(n.busy()), color)
	})
	for _, g := range t.Goals {
		took, color := span(g.End-g.Begin), green
		if g.Error != "" {
			took, color = "given up", red
		} else if g.End == t.Ended && !t.Switched {
			took, color = "unmet", red
		}
		line("  "+g.Label, sc.bar(g.Intervals, g.Begin, g.End), took, color)
	}
	b.WriteString("\n")
	if quiet+brief > 0 {
		b.WriteString(prose(fmt.Sprintf("Not shown: %d devices for which nothing was to be done, %d subjects that took less than the others.", quiet, brief), w))
	}
	if sc.compressed() {
		fmt.Fprintf(&b, "The kernel's part (~) is drawn short; elsewhere a column is %s.\n", span(sc.perColumn()))
	} else {
		fmt.Fprintf(&b, "A column is %s.\n", span(sc.perColumn()))
	}
	legend := "= an operation ran   ? a person was asked   . it waited   - between its first and last record"
	if width(legend) > w {
		legend = strings.Replace(legend, "   -", "\n-", 1)
	}
	b.WriteString(legend + "\n")
	b.WriteString("* on the critical path, the chain of causes that decided when the boot ended:\n\n")
	b.WriteString(t.criticalText(s, w))
	return b.String()
}

// criticalText lists what took the time on the critical path, in order.
func (t *Timeline) criticalText(s Style, w int) string {
	var b strings.Builder
	longest := slices.Clone(t.Critical)
	slices.SortStableFunc(longest, func(a, b Step) int { return int(b.Took - a.Took) })
	// Of a long chain the steps that matter are enough.
	const most = 24
	least := time.Duration(0)
	if len(longest) > most {
		least = longest[most-1].Took
	}
	var left int
	var rest time.Duration
	for _, st := range t.Critical {
		if st.Took < least {
			left++
			rest += st.Took
			continue
		}
		about := " "
		if st.Inferred {
			about = "~"
		}
		line := fmt.Sprintf("%10s %s%10s  %s: %s", seconds(st.Begin), about, span(st.Took), clean(Label(st.Subject)), clean(st.What))
		color := ""
		if len(longest) > 1 && st.Took >= longest[min(2, len(longest)-1)].Took {
			color = strong
		}
		b.WriteString(s.paint(color, cut(line, w)) + "\n")
	}
	if left > 0 {
		fmt.Fprintf(&b, "%10s  %10s  in %d shorter steps\n", "", span(rest), left)
	}
	return b.String()
}

func walk(nodes []*node, depth int, f func(*node, int)) {
	for _, n := range nodes {
		f(n, depth)
		walk(n.children, depth+1, f)
	}
}

// axis is the line with the seconds above the bars.
func (s scale) axis() string {
	row := []byte(strings.Repeat(" ", s.columns+12))
	used := 0
	put := func(t time.Duration, text string) {
		if c := s.at(t); c >= used && c+len(text) <= len(row) {
			copy(row[c:], text)
			used = c + len(text) + 1
		}
	}
	put(0, "0")
	step := tick(s.perColumn() * 12)
	format := "%.0f s"
	if step < time.Second {
		format = "%.2f s"
	}
	put(s.started, fmt.Sprintf("%.2f s", s.started.Seconds()))
	for t := (s.started/step + 1) * step; t < s.ended; t += step {
		put(t, fmt.Sprintf(format, t.Seconds()))
	}
	return string(row)
}

// tick is the least round length of time that is no shorter than d.
func tick(d time.Duration) time.Duration {
	for base := time.Millisecond; ; base *= 10 {
		for _, m := range []time.Duration{1, 2, 5} {
			if base*m >= d {
				return base * m
			}
		}
	}
}

func (s scale) kernelBar() string {
	mark := "="
	if s.compressed() {
		mark = "~"
	}
	return strings.Repeat(mark, s.kernel) + strings.Repeat(" ", s.columns-s.kernel)
}

func (s Style) colorBar(bar string) string {
	if !s.Color {
		return bar
	}
	var b strings.Builder
	for i := 0; i < len(bar); {
		j := i
		for j < len(bar) && bar[j] == bar[i] {
			j++
		}
		code := map[byte]string{MarkWork: green, MarkPerson: "35", MarkWait: yellow, MarkIdle: faint, '~': faint}[bar[i]]
		if code == "" {
			b.WriteString(bar[i:j])
		} else {
			b.WriteString(s.paint(code, bar[i:j]))
		}
		i = j
	}
	return b.String()
}
