// Command tang-tls is the helper program tang with TLS, for servers whose URL is one
// of https. It is a program of its own because TLS is larger than all the rest.
package main

import (
	"io"
	"os"

	"firstlight/internal/clevis"
	"firstlight/internal/netreport"
	"firstlight/internal/tanghelper"
	"firstlight/internal/tangtls"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, clevis.MaxBinding))
	if err == nil {
		err = tanghelper.Run(string(text), os.Stdout, tangtls.Client(""))
	}
	if err != nil {
		os.Stdout.WriteString(netreport.Report{State: netreport.StateProblem}.With("text", err.Error()).String() + "\n")
		os.Exit(1)
	}
}
