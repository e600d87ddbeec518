package trace

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// Measures of the picture, in the units of its coordinates.
const (
	plotWidth   = 1280.0
	plotLeft    = 252.0 // of the bars
	plotRight   = plotWidth - 92
	plotTop     = 132.0 // of the first row
	rowHeight   = 24.0
	barHeight   = 13.0
	goalGap     = 10.0 // above the goals
	kernelShare = 0.10 // of the width that the kernel's time gets at most
	charWidth   = 6.1  // of the small print, about
)

// plot is a picture in the making.
type plot struct {
	strings.Builder
	boot   *Boot
	t      *Timeline
	path   *Path
	kernel float64            // width of the time before /init
	rows   map[string]float64 // the top of each subject's row
	y      float64            // of the next row
}

// SVG draws the boot as a picture that stands for itself: a row for each
// device and queue, operations filled, waits hatched, the critical path as a
// line through them, light or dark as the viewer's preference is. lines bounds
// the rows, 0 is all.
func (b *Boot) SVG(lines int) string {
	p := &plot{boot: b, t: b.Timeline(), path: b.CriticalPath(), rows: map[string]float64{}, y: plotTop}
	shown, quiet, brief := p.t.Lanes, 0, 0
	if lines > 0 {
		var worked []*Lane
		for _, l := range p.t.Lanes {
			// A row of a wait alone says what the row says that it waited for.
			if l.quiet || l.Critical || l.Error != "" || l.Working+l.Person > 0 {
				worked = append(worked, l)
			} else {
				brief++
			}
		}
		var less int
		shown, quiet, less = choose(worked, lines, (p.t.Ended-p.t.Started)/500)
		brief += less
	}
	roots := nest(p.t.Lanes, shown)
	rows := len(shown) + 1 + len(p.t.Goals)
	height := plotTop + float64(rows)*rowHeight + goalGap + 72
	if end := p.t.Ended; end > 0 {
		p.kernel = min(float64(p.t.Started)/float64(end), kernelShare) * (plotRight - plotLeft)
	}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-labelledby="t d">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(p, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n%s", esc("A boot with Firstlight: "+p.headline()),
		esc("Time runs from left to right. Each row is a device or a queue; filled bars are operations, hatched bars waits; the line through the rows is the critical path."), plotStyle)
	fmt.Fprintf(p, `<rect class="bg" width="%.0f" height="%.0f"/>`+"\n", plotWidth, height)
	for i := 0; i < rows; i += 2 {
		y := plotTop + float64(i)*rowHeight
		if i > len(shown) {
			y += goalGap
		}
		fmt.Fprintf(p, `<rect class="row" x="12" y="%.1f" width="%.1f" height="%.1f" rx="3"/>`+"\n", y, plotWidth-24, rowHeight)
	}
	p.head()
	bottom := plotTop + float64(rows)*rowHeight + goalGap
	p.axis(bottom)
	p.strip()
	p.kernelRow()
	walk(roots, 0, func(n *node, depth int) { p.lane(n.Lane, depth) })
	p.y += goalGap
	for _, g := range p.t.Goals {
		p.goal(g)
	}
	p.deadlines(bottom)
	p.critical()
	p.legend(bottom+30, quiet, brief)
	p.WriteString("</svg>\n")
	return p.String()
}

