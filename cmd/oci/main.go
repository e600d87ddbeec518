// Command oci is the helper program that makes a root of an image of the Open
// Container Initiative that a server has, as the plan on its standard input says, and
// reports on its output. Its parts are fetched by the program fetch. See packages oci
// and ocihelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/netreport"
	"firstlight/internal/ocihelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, netreport.MaxLine))
	if err == nil {
		h := ocihelper.Helper{Say: func(r netreport.Report) { os.Stdout.WriteString(r.String() + "\n") }}
		err = h.Run(string(text))
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
