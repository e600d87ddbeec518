// Command tang is the helper program that asks Tang servers for what opens a volume,
// which Clevis has bound to them. The binding is on its standard input. See packages
// tanghelper and clevis.
package main

import (
	"io"
	"os"

	"firstlight/internal/clevis"
	"firstlight/internal/netreport"
	"firstlight/internal/tanghelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, clevis.MaxBinding))
	if err == nil {
		err = tanghelper.Run(string(text), os.Stdout, nil)
	}
	if err != nil {
		os.Stdout.WriteString(netreport.Report{State: netreport.StateProblem}.With("text", err.Error()).String() + "\n")
		os.Exit(1)
	}
}
