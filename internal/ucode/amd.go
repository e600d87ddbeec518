package ucode

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A container of AMD's is a magic number and sections, each a type, a size and
// so many bytes: first the table that gives each processor a number of its own,
// then patches (the kernel's arch/x86/include/asm/microcode_amd.h, as a format).
const (
	amdMagic     = 0x00414d44
	amdTable     = 0
	amdPatch     = 1
	amdEntry     = 16 // of the table: CPUID, masks, the number
	amdPatchHead = 64
	amdSection   = 8
)

type amdSectionOf struct {
	kind  uint32
	bytes []byte // with its header
	body  []byte
}

// parseAMD reads the containers of a file, which may be several.
func parseAMD(b []byte) ([][]amdSectionOf, error) {
	var out [][]amdSectionOf
	for at := 0; len(b) > 0; {
		if len(b) < 4 || binary.LittleEndian.Uint32(b) != amdMagic {
			return nil, fmt.Errorf("what is at %d is no container", at)
		}
		b, at = b[4:], at+4
		var list []amdSectionOf
		for len(b) >= 4 && binary.LittleEndian.Uint32(b) != amdMagic {
			if len(b) < amdSection {
				return nil, fmt.Errorf("the container ends at %d, in the middle of a section", at)
			}
			kind, size := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
			if kind > amdPatch || uint64(size)+amdSection > uint64(len(b)) || kind == amdPatch && size < amdPatchHead || kind == amdTable && len(list) > 0 || kind != amdTable && len(list) == 0 {
				return nil, fmt.Errorf("the section at %d is damaged", at)
			}
			end := amdSection + int(size)
			list = append(list, amdSectionOf{kind, b[:end:end], b[amdSection:end]})
			b, at = b[end:], at+end
		}
		if len(list) == 0 || 0 < len(b) && len(b) < 4 {
			return nil, errors.New("the container has no table")
		}
		out = append(out, list)
	}
	if len(out) == 0 {
		return nil, errors.New("it is empty")
	}
	return out, nil
}

// SelectAMD returns a container with the patches of a file for the processors,
// nothing if there is none; with no processor at all it returns the file.
func SelectAMD(b []byte, cpus []CPU) ([]byte, error) {
	list, err := parseAMD(b)
	if err != nil {
		return nil, err
	}
	if len(cpus) == 0 {
		return b, nil
	}
	var out []byte
	for _, c := range list {
		wanted := map[uint16]bool{}
		for e := c[0].body; len(e) >= amdEntry; e = e[amdEntry:] {
			for _, cpu := range cpus {
				if sig := binary.LittleEndian.Uint32(e); cpu.Vendor == AMD && sig != 0 && sig == cpu.Signature() {
					wanted[binary.LittleEndian.Uint16(e[12:])] = true
				}
			}
		}
		var patches []byte
		for _, s := range c[1:] {
			if wanted[binary.LittleEndian.Uint16(s.body[24:])] { // processor_rev_id
				patches = append(patches, s.bytes...)
			}
		}
		if len(patches) > 0 {
			out = binary.LittleEndian.AppendUint32(out, amdMagic)
			out = append(append(out, c[0].bytes...), patches...)
		}
	}
	return out, nil
}