// plotStyle holds the colours. Each class has its colours written out, so that
// a viewer without CSS variables shows the light ones.
const plotStyle = `<style>
svg{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:12px}
.bg{fill:#fff}.row{fill:#f5f7f9}.fg{fill:#1f2328}.mut{fill:#656d76}.small{font-size:11px}.in{fill:#fff;font-size:11px;pointer-events:none}
.big{font-size:25px;font-weight:600}.halo{paint-order:stroke;stroke:#fff;stroke-width:3;stroke-linejoin:round}.num{text-anchor:end;font-variant-numeric:tabular-nums}.b{font-weight:600}
.grid{stroke:#e3e7eb}.life{stroke:#c4ccd4;stroke-width:1.5}.edge{stroke:#8c959f;stroke-dasharray:2 3}
.work{fill:#3b7dd8}.kernel{fill:#8a94a3}.person{fill:#8d51c4}.wait{fill:url(#hatch)}.hatchbg{fill:#fdf3d7}.hatchline{stroke:#c99700}
.queue{fill:#c99700}.event{fill:#4aa8a0}.deadline,.fail{fill:#cf222e}.bad{fill:#cf222e}.ok{fill:#1a7f37}.okline{stroke:#1a7f37;stroke-width:3}.badline{stroke:#cf222e;stroke-width:3}
.crit{fill:none;stroke:#e8590c;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round;pointer-events:none}.critfill{fill:#e8590c}
.due{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:5 4}
.lane rect.hit{fill:transparent}.lane:hover rect.hit{fill:#0969da;fill-opacity:.07}rect[class]:hover{filter:brightness(1.1)}
@media (prefers-color-scheme:dark){
.bg{fill:#0f141a}.row{fill:#161c24}.fg{fill:#e6edf3}.mut{fill:#919ba6}.in{fill:#08111d}.halo{stroke:#0f141a}
.grid{stroke:#252d37}.life{stroke:#3c4753}.edge{stroke:#6e7681}
.work{fill:#5aa2f7}.kernel{fill:#7b8694}.person{fill:#b98aeb}.hatchbg{fill:#332a10}.hatchline{stroke:#d5a521}
.queue{fill:#d5a521}.event{fill:#57c2b8}.deadline,.fail,.bad{fill:#ff6b61}.ok{fill:#4ac26b}.okline{stroke:#4ac26b}.badline{stroke:#ff6b61}
.crit{stroke:#ff9248}.critfill{fill:#ff9248}.due{stroke:#ff6b61}.lane:hover rect.hit{fill:#58a6ff;fill-opacity:.1}}
@media print{.lane:hover rect.hit{fill:none}}
</style>
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatchbg" width="6" height="6"/><line class="hatchline" x1="1" y1="0" x2="1" y2="6" stroke-width="1.6"/></pattern></defs>
`

// esc makes text fit to stand in XML, on a screen too.
func esc(s string) string { return html.EscapeString(clean(s)) }

// x is where a time is drawn.
func (p *plot) x(t time.Duration) float64 {
	started, ended := p.t.Started, max(p.t.Ended, p.t.Started+1)
	t = min(max(t, 0), ended)
	if t <= started {
		if started == 0 {
			return plotLeft
		}
		return plotLeft + p.kernel*float64(t)/float64(started)
	}
	from := plotLeft + p.kernel
	return from + (plotRight-from)*float64(t-started)/float64(ended-started)
}

func (p *plot) headline() string {
	if p.path.Switched {
		return span(p.path.Total) + " to the real system"
	}
	return "the real system was not started in " + span(p.t.Ended)
}

// head writes the title and what the critical path was made of, which also
// explains the colours.
func (p *plot) head() {
	class := "fg"
	if !p.path.Switched {
		class = "bad"
	}
	fmt.Fprintf(p, `<text class="big %s" x="24" y="42">%s</text>`+"\n", class, esc(p.headline()))
	s := p.boot.Summary(0)
	fmt.Fprintf(p, `<text class="mut" x="24" y="63">%s</text>`+"\n", esc(fmt.Sprintf("%s, kernel %s; %s, %s", s.Version, s.Kernel, number(s.Devices, "device"), number(s.Operations, "operation"))))
	x := plotLeft
	for _, c := range Classes() {
		d := p.path.Classes[c]
		if d <= 0 {
			continue
		}
		text := fmt.Sprintf("%s %s", classNames(c), span(d))
		fmt.Fprintf(p, `<rect class="%s" x="%.1f" y="74" width="10" height="10" rx="2"/><text class="fg small" x="%.1f" y="83">%s</text>`+"\n", c, x, x+15, esc(text))
		x += 15 + charWidth*float64(width(text)) + 18
	}
}

// classNames names a class in a picture.
func classNames(c Class) string {
	return map[Class]string{ClassKernel: "kernel", ClassWork: "work", ClassPerson: "person", ClassWait: "waits",
		ClassQueue: "queues", ClassEvent: "kernel's messages", ClassDeadline: "deadlines"}[c]
}

