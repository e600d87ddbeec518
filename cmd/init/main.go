// Command init is PID 1 of an image with the usual storage; init-full is that
// of the others. Called as modprobe, which is what the kernel does when it
// misses a module, it loads that module and ends.
package main

import (
	"os"
	"path"

	_ "firstlight/internal/entry" // what the process begins with
	"firstlight/internal/handler/all"
	"firstlight/internal/kmod/load"
	"firstlight/internal/pid1"
)

func main() {
	if path.Base(os.Args[0]) == "modprobe" {
		os.Exit(pid1.Modprobe(load.Linux{}, os.Args[1:]))
	}
	pid1.Main(load.Linux{}, all.Common())
}
