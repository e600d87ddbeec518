package build

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// architectures are those that Firstlight's programs can be made for, by the
// number in ELF headers and Go's name.
var architectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_RISCV: "riscv64", elf.EM_386: "386", elf.EM_ARM: "arm", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
}

// headLength is as much of a file as tells its architecture.
const headLength = 20

// machineOf reads the architecture out of the first bytes of an ELF file.
func machineOf(b []byte) (elf.Machine, error) {
	if len(b) < headLength || string(b[:4]) != elf.ELFMAG {
		return 0, errors.New("not an ELF file")
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if b[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		order = binary.BigEndian
	}
	return elf.Machine(order.Uint16(b[18:])), nil
}

// architecture takes the programs for /init that fit the kernel's modules: those
// that were given, or, for another architecture, those in a directory of its name
// beside them.
func (b *builder) architecture() error {
	modules := b.mods.Modules()
	if len(modules) == 0 {
		return nil
	}
	module, err := modules[0].Read()
	if err != nil {
		return err
	}
	want, err := machineOf(module)
	if err != nil {
		return fmt.Errorf("%s: %w", modules[0].Path(), err)
	}
	fits := func(program string) (bool, error) {
		f, err := os.Open(program)
		if err != nil {
			return false, fmt.Errorf("the program for /init: %w", err)
		}
		defer f.Close()
		head := make([]byte, headLength)
		if _, err := io.ReadFull(f, head); err != nil {
			return false, fmt.Errorf("the program for /init: %s: %w", program, err)
		}
		is, err := machineOf(head)
		if err != nil {
			return false, fmt.Errorf("the program for /init: %s: %w", program, err)
		}
		return is == want, nil
	}
	ok, err := fits(b.o.Init)
	if err != nil || ok {
		return err
	}
	name := architectures[want]
	if name == "" {
		return fmt.Errorf("the modules of kernel %s are for %v, which Firstlight does not know", b.o.Kernel, want)
	}
	// Of one of those the other may be the same file, given by --init.
	beside := func(program string) string {
		return filepath.Join(filepath.Dir(program), name, filepath.Base(program))
	}
	small, full := beside(b.o.Init), beside(b.o.InitFull)
	if _, err := os.Stat(small); err != nil {
		return fmt.Errorf("kernel %s is for %s, and %s is not; there is no %s either (make foreign ARCHS=%s makes it)", b.o.Kernel, name, b.o.Init, small, name)
	}
	if ok, err = fits(small); err == nil && !ok {
		err = fmt.Errorf("%s is not for %s", small, name)
	}
	b.o.Init, b.o.InitFull = small, full
	return err
}
