// Command firstlight builds initramfs images and looks into them.
package main

import (
	"os"

	"firstlight/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
