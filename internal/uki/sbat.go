package uki

import (
	"bytes"
	"strings"

	"firstlight/internal/image/pe"
)

// The first line of every table for SBAT (Secure Boot Advanced Targeting, of
// shim), by which firmware's loaders revoke generations of a component.
const sbatHead = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md"

// What images and addons are by default.
const (
	sbatImage = "uki,1,UKI,uki,1,https://uapi-group.org/specifications/specs/unified_kernel_image/"
	sbatAddon = "uki-addon,1,UKI Addon,addon,1,https://www.freedesktop.org/software/systemd/man/latest/systemd-stub.html"
)

// mergeSBAT makes one table of those of programs and of texts. What is no program
// or has no table adds nothing.
func mergeSBAT(programs [][]byte, texts []string) []byte {
	var lines []string
	for _, b := range programs {
		p, err := pe.Parse(b)
		if err != nil {
			continue
		}
		for _, h := range p.Headers {
			if h.Name == ".sbat" {
				lines = append(lines, sbatLines(string(bytes.TrimRight(b[h.Raw:h.Raw+h.RawSize], "\x00")))...)
			}
		}
	}
	for _, t := range texts {
		lines = append(lines, sbatLines(t)...)
	}
	return []byte(sbatHead + "\n" + strings.Join(lines, "\n") + "\n\x00")
}

// sbatLines are the lines of a table without its first.
func sbatLines(text string) []string {
	if !strings.HasPrefix(text, "sbat,") {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	return lines[1:]
}
