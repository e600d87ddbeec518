package postmortem

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
	"unicode/utf8"

	"firstlight/internal/fmt"
)

// lineMark begins a line of a note in the kernel's log:
//
//	firstlight-failure-line CRC NUMBER/COUNT:TEXT
//
// CRC is that of the whole note and names it; numbers begin with 1. With "+"
// in the place of ":" the next line goes on where this one ends.
const lineMark = "firstlight-failure-line "

// Sizes of what goes to the kernel's log, in bytes. The kernel cuts records
// off and puts a priority and a time in front of every line.
const (
	maxPiece  = 160
	maxRecord = 900
	prefix    = len("<15>[12345.123456] ")
	maxLines  = 999
)

// Lines makes a note, as Format does, of lines for the kernel's log: each
// element is what one write takes. With what the kernel puts in front of the
// lines the whole has at most limit bytes.
func Lines(text string, journal []byte, limit int) [][]byte {
	for room := limit; ; room -= 128 {
		note := compose(text, journal, room)
		if note == "" {
			return nil
		}
		if out, size := split(note); size <= limit {
			return out
		}
	}
}

func split(note string) (out [][]byte, size int) {
	var pieces []string
	for line := range strings.SplitSeq(strings.TrimSuffix(note, "\n"), "\n") {
		for len(line) > maxPiece {
			cut := maxPiece
			for ; cut > 1 && !utf8.RuneStart(line[cut]); cut-- {
			}
			pieces = append(pieces, "+"+line[:cut])
			line = line[cut:]
		}
		pieces = append(pieces, ":"+line)
	}
	if len(pieces) > maxLines {
		return nil, 1 << 30
	}
	sum := crc32.ChecksumIEEE([]byte(note))
	var record []byte
	for i, p := range pieces {
		line := fmt.Appendf(nil, "%s%08x %d/%d%s", lineMark, sum, i+1, len(pieces), p)
		size += prefix + len(line) + 1
		if len(record) > 0 && len(record)+1+len(line) > maxRecord {
			out, record = append(out, record), nil
		}
		if len(record) > 0 {
			record = append(record, '\n')
		}
		record = append(record, line...)
	}
	return append(out, record), size
}

// Gather returns the texts of the notes of which every line is in one of the
// parts, in the order in which they are first found. Lines may stand in any
// order and more than once, and others between them.
func Gather(parts ...[]byte) []string {
	type note struct {
		lines []string // each with the byte before its text; "" where it was not found
		left  int
	}
	notes := map[string]*note{}
	var order []string
	for _, part := range parts {
		for line := range bytes.Lines(part) {
			id, number, count, text, ok := parseLine(line)
			if !ok {
				continue
			}
			key := id + " " + strconv.Itoa(count)
			n := notes[key]
			if n == nil {
				n = &note{make([]string, count), count}
				notes[key] = n
				order = append(order, key)
			}
			if n.lines[number-1] == "" {
				n.lines[number-1] = text
				n.left--
			}
		}
	}
	var out []string
	for _, key := range order {
		n := notes[key]
		if n.left > 0 {
			continue
		}
		var b strings.Builder
		for _, l := range n.lines {
			b.WriteString(l[1:])
			if l[0] == ':' {
				b.WriteByte('\n')
			}
		}
		if sum := fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(b.String()))); strings.HasPrefix(key, sum+" ") {
			out = append(out, b.String())
		}
	}
	return out
}

// Has says whether there is a line of a note in b.
func Has(b []byte) bool { return bytes.Contains(b, []byte(lineMark)) }

// parseLine reads a line of a note, behind whatever stands in front of it.
func parseLine(b []byte) (id string, number, count int, text string, ok bool) {
	i := bytes.Index(b, []byte(lineMark))
	if i < 0 {
		return "", 0, 0, "", false
	}
	rest := strings.TrimRight(string(b[i+len(lineMark):]), "\n")
	id, rest, ok1 := strings.Cut(rest, " ")
	first, rest, ok2 := strings.Cut(rest, "/")
	sep := strings.IndexAny(rest, ":+")
	if !ok1 || !ok2 || len(id) != 8 || sep < 0 {
		return "", 0, 0, "", false
	}
	number, err1 := strconv.Atoi(first)
	count, err2 := strconv.Atoi(rest[:sep])
	ok = err1 == nil && err2 == nil && number >= 1 && number <= count && count <= maxLines
	return id, number, count, rest[sep:], ok
}
