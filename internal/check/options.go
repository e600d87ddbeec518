package check

import (
	"bytes"
	"slices"
	"strings"
)

// generic are the mount options that the kernel takes for every filesystem
// (fs/fs_context.c), and those of its security modules.
var generic = []string{"ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "silent", "loud", "source",
	"context", "fscontext", "defcontext", "rootcontext", "seclabel", "smackfsdef", "smackfsfloor", "smackfshat", "smackfsroot", "smackfstransmute"}

// refused returns the first option that a filesystem's driver cannot know: its
// name is nowhere in the module, as a text that ends there ("commit", as
// struct fs_parameter_spec has it) or before a value ("commit=%u", as a
// match_table_t has it). That a name is there does not say that it is taken;
// what is not there is refused for certain. A driver that is a part of the
// kernel is not looked at.
func (w *world) refused(fstype, data string) string {
	ids := w.im.index.Match("fs-" + fstype)
	if data == "" || len(ids) != 1 || w.im.index.Path(ids[0]) == "" {
		return ""
	}
	module, err := w.im.content(w.im.index.Path(ids[0]))
	if err != nil || !bytes.HasPrefix(module, []byte("\x7fELF")) {
		return ""
	}
	for option := range strings.SplitSeq(data, ",") {
		name, _, _ := strings.Cut(option, "=")
		if name == "" || slices.Contains(generic, name) {
			continue
		}
		// An option that can be switched off has one name for both.
		if !mentions(module, name) && !(strings.HasPrefix(name, "no") && mentions(module, name[len("no"):])) {
			return name
		}
	}
	return ""
}

// mentions says whether a module has a text that ends with a name, or with a
// name and a value.
func mentions(module []byte, name string) bool {
	return name != "" && (bytes.Contains(module, []byte(name+"\x00")) || bytes.Contains(module, []byte(name+"=")))
}
