// Command nvmf is the helper program for NVMe over fabrics: it connects what the
// parameters on its standard input, the image's files and the firmware say, and
// reports on its output. See packages nvmfup and nvmfhelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/nvmfhelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<17))
	if err == nil {
		err = nvmfhelper.Run(string(text), 1)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