func (p *plot) axis(bottom float64) {
	started, ended := p.t.Started, max(p.t.Ended, p.t.Started+1)
	step := tick((ended - started) / 10)
	format := "%.0f s"
	switch {
	case step < 100*time.Millisecond:
		format = "%.2f s"
	case step < time.Second:
		format = "%.1f s"
	}
	line := func(t time.Duration, class, text string) {
		x := p.x(t)
		fmt.Fprintf(p, `<line class="%s" x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f"/><text class="mut small" text-anchor="middle" x="%.1f" y="%.0f">%s</text>`+"\n",
			class, x, plotTop-8, x, bottom, x, bottom+14, text)
	}
	line(0, "grid", "0")
	for t := (started/step + 1) * step; t < ended; t += step {
		if p.x(t)-p.x(started) > 44 && plotRight-p.x(t) > 62 {
			line(t, "grid", fmt.Sprintf(format, t.Seconds()))
		}
	}
	line(started, "edge", "/init "+seconds(started)+" s")
	line(ended, "edge", seconds(ended)+" s")
}

// strip draws the critical path as one bar.
func (p *plot) strip() {
	const y, h = 94.0, 20.0
	fmt.Fprintf(p, `<text class="fg b" x="24" y="%.1f">critical path</text>`+"\n", y+14)
	for i := range p.path.Steps {
		st := &p.path.Steps[i]
		a, w := p.x(st.Begin), p.x(st.End())-p.x(st.Begin)
		if w < 0.15 {
			continue
		}
		held := ""
		if st.Held != nil {
			held = fmt.Sprintf("\nafter %s of waiting for: %s", span(st.Held.Took), st.Held.For)
		}
		fmt.Fprintf(p, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s</title></rect>`, st.Class, a, y, max(w-0.8, 0.4), h,
			escLines(fmt.Sprintf("%s: %s\n%s from %s s, %s of the whole%s", st.Title, st.What, span(st.Took), seconds(st.Begin), share(st.Took, p.path.Total), held)))
		name := firstWord(st.Title)
		if text := name + " " + span(st.Took); charWidth*float64(width(text))+8 < w {
			p.inside(a+5, y+14, text)
		} else if charWidth*float64(width(name))+13 < w { // of two letters, one may be an m
			p.inside(a+4, y+14, name)
		}
		p.WriteByte('\n')
	}
	fmt.Fprintf(p, `<text class="fg b num" x="%.1f" y="%.1f">%s</text>`+"\n", plotWidth-20, y+14, esc(span(p.path.Total)))
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

func (p *plot) inside(x, y float64, text string) {
	fmt.Fprintf(p, `<text class="in" x="%.1f" y="%.1f">%s</text>`, x, y, esc(text))
}

// begin starts a row.
func (p *plot) begin(subject, label, took string, depth int, class, tip string) (y float64) {
	y = p.y
	p.rows[subject] = y
	p.y += rowHeight
	indent := min(float64(depth), maxIndent) * 7
	letter := charWidth + 0.5
	if strings.HasSuffix(class, " b") {
		letter = charWidth + 1.4
	}
	fits := int((plotLeft - 32 - indent) / letter)
	fmt.Fprintf(p, `<g class="lane"><rect class="hit" x="12" y="%.1f" width="%.1f" height="%.1f"/><text class="%s" x="%.1f" y="%.1f">%s<title>%s</title></text><text class="mut small num" x="%.1f" y="%.1f">%s</text>`,
		y, plotWidth-24, rowHeight, class, 24+indent, y+16, esc(cut(clean(label), fits)), escLines(tip), plotWidth-20, y+16, esc(took))
	return y
}

func (p *plot) kernelRow() {
	y := p.begin("kernel", "kernel", span(p.t.Started), 0, "fg b", "the kernel, from its start to /init: "+span(p.t.Started))
	w := p.x(p.t.Started) - plotLeft
	fmt.Fprintf(p, `<rect class="kernel" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s</title></rect>`, plotLeft, y+4, w, barHeight,
		esc("the kernel, from its start to /init: "+span(p.t.Started)))
	if p.shortened() {
		p.note(plotLeft+w+6, y+15, "drawn short, not to scale")
	}
	p.WriteString("</g>\n")
}

// shortened says that the kernel's part is not to scale.
func (p *plot) shortened() bool {
	return p.t.Ended > 0 && float64(p.t.Started)/float64(p.t.Ended) > kernelShare
}

func (p *plot) note(x, y float64, text string) {
	fmt.Fprintf(p, `<text class="mut small halo" x="%.1f" y="%.1f">%s</text>`, x, y, esc(text))
}

// lane draws the row of a device or a queue.
func (p *plot) lane(l *Lane, depth int) {
	class := "fg"
	if l.Critical {
		class = "fg b"
	}
	// A failure that something else made up for is no reason for alarm.
	if ops := p.boot.bySubject().operations[l.Subject]; l.Error != "" && (len(ops) == 0 || ops[len(ops)-1].Error != "") {
		class = "bad b"
	}
	label := l.Label
	tip := fmt.Sprintf("%s\nworked %s, waited %s", l.Subject, span(l.Working), span(l.Waiting))
	if l.Person > 0 {
		tip += ", a person " + span(l.Person)
	}
	if l.Error != "" {
		tip += "\nfailed: " + l.Error
	}
	y := p.begin(l.Subject, label, span(l.busy()), depth, class, tip)
	mid := y + 4 + barHeight/2
	fmt.Fprintf(p, `<line class="life" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, p.x(l.Begin), mid, p.x(max(l.End, l.Begin)), mid)
	drawn := -1.0
	for _, w := range p.boot.bySubject().waits[l.Subject] {
		if p.boot.Idle(w) {
			continue
		}
		end := ""
		switch {
		case w.Ended == 0:
			end = "\nit did not end"
		case w.Expired:
			end = "\nits deadline passed"
		case w.Waker != "":
			end = "\nended by " + p.boot.Title(w.Waker)
		}
		drawn = p.bar("wait", y, w.Begin, w.End, drawn, fmt.Sprintf("waited %s for: %s%s", span(w.Took()), p.boot.readable(w.Reason), end))
	}
	drawn = -1
	var longest *Operation
	for _, o := range p.boot.bySubject().operations[l.Subject] {
		class, result := "work", ""
		if o.Person {
			class = "person"
		}
		if o.Error != "" {
			class, result = "fail", "\nfailed: "+o.Error
		} else if o.Result == 0 {
			result = "\nit did not end"
		}
		drawn = p.bar(class, y, o.Begin, o.End, drawn, fmt.Sprintf("%s\n%s from %s s%s", o.What, span(o.Took()), seconds(o.Begin), result))
		if longest == nil || o.Took() > longest.Took() {
			longest = o
		}
	}
	if longest != nil {
		p.caption(l, longest, y)
	}
	p.WriteString("</g>\n")
}

// caption writes what a row spent its time on: in the bar if it fits, else
// beside it.
func (p *plot) caption(l *Lane, o *Operation, y float64) {
	text := clean(o.What)
	if width(text) > 46 {
		text = cut(text, 46)
	}
	a, e := p.x(o.Begin), p.x(o.End)
	long := charWidth * float64(width(text))
	switch end := p.x(max(l.End, o.End)); {
	case long+10 < e-a:
		p.inside(a+5, y+15, text)
	case e-a > 100:
		p.inside(a+5, y+15, cut(text, int((e-a-10)/(charWidth+0.8))))
	case end+6+long < plotRight+60:
		p.note(end+6, y+15, text)
	case p.x(l.Begin)-6-long > plotLeft:
		fmt.Fprintf(p, `<text class="mut small num halo" x="%.1f" y="%.1f">%s</text>`, p.x(l.Begin)-6, y+15, esc(text))
	}
}

// bar draws one interval, unless it falls into what was drawn before: a row
// has so few bars as it has room for.
func (p *plot) bar(class string, y float64, begin, end time.Duration, drawn float64, tip string) float64 {
	a, e := p.x(begin), p.x(max(end, begin))
	e = max(e, a+1)
	if a < drawn && e < drawn+0.5 {
		return drawn
	}
	fmt.Fprintf(p, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s</title></rect>`, class, a, y+4, e-a, barHeight, escLines(tip))
	return max(drawn, e)
}

func escLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = esc(l)
	}
	return strings.Join(lines, "\n")
}

// goal draws when a goal was wanted and when it was met.
func (p *plot) goal(g *Lane) {
	state, class, line := "met after "+span(g.End-g.Begin), "ok", "okline"
	switch {
	case g.Error != "":
		state, class, line = "given up after "+span(g.End-g.Begin)+": "+g.Error, "bad", "badline"
	case g.End == p.t.Ended && !p.t.Switched:
		state, class, line = "unmet", "bad", "badline"
	}
	y := p.begin("goal "+g.Subject, g.Label, span(g.End-g.Begin), 0, class, g.Longest+"\n"+state)
	mid := y + rowHeight/2
	a, e := p.x(g.Begin), p.x(g.End)
	fmt.Fprintf(p, `<line class="%s" stroke-opacity=".45" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><path class="%s" d="M%.1f %.1fl6 6l-6 6l-6 -6z"><title>%s</title></path>`,
		line, a, mid, e, mid, class, e, mid-6, escLines(g.Longest+"\n"+state))
	p.note(a+4, mid-3, cut(clean(g.Longest), int((e-a-16)/charWidth)))
	p.WriteString("</g>\n")
}

// deadlines marks those that passed.
func (p *plot) deadlines(bottom float64) {
	last := -100.0
	for i := range p.boot.Records {
		r := &p.boot.Records[i]
		x := p.x(r.Time)
		if r.Kind != kindDeadline || x-last < 3 {
			continue
		}
		last = x
		text, anchor, shift := "deadline: "+r.Subject, "", 5.0
		if x > (plotLeft+plotRight)/2 {
			anchor, shift = " num", -5
		}
		fmt.Fprintf(p, `<line class="due" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"><title>%s</title></line><text class="bad small%s" x="%.1f" y="%.1f">%s</text>`+"\n",
			x, plotTop-12, x, bottom, esc(text+" passed at "+seconds(r.Time)+" s"), anchor, x+shift, plotTop-3, esc(text))
	}
}

