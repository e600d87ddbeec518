package check

import (
	"bytes"
	"debug/elf"
	"strings"
)

// charsets are the modules with the tables of characters that a mount of a FAT
// filesystem asks the kernel for: that of the short names, and that in which
// names are given to programs (fs/fat/inode.c: load_nls). Options name them, or
// the defaults with which the driver was built.
func (w *world) charsets(options string) []string {
	page, set := "437", w.fatCharset()
	for o := range strings.SplitSeq(options, ",") {
		switch name, value, _ := strings.Cut(o, "="); name {
		case "codepage":
			page = value
		case "iocharset":
			set = value
		}
	}
	tables := []string{"nls_cp" + page}
	if set != "" {
		tables = append(tables, "nls_"+set)
	}
	return tables
}

// fatCharset is what the kernel was built with as CONFIG_FAT_DEFAULT_IOCHARSET:
// the driver has it in a variable. It is "" where that cannot be found.
func (w *world) fatCharset() string {
	id, ok := w.im.index.Lookup("fat")
	if !ok {
		return ""
	}
	module, err := w.im.content(w.im.index.Path(id))
	if err != nil {
		return ""
	}
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return ""
	}
	symbols, err := f.Symbols()
	if err != nil {
		return ""
	}
	for _, s := range symbols {
		if s.Name != "fat_default_iocharset" || int(s.Section) >= len(f.Sections) {
			continue
		}
		data, err := f.Sections[s.Section].Data()
		if end := s.Value + s.Size; err == nil && s.Value < end && end <= uint64(len(data)) {
			text, _, _ := bytes.Cut(data[s.Value:end], []byte{0})
			return string(text)
		}
	}
	return ""
}
