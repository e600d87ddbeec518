// Command nbd is the helper program for disks on NBD servers: it connects what the
// boot hands to it on its standard input, reports on its output, and stays for
// connections that break, in the real system too. See packages nbdup and
// nbdhelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/nbdhelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<17))
	if err == nil {
		err = nbdhelper.Run(string(text), 1, nil)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