// critical draws the line of the critical path through the rows.
func (p *plot) critical() {
	var d strings.Builder
	y, ok := p.rows["kernel"], false
	for i := range p.path.Steps {
		st := &p.path.Steps[i]
		if row, there := p.rows[st.Subject]; there {
			y = row
		}
		low := y + 4 + barHeight + 2.5
		if !ok {
			fmt.Fprintf(&d, "M%.1f %.1f", p.x(st.Begin), low)
			ok = true
		}
		fmt.Fprintf(&d, "V%.1fH%.1f", low, p.x(st.End()))
	}
	if ok {
		fmt.Fprintf(p, `<path class="crit" d="%s"/>`+"\n", d.String())
	}
}

func (p *plot) legend(y float64, quiet, brief int) {
	x := plotLeft
	item := func(mark, text string) {
		fmt.Fprintf(p, `%s<text class="mut small" x="%.1f" y="%.1f">%s</text>`+"\n", mark, x+24, y+10, esc(text))
		x += 24 + charWidth*float64(width(text)) + 22
	}
	item(fmt.Sprintf(`<rect class="work" x="%.1f" y="%.1f" width="18" height="11" rx="2"/>`, x, y), "an operation ran")
	item(fmt.Sprintf(`<rect class="wait" x="%.1f" y="%.1f" width="18" height="11" rx="2"/>`, x, y), "waited")
	item(fmt.Sprintf(`<rect class="person" x="%.1f" y="%.1f" width="18" height="11" rx="2"/>`, x, y), "a person was asked")
	item(fmt.Sprintf(`<line class="life" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x, y+6, x+18, y+6), "between its first and last record")
	item(fmt.Sprintf(`<path class="crit" d="M%.1f %.1fh18"/>`, x, y+6), "critical path")
	var hidden []string
	if quiet > 0 {
		hidden = append(hidden, number(quiet, "device")+" for which nothing was to be done")
	}
	if brief > 0 {
		hidden = append(hidden, number(brief, "row")+" that only waited or took less than the others")
	}
	if len(hidden) > 0 {
		p.note(plotLeft, y+30, "Not shown: "+strings.Join(hidden, ", ")+".")
	}
}
