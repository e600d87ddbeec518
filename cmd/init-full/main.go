// Command init-full is PID 1 of an image that needs handlers which init lacks.
// It differs from init in nothing else.
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
		os.Exit(pid1.Modprobe(load.Columns{}, os.Args[1:]))
	}
	pid1.Main(load.Columns{}, all.Handlers())
}
