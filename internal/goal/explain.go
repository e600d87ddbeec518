package goal

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Size of an explanation on the smallest console: with the line before it and
// the one after it, it fills 24 lines of 80 columns.
const (
	Width  = 80 // columns
	Height = 22 // lines
)

// Part is a part of an explanation.
type Part uint8

// The parts, in the order in which they stand.
const (
	Wanted  Part = iota // the goals
	Needs               // what they need: what is lost, and the facts
	There               // the facts on what is there, and usable
	Seen                // block devices
	Gone                // block devices that were there
	Drivers             // what could not be loaded, and what has no driver
	Cmdline             // what is wrong with the command line
	Doing               // operations under way
	Try                 // advice
	parts
)

// heads begin the parts, and most are the lines that each may have. They take
// them in the order of what tells most; the devices have at least theirs, and
// what the others leave. What is as it should be goes on where the needs end.
var (
	heads = [parts]string{"Wanted:  ", "Needs:   ", "         ", "Seen:    ", "Gone:    ", "Drivers: ", "Cmdline: ", "Doing:   ", "Try:     "}
	most  = [parts]int{5, 8, 3, 3, 2, 3, 2, 1, 5}
	order = [parts]Part{Wanted, Needs, Try, Drivers, Gone, Cmdline, Doing, There, Seen}
)

// Situation is all that an explanation is made from.
type Situation struct {
	Now   time.Duration
	Set   *Set
	Facts []Fact
	// Timeless leaves out how long things took and will take: two situations
	// that differ in nothing else then say the same.
	Timeless bool
	entries  [parts][]string
	first    []string
}

// First adds advice that comes before what the facts say.
func (s *Situation) First(text string) { s.first = append(s.first, text) }

// Add adds a sentence to a part, once.
func (s *Situation) Add(p Part, text string) {
	if text != "" && !slices.Contains(s.entries[p], text) {
		s.entries[p] = append(s.entries[p], text)
	}
}

// Has says whether anything was added to a part.
func (s *Situation) Has(p Part) bool { return len(s.entries[p]) > 0 || p == Try && len(s.first) > 0 }

// Explain writes the one screen that says what was wanted, what it needs,
// what of that is there, what is missing, for how long, and what to try: at
// most Height lines of Width columns.
func (s *Situation) Explain() []string {
	for _, g := range s.Set.Told() {
		s.Add(Wanted, s.wanted(g))
	}
	advice := s.entries[Try]
	s.entries[Try] = slices.Clone(s.first)
	for c := Blocked; ; c-- { // the worst first
		for i := range s.Facts {
			if f := &s.Facts[i]; f.Condition == c {
				part := Needs
				if c == Present {
					part = There
				}
				s.Add(part, s.needed(f))
				s.Add(Try, f.Try)
			}
		}
		if c == Present {
			break
		}
	}
	for _, t := range advice {
		s.Add(Try, t)
	}
	if !s.Has(Seen) {
		s.Add(Seen, "no block device at all")
	}
	var lines [parts][]string
	left := Height - most[Seen]
	for _, p := range order {
		room := min(most[p], left)
		if p == Seen {
			room = left + most[Seen]
		}
		if room > 0 {
			lines[p] = s.lines(p, room)
			left -= len(lines[p])
		}
	}
	// What the others have left shows more of what was cut.
	left += most[Seen]
	for _, p := range order {
		if left += len(lines[p]); p != Seen && lines[p] != nil {
			lines[p] = s.lines(p, left)
		}
		left -= len(lines[p])
	}
	var out []string
	for p := range lines {
		out = append(out, lines[p]...)
	}
	return out
}

// wanted says what a goal wants, and for how long it will do so.
func (s *Situation) wanted(g *Goal) string {
	switch {
	case s.Timeless:
		return g.Want + g.State.String() + g.Reason
	case g.State == GivenUp:
		text := g.Want + ", given up after " + Seconds(s.Now-g.Since)
		if g.Reason != "" {
			text += ": " + g.Reason
		}
		return text
	}
	return g.Want + ", for " + Seconds(s.Now-g.Since) + s.then(g.OnExpiry, g.Deadline)
}

