package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxBootconfig is how many bytes the kernel takes (XBC_DATA_MAX).
const maxBootconfig = 32 << 10

// bootconfigKey are the characters of a word of a key.
const bootconfigKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// CheckBootconfig says what is wrong with the text of a bootconfig, by line: the
// kernel passes one over as a whole in which anything is
// (Documentation/admin-guide/bootconfig.rst).
func CheckBootconfig(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("it is empty")
	}
	if len(text) > maxBootconfig-1 {
		return fmt.Errorf("it has %d bytes, and the kernel takes %d", len(text), maxBootconfig-1)
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return errors.New("it has a zero byte")
	}
	line, open := 1, 0
	at := func(format string, a ...any) error {
		return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, a...))
	}
	// word: there is a key since the last end of a statement; value: its '=' was.
	word, value := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			line++
			word, value = false, false
		case c == ';':
			word, value = false, false
		case c == ' ' || c == '\t' || c == '\r':
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == '{':
			if !word || value {
				return at("a '{' without a key before it")
			}
			open++
			word = false
		case c == '}':
			if open--; open < 0 {
				return at("a '}' that closes nothing")
			}
			word, value = false, false
		case value && (c == '"' || c == '\''):
			end := bytes.IndexByte(text[i+1:], c)
			if end < 0 {
				return at("a quotation mark that is not closed")
			}
			line += bytes.Count(text[i+1:i+1+end], []byte{'\n'})
			i += end + 1
		case value && c == ',':
			// The next value may stand on another line.
			for i+1 < len(text) && bytes.IndexByte([]byte(" \t\r\n"), text[i+1]) >= 0 {
				if i++; text[i] == '\n' {
					line++
				}
			}
		case value:
			if c < ' ' || c > '~' {
				return at("a value with a character that cannot be seen")
			}
		case c == '=' || (c == ':' || c == '+') && i+1 < len(text) && text[i+1] == '=':
			if !word {
				return at("a '=' without a key before it")
			}
			if c != '=' {
				i++
			}
			value = true
		case bytes.IndexByte([]byte(bootconfigKey), c) < 0:
			return at("%q cannot be part of a key", c)
		default:
			word = true
		}
	}
	if open > 0 {
		return fmt.Errorf("%d '{' are not closed", open)
	}
	return nil
}

// BootconfigSegment is a bootconfig as it stands behind an image of so many
// bytes: the text, zeros up to a multiple of four bytes, its size and its sum, and
// a word that the kernel looks for at the end.
func BootconfigSegment(text []byte, size int64) *Segment {
	b := append(bytes.Clone(text), 0)
	for (size+int64(len(b))+int64(bootconfigTrailer))%4 != 0 {
		b = append(b, 0)
	}
	var sum uint32
	for _, c := range b {
		sum += uint32(c)
	}
	n := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = binary.LittleEndian.AppendUint32(b, sum)
	return &Segment{Name: "bootconfig", Raw: int64(len(text)), Frame: append(b, bootconfigMagic...)}
}
