package pid1

import (
	"strings"

	"firstlight/internal/kmod/load"
)

// Modprobe loads what the kernel asks for by request_module: it calls
// "/sbin/modprobe -q -- NAME". The result is the exit code, as modprobe(8)
// has it.
func Modprobe(kernel load.Kernel, args []string) int {
	var names []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			names = append(names, a)
		}
	}
	index, err := readIndex()
	if err != nil {
		complain(err.Error())
		return 1
	}
	cfg, _ := commandLine()
	mods := newModules(index, cfg.Modules, kernel)
	if err := mods.Load(names...); err != nil {
		return 1
	}
	return 0
}
