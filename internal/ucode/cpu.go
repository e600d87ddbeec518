// Package ucode finds the microcode of a processor in the files that Intel and
// AMD publish, as distributions have them below /lib/firmware, and puts it into
// the form in which the kernel looks for it at the very beginning of an
// initramfs (Documentation/arch/x86/microcode.rst). Builder only.
package ucode

import (
	"strconv"
	"strings"
)

// The two vendors, as /proc/cpuinfo names them.
const (
	Intel = "GenuineIntel"
	AMD   = "AuthenticAMD"
)

// Dir is where the kernel looks in the first archive of an initramfs; the file
// there has the vendor's name and ".bin".
const Dir = "kernel/x86/microcode"

// CPU is one kind of processor.
type CPU struct {
	Vendor                  string // Intel or AMD
	Family, Model, Stepping uint32
	// Platform has one bit set, which of the kinds of board an Intel processor
	// is for (MSR 17h, bits 52 to 50); 0 is not known.
	Platform uint32
}

// Signature is what CPUID's leaf 1 says in EAX.
func (c CPU) Signature() uint32 {
	family, extended := c.Family, uint32(0)
	if family > 0xf {
		family, extended = 0xf, c.Family-0xf
	}
	return extended<<20 | (c.Model>>4&0xf)<<16 | family<<8 | (c.Model&0xf)<<4 | c.Stepping&0xf
}

// FromCPUInfo reads the kinds of processors out of /proc/cpuinfo. In a virtual
// machine there are none: the host has the microcode. platform is what
// /sys/devices/system/cpu/cpu0/microcode/processor_flags says, "" for nothing.
func FromCPUInfo(text, platform string) []CPU {
	var out []CPU
	var c CPU
	have := 0
	guest := false
	end := func() {
		if have == 4 && !guest && (c.Vendor == Intel || c.Vendor == AMD) {
			known := false
			for _, o := range out {
				known = known || o == c
			}
			if !known {
				out = append(out, c)
			}
		}
		c, have, guest = CPU{}, 0, false
	}
	flags, _ := strconv.ParseUint(strings.TrimSpace(platform), 0, 32)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			if strings.TrimSpace(line) == "" {
				end()
			}
			continue
		}
		number := func(to *uint32) {
			if n, err := strconv.ParseUint(value, 10, 32); err == nil {
				*to = uint32(n)
				have++
			}
		}
		switch name {
		case "processor":
			end()
		case "vendor_id":
			c.Vendor = value
			have++
			if value == Intel {
				c.Platform = uint32(flags)
			}
		case "cpu family":
			number(&c.Family)
		case "model":
			number(&c.Model)
		case "stepping":
			number(&c.Stepping)
		case "flags":
			guest = strings.Contains(" "+value+" ", " hypervisor ")
		}
	}
	end()
	return out
}
