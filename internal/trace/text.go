package trace

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"firstlight/internal/journal"
)

// Style says how text is written for a person.
type Style struct {
	Width int  // columns; 0 is as many as it takes
	Color bool // with the colours of a terminal
}

func (s Style) paint(code, text string) string {
	if !s.Color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Colours: what matters is bright, what is context is faint.
const (
	faint   = "2"
	strong  = "1"
	red     = "31"
	yellow  = "33"
	green   = "32"
	magenta = "35"
)

// seconds writes a time of the journal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// Span writes a length of time with three digits or so.
func Span(d time.Duration) string { return span(d) }

// Clean makes text safe to show on a terminal: whatever it could take for an
// order is spelled out.
func Clean(s string) string { return clean(s) }

// span writes a length of time with three digits or so.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// clean makes text safe to show: whatever a terminal could take for an order
// is spelled out.
func clean(s string) string {
	safe := true
	for _, r := range s {
		safe = safe && !unsafe(r) && r != utf8.RuneError
	}
	if safe {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unsafe(r) && r > 0xff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case unsafe(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// unsafe says whether a character orders something: a control character, one
// that turns the direction of writing, or one that XML does not allow.
func unsafe(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e ||
		r >= 0x2066 && r <= 0x2069 || r == 0xfffe || r == 0xffff
}

// width counts columns as characters, which holds for what journals contain.
func width(s string) int { return utf8.RuneCountInString(s) }

// cut shortens text at its end; 0 means not at all.
func cut(s string, n int) string {
	if n <= 0 || width(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(n-1, 0)]) + "…"
}

// cutLeft shortens text at its beginning: of a path the end says more.
func cutLeft(s string, n int) string {
	if width(s) <= n {
		return s
	}
	r := []rune(s)
	return "…" + string(r[len(r)-max(n-1, 0):])
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(n-width(s), 0)) }

// kindColor is the colour of a kind of record.
func kindColor(r *journal.Record) string {
	switch r.Kind {
	case kindPanic, "warning", "overflow", "dropped", "full":
		return red
	case kindDeadline, kindWait:
		return yellow
	case kindGoal, kindSwitch:
		return green
	case kindDo, kindAsk, "decision":
		return strong
	case kindResult:
		if r.Text != "ok" {
			return red
		}
	case kindOutcome:
		if strings.HasPrefix(r.Text, "failed") {
			return red
		}
		return faint
	case kindQueue:
		return faint
	}
	return ""
}

// List writes records, one a line.
func List(records []journal.Record, s Style) string {
	var b strings.Builder
	subject := 7
	for i := range records {
		subject = max(subject, min(width(shortSubject(records[i].Subject)), 32))
	}
	fmt.Fprintf(&b, "%s\n", s.paint(faint, fmt.Sprintf("%6s %10s %6s  %-11s %s  %s", "record", "seconds", "cause", "kind", pad("subject", subject), "text")))
	for i := range records {
		r := &records[i]
		cause := ""
		if r.Cause != 0 {
			cause = fmt.Sprint(r.Cause)
		}
		head := fmt.Sprintf("%6d %10s %6s  ", r.Number, seconds(r.Time), cause)
		text := clean(r.Text)
		for _, f := range r.Fields {
			text += "  [" + clean(f) + "]"
		}
		if s.Width > 0 {
			text = cut(text, max(s.Width-width(head)-11-subject-3, 20))
		}
		fmt.Fprintf(&b, "%s%s %s  %s\n", head, s.paint(kindColor(r), pad(cut(clean(r.Kind), 11), 11)), pad(cutLeft(shortSubject(r.Subject), subject), subject), text)
	}
	return b.String()
}

func shortSubject(s string) string { return clean(strings.Replace(s, "dev /devices/", "dev …/", 1)) }

// WaitTable writes what waited for what, in order. Waits that ended in the
// instant in which they began are counted only, unless all are asked for.
func (b *Boot) WaitTable(s Style, all bool) string {
	if len(b.Waits) == 0 {
		return "nothing waited\n"
	}
	var out strings.Builder
	who := 3
	for _, w := range b.Waits {
		who = max(who, min(width(clean(Label(w.Subject))), 30))
	}
	fmt.Fprintf(&out, "%s\n", s.paint(faint, fmt.Sprintf("%6s %10s %12s  %s  waited for; ended by", "record", "from", "for", pad("who", who))))
	short := 0
	for _, w := range b.Waits {
		if w.Took() == 0 && w.Ended != 0 && !all {
			short++
			continue
		}
		var end string
		switch {
		case b.Idle(w):
			end = "nothing; the boot ended without need of it"
		case w.Ended == 0:
			end = s.paint(red, "still waiting at the end of the journal")
		case w.Expired:
			end = s.paint(yellow, "its deadline passed")
		case w.Waker != "":
			end = fmt.Sprintf("%s (record %d, %q)", clean(Label(w.Waker)), b.Record(w.Ended).Cause, w.Topic)
		default:
			end = fmt.Sprintf("%q", w.Topic)
		}
		reason := clean(w.Reason)
		if s.Width > 0 {
			reason = cut(reason, max(s.Width-who-34, 30))
		}
		fmt.Fprintf(&out, "%6d %10s %12s  %s  %s\n%s%s\n", w.Record, seconds(w.Begin), span(w.Took()),
			pad(cut(clean(Label(w.Subject)), who), who), reason, strings.Repeat(" ", who+34), s.paint(faint, "← ")+end)
	}
	if short > 0 {
		fmt.Fprintf(&out, "%d more ended in the instant in which they began.\n", short)
	}
	return out.String()
}

// Explain writes the chain of causes of a record, and what it led to.
func (b *Boot) Explain(number uint64, s Style) string {
	var out strings.Builder
	chain := b.Chain(number)
	label := 0
	for _, l := range chain {
		label = max(label, min(width(clean(Label(l.Record.Subject))), 24))
	}
	for i, l := range chain {
		r := l.Record
		mark := "  "
		if l.Inferred {
			mark = "~ "
		}
		if i == len(chain)-1 {
			mark = "> "
		}
		after := ""
		if l.After > 0 {
			after = "+" + span(l.After)
		}
		text := clean(r.Text)
		for _, f := range r.Fields {
			text += "  [" + clean(f) + "]"
		}
		subject := pad(clean(Label(r.Subject)), label)
		if s.Width > 0 {
			text = cut(text, max(s.Width-2-7-11-11-12-width(subject)-2, 24))
		}
		fmt.Fprintf(&out, "%s%6d %10s %10s  %s %s  %s\n", mark, r.Number, seconds(r.Time), after,
			s.paint(kindColor(r), pad(cut(clean(r.Kind), 11), 11)), subject, text)
	}
	for _, l := range chain {
		if l.Inferred {
			out.WriteString(s.paint(faint, "~ the kernel does not say why it sent this event; the record above it is the likely cause\n"))
			break
		}
	}
	effects := b.Effects(number)
	if len(effects) > 0 {
		out.WriteString("led to:\n")
	}
	const most = 12
	for i, r := range effects {
		if i == most {
			fmt.Fprintf(&out, "  … and %d more\n", len(effects)-most)
			break
		}
		fmt.Fprintf(&out, "  %6d %10s  %s %s  %s\n", r.Number, seconds(r.Time), pad(cut(clean(r.Kind), 11), 11), clean(Label(r.Subject)), cut(clean(r.Text), 60))
	}
	return out.String()
}

// Text writes a summary.
func (m *Summary) Text(s Style) string {
	var b strings.Builder
	if s.Width == 0 {
		s.Width = maxWidth
	}
	end := "the real system was started"
	if !m.Switched {
		end = "the journal ends; the real system was not started"
	}
	fmt.Fprintf(&b, "%s, kernel %s\n", clean(m.Version), clean(m.Kernel))
	fmt.Fprintf(&b, "%10s s  /init began, counted from the start of the kernel\n", seconds(m.Started))
	fmt.Fprintf(&b, "%10s s  %s\n", seconds(m.Ended), end)
	fmt.Fprintf(&b, "%10s s  between: operations under way %s, a person asked %s\n\n", seconds(m.Ended-m.Started), span(m.Working), span(m.Person))
	fmt.Fprintf(&b, "%d records, %d devices, %d operations (%d failed), %d deadlines passed\n\n", m.Records, m.Devices, m.Operations, m.Failed, m.Deadlines)
	for _, g := range m.Goals {
		text := fmt.Sprintf("goal %-10s %s after %s", clean(g.Name), clean(g.State), span(g.At-g.Since))
		if g.State == "unmet" {
			text = fmt.Sprintf("goal %-10s unmet at the end", clean(g.Name))
		}
		if g.Reason != "" {
			text += ": " + clean(g.Reason)
		}
		fmt.Fprintf(&b, "%s\n", cut(text, s.Width))
	}
	b.WriteString("\nlongest operations\n")
	for _, o := range m.Longest {
		line := fmt.Sprintf("%12s  %s: %s", span(o.Took()), clean(Label(o.Subject)), clean(o.What))
		if o.Error != "" {
			line += ": " + clean(o.Error)
		}
		fmt.Fprintf(&b, "%s\n", cut(line, s.Width))
	}
	if len(m.Trouble) > 0 {
		b.WriteString("\ntrouble\n")
	}
	for _, r := range m.Trouble {
		fmt.Fprintf(&b, "%s\n", cut(fmt.Sprintf("%12s  %d %s %s: %s", seconds(r.Time), r.Number, clean(r.Kind), clean(Label(r.Subject)), clean(r.Text)), s.Width))
	}
	b.WriteString("\nrecords by kind\n")
	for _, c := range m.Kinds {
		fmt.Fprintf(&b, "%8d  %s\n", c.Count, clean(c.Kind))
	}
	return b.String()
}
