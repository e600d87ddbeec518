// Command httpdisk is the helper program that makes a file of a web server a disk of
// this machine, which is read piece by piece. See packages httpdisk and
// httpdiskhelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/httpdiskhelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<17))
	if err == nil {
		err = httpdiskhelper.Run(string(text), 1)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
