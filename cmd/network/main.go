// Command network is the helper program for the network: it brings the links up
// as the parameters on its standard input say, and reports on its output. See
// packages netup and nethelper. As "network kerberos" it runs rpc.gssd for a root on NFS,
// see package gsshelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/gsshelper"
	"firstlight/internal/nethelper"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "aoe" {
		end(nethelper.FindAoE(os.Args[2], 1))
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "kerberos" {
		end(gsshelper.Run(1))
		return
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<16))
	if err == nil {
		err = nethelper.Run(string(text), 1)
	}
	end(err)
}

func end(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
