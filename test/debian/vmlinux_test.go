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
