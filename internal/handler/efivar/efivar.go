// Package efivar reads variables of the firmware that boot loaders and systemd
// leave, for handlers. Nothing is written, and the variables are mounted no
// longer than that takes.
package efivar

import (
	"errors"
	"io/fs"
	"strings"
	"unicode/utf16"

	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Dir is where they are mounted to read one of them. Each has a place of its own:
// several handlers look at the same time, and the kernel refuses to mount the same on
// the same directory.
func Dir(name string) string {
	name, _, _ = strings.Cut(name, "-")
	return "/run/firstlight/efivars-" + name
}

// Read returns the text of a variable, whose name is that of its file in
// efivarfs; what says for a person what is read. Without the variable, or on a
// machine without EFI, it is "". It is at most max bytes long.
func Read(t *ueventd.Task, what, name string, max int64) (string, error) {
	dir := Dir(name)
	text, err := ueventd.Do(t, what, func(m machine.Machine) (string, error) {
		if err := m.Load("fs-efivarfs"); err != nil {
			return "", err
		}
		// Read-only, and neither programs nor devices.
		if err := m.Mount(machine.Mount{Source: "efivarfs", Target: dir, FSType: "efivarfs", Flags: 1 | 2 | 4 | 8}); err != nil {
			return "", err
		}
		b, err := m.ReadFile(dir+"/"+name, max)
		m.Unmount(dir, true) // what was read is read
		return Decode(b), err
	})
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, machine.ErrNoModule), errors.Is(err, fs.ErrNotExist), strings.Contains(err.Error(), "no such device"),
		strings.Contains(err.Error(), "not supported"):
		t.Record("decision", "the firmware says nothing: "+err.Error())
		return "", nil
	}
	return "", err
}

// Decode reads a value as efivarfs has it: four bytes of attributes, then
// UTF-16, little endian, which may end in a zero.
func Decode(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	var units []uint16
	for b = b[4:]; len(b) >= 2; b = b[2:] {
		u := uint16(b[0]) | uint16(b[1])<<8
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
