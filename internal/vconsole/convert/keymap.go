// Package convert makes the list of package vconsole from keymaps and fonts as
// kbd has them. Builder only.
package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"firstlight/internal/vconsole"
)

// Requests of ioctl(2) on a virtual terminal (linux/kd.h, ioctl_console(2)).
const (
	ioKDSKBMODE   = 0x4b45     // mode of the keyboard, a number
	ioKDSKBENT    = 0x4b47     // struct kbentry
	ioKDFONTOP    = 0x4b72     // struct console_font_op
	ioKDSKBDIACRU = 0x4bfb     // struct kbdiacrsuc
	ioUNIMAPCLR   = 0x4b68     // struct unimapinit
	ioUNIMAP      = 0x4b67     // struct unimapdesc
	kUnicode      = uintptr(3) // K_UNICODE
)

// keys is how many keys a table has (NR_KEYS in what loadkeys writes), maxMaps
// how many tables there can be.
const (
	magic     = "bkeymap"
	keys      = 128
	maxMaps   = 256
	maxAccent = 256
)

// Keymap makes the calls that load a layout: the binary form that `loadkeys
// --bkeymap` and busybox's dumpkmap write, which is the word "bkeymap", a byte
// for each of 256 tables, and for those that are there 128 values of two bytes.
// The keyboard is put into Unicode mode.
func Keymap(b []byte) ([]vconsole.Call, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < maxMaps {
		return nil, errors.New("not a binary keymap")
	}
	there, rest := rest[:maxMaps], rest[maxMaps:]
	var entries []byte
	for table, is := range there {
		if is == 0 {
			continue
		}
		if len(rest) < 2*keys {
			return nil, errors.New("the binary keymap ends early")
		}
		for key := range keys {
			// struct kbentry: table, index, value.
			entries = append(entries, byte(table), byte(key), rest[2*key], rest[2*key+1])
		}
		rest = rest[2*keys:]
	}
	if len(entries) == 0 {
		return nil, errors.New("the binary keymap has no table")
	}
	if len(rest) > 0 {
		return nil, errors.New("the binary keymap has bytes at its end that belong to nothing")
	}
	return []vconsole.Call{{Request: ioKDSKBMODE, Value: uint32(kUnicode)}, {Request: ioKDSKBENT, Args: entries, Size: 4}}, nil
}

// accent is an entry of the table.
const accent = `\{\s*('\\[0-7]{3}'|'\\?.'|0x[0-9a-fA-F]+|\d+)\s*,\s*('\\[0-7]{3}'|'\\?.'|0x[0-9a-fA-F]+|\d+)\s*,\s*('\\[0-7]{3}'|'\\?.'|0x[0-9a-fA-F]+|\d+)\s*\}`

// Accents makes the call for what dead keys and the compose key make, from the
// table accent_table of the C source that `loadkeys --mktable` writes. Without an
// entry there is none: the kernel's own stay.
func Accents(source []byte) ([]vconsole.Call, error) {
	_, text, ok := bytes.Cut(source, []byte("accent_table["))
	if !ok {
		return nil, errors.New("the source of a keymap has no accent_table")
	}
	text, _, _ = bytes.Cut(text, []byte("};"))
	found := regexp.MustCompile(accent).FindAllSubmatch(text, -1)
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > maxAccent:
		return nil, fmt.Errorf("the keymap has %d combinations of accents, more than the %d that the kernel takes", len(found), maxAccent)
	}
	// struct kbdiacrsuc: the number, and then always 256 of diacr, base, result.
	arg := make([]byte, 4+12*maxAccent)
	binary.LittleEndian.PutUint32(arg, uint32(len(found)))
	for i, f := range found {
		for j, s := range f[1:] {
			v, err := character(string(s))
			if err != nil {
				return nil, err
			}
			binary.LittleEndian.PutUint32(arg[4+12*i+4*j:], v)
		}
	}
	return []vconsole.Call{{Request: ioKDSKBDIACRU, Args: arg, Size: uint32(len(arg))}}, nil
}

// character is one of C: a number, or what stands between quotation marks.
func character(s string) (uint32, error) {
	if s[0] == '\'' {
		if s = s[1 : len(s)-1]; len(s) == 4 {
			v, err := strconv.ParseUint(s[1:], 8, 8)
			return uint32(v), err
		}
		return uint32(s[len(s)-1]), nil
	}
	v, err := strconv.ParseUint(s, 0, 21)
	if err != nil {
		return 0, fmt.Errorf("the keymap's %q is not a character", s)
	}
	return uint32(v), nil
}