// needed says how an object on the way stands.
func (s *Situation) needed(f *Fact) string {
	text := f.Subject + ": " + strings.TrimSuffix(f.Text, ".")
	if f.Since > 0 && f.Condition > LeftAlone && !s.Timeless {
		text += ", for " + Seconds(s.Now-f.Since)
	}
	return text + s.then(f.AtExpiry, f.Until)
}

// then says what something comes to by itself at a time.
func (s *Situation) then(what string, at time.Duration) string {
	if at <= s.Now || s.Timeless {
		return ""
	}
	return "; " + what + " in " + Seconds(at-s.Now)
}

// lines lays out a part in so many lines: whole entries as far as they go, and
// how many there are besides. Of the first, a piece is better than nothing.
func (s *Situation) lines(p Part, most int) []string {
	var out []string
	head, entries := heads[p], s.entries[p]
	if p == There && !s.Has(Needs) {
		head = heads[Needs]
	}
	for i, e := range entries {
		list := wrap(e)
		room := most - len(out)
		if i < len(entries)-1 {
			room-- // for the line that counts the others
		}
		cut := len(list) > room
		switch {
		case cut && i > 0:
			list = []string{"… and " + strconv.Itoa(len(entries)-i) + " more"}
		case cut:
			list = list[:max(room, 1)]
			list[len(list)-1] += " …"
		}
		for _, l := range list {
			out = append(out, head+l)
			head = "         "
		}
		if cut {
			break
		}
	}
	return out
}

// wrap breaks a text into lines, though not before a short word: a number
// stays with its unit. Two columns are
// left for the mark of what was cut. It counts bytes, which are never fewer
// than columns.
func wrap(text string) []string {
	const width = Width - len("Wanted:  ") - 2
	text = strings.Map(printable, text)
	var out []string
	pad := ""
	for room := width; len(text) > room; room = width - len(pad) {
		cut := room
		for ; cut > 0 && !(text[cut] == ' ' && cut+3 < len(text) && text[cut+2] != ' ' && text[cut+3] != ' '); cut-- {
		}
		if cut == 0 { // a word that is longer than the line
			for cut = room; !utf8.RuneStart(text[cut]); cut-- {
			}
		}
		out = append(out, pad+text[:cut])
		text = strings.TrimLeft(text[cut:], " ")
		pad = "  "
	}
	return append(out, pad+text)
}

// printable replaces what moves a terminal's cursor: labels and models come
// from disks.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return ' '
	}
	return r
}

// Progress writes the one line that is shown while the boot waits.
func (s *Situation) Progress() string {
	open := s.Set.Told()
	if len(open) == 0 {
		return ""
	}
	g := open[0]
	for _, o := range open { // one that stands still is waited for; the others follow from it
		if o.State == Unmet && o.Deadline > 0 {
			g = o
			break
		}
	}
	text := "waiting for " + g.Want
	var worst *Fact
	for i := range s.Facts {
		if f := &s.Facts[i]; f.Condition > LeftAlone && (worst == nil || f.Condition > worst.Condition) {
			worst = f
		}
	}
	then := s.then(g.OnExpiry, g.Deadline)
	switch {
	case worst != nil:
		text += ": " + worst.Subject + ": " + worst.Text
		if t := s.then(worst.AtExpiry, worst.Until); t != "" {
			then = t
		}
	case s.Has(Doing):
		text += ": " + s.entries[Doing][0]
	}
	return text + " (for " + Seconds(s.Now-g.Since) + then + ")"
}

// Bytes writes a size the way it is shown to people: "512 MiB", "1863 GiB".
func Bytes(n uint64) string {
	n /= 1024
	unit := 0
	for ; n >= 10240 && unit < 4; unit++ {
		n = (n + 512) / 1024
	}
	return strconv.FormatUint(n, 10) + " " + "KMGTP"[unit:unit+1] + "iB"
}

// Seconds writes a duration the way it is shown to people: "0.4 s", "12 s",
// "3 min 5 s".
func Seconds(d time.Duration) string {
	const tenth = 100 * time.Millisecond
	d = max(d, 0)
	if n := int((d + tenth/2) / tenth); n < 100 {
		return strconv.Itoa(n/10) + "." + strconv.Itoa(n%10) + " s"
	}
	s := int((d + time.Second/2) / time.Second)
	if s < 120 {
		return strconv.Itoa(s) + " s"
	}
	return strconv.Itoa(s/60) + " min " + strconv.Itoa(s%60) + " s"
}
