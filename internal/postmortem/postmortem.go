// Package postmortem is the form in which a boot that failed leaves its reason
// where the next one finds it: the persistent store (pstore), a variable of
// the firmware, the EFI system partition.
//
// A note is text between a first line that gives its length and checksum and
// its end, so that it is found whole, or not at all, in memory that others
// write to as well and that may have lost bits:
//
//	firstlight-failure 1 LENGTH CRC
//	TEXT
//
// LENGTH is that of TEXT in bytes, in decimal, CRC its CRC-32 (IEEE) in eight
// hexadecimal digits. Where only lines can be left, among those of others (see
// Lines), each says of which note it is a part. The package does no I/O.
package postmortem

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
	"unicode/utf8"

	"firstlight/internal/fmt"
)

const mark = "firstlight-failure 1 "

// Variable is the name of the firmware's variable that holds a note, with the
// GUID of its vendor, which is Firstlight's own.
const Variable = "FirstlightFailure-4f1c6bd4-6c83-4d0a-9d5a-2f0f6e1d7b42"

// File is the note's name on the EFI system partition.
const File = "firstlight-failure.txt"

// maxNote bounds a note that is read, in bytes.
const maxNote = 1 << 20

// Head is the end of a note's first line: which boot failed, by the kernel's
// boot identifier, and when, by the machine's own clock. Either may be unknown.
func Head(bootID, time string) string {
	text := ""
	if time = strings.TrimSpace(time); time != "" {
		text = ", " + time + " by the machine's clock"
	}
	if bootID != "" {
		text += headBoot + bootID
	}
	return text
}

const headBoot = ", boot "

// BootID is the identifier of the boot that left the note, "" if unknown.
func BootID(note string) string {
	line, _, _ := strings.Cut(note, "\n")
	_, id, _ := strings.Cut(line, headBoot)
	return id
}

// records begins the last records of the journal in a note.
const records = "\nThe last records of the journal:\n"

// Format makes a note of at most limit bytes: text, shortened where it does
// not fit, and after it as many of the last records of the journal as do.
// Where not even a line fits, it is nil.
func Format(text string, journal []byte, limit int) []byte {
	text = compose(text, journal, limit-len(mark)-len("1048575 01234567\n"))
	if text == "" {
		return nil
	}
	return fmt.Appendf(nil, "%s%d %08x\n%s", mark, len(text), crc32.ChecksumIEEE([]byte(text)), text)
}

// compose puts text and as many records as fit into room bytes.
func compose(text string, journal []byte, room int) string {
	if room < 64 {
		return ""
	}
	text = strings.TrimRight(text, "\n") + "\n"
	if len(text) > room {
		cut := room - len("…\n")
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…\n"
	}
	if t := tail(journal, room-len(text)-len(records)); len(t) > 0 {
		text += records + string(t)
	}
	return text
}

// Records takes a note apart into what was on the screen and the last records
// of the journal, "" where there was no room for any.
func Records(note string) (text, journal string) {
	text, journal, _ = strings.Cut(note, records)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text, journal
}

// tail is the last whole lines of at most n bytes.
func tail(b []byte, n int) []byte {
	if n <= 0 {
		return nil
	}
	if end := bytes.LastIndexByte(b, '\n'); end >= 0 {
		b = b[:end+1]
	} else {
		return nil
	}
	if len(b) <= n {
		return b
	}
	b = b[len(b)-n-1:] // with the byte before, which may be the end of a line
	return b[bytes.IndexByte(b, '\n')+1:]
}

// Find returns the texts of the whole notes in b, in the order in which they
// stand.
func Find(b []byte) []string {
	var out []string
	for {
		i := bytes.Index(b, []byte(mark))
		if i < 0 {
			return out
		}
		b = b[i+len(mark):]
		head, _, ok := bytes.Cut(b[:min(len(b), 32)], []byte("\n"))
		if !ok {
			continue
		}
		length, sum, ok := strings.Cut(string(head), " ")
		n, err1 := strconv.ParseUint(length, 10, 32)
		crc, err2 := strconv.ParseUint(sum, 16, 32)
		body := b[len(head)+1:]
		if !ok || len(sum) != 8 || err1 != nil || err2 != nil || n > maxNote || n > uint64(len(body)) {
			continue
		}
		if crc32.ChecksumIEEE(body[:n]) == uint32(crc) {
			out = append(out, string(body[:n]))
			b = body[n:]
		}
	}
}
