// Command fetch is the helper program that fetches the image of a root from a
// server, as the plan on its standard input says, and reports on its output. See
// packages fetch and fetchhelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/fetchhelper"
	"firstlight/internal/netreport"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, netreport.MaxLine))
	if err == nil {
		h := fetchhelper.Helper{Say: func(r netreport.Report) { os.Stdout.WriteString(r.String() + "\n") }}
		err = h.Run(string(text))
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
