// Command imagecache is the helper program that keeps the image of a root on a disk
// from boot to boot, as the plan on its standard input says, and reports on its
// output. What it has not it has fetched by the program fetch. See packages
// imagecache and imagecachehelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/imagecachehelper"
	"firstlight/internal/netreport"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, netreport.MaxLine))
	if err == nil {
		h := imagecachehelper.Helper{Say: func(r netreport.Report) { os.Stdout.WriteString(r.String() + "\n") }}
		err = h.Run(string(text))
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
