package debian

import (
	"debug/elf"
	"testing"
)

// A kernel that could not be unpacked would fail every boot at once.
func TestUnpackedIsAnELFKernel(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		k, err := FindKernel(suite)
		if err != nil {
			t.Skip(err)
		}
		file, err := k.Unpacked()
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
			t.Errorf("%s is a %v for %v", file, f.Type, f.Machine)
		}
	}
}

func TestPayloadRefusesWhatIsNoKernel(t *testing.T) {
	short := make([]byte, 0x250)
	copy(short[0x202:], "HdrS\x0f\x02")
	short[0x24c] = 1 // a payload of one byte, behind the end
	for name, b := range map[string][]byte{"empty": nil, "no header": make([]byte, 4096), "cut": short} {
		if p, err := payload(b); err == nil {
			t.Errorf("%s: %d bytes", name, len(p))
		}
	}
}
