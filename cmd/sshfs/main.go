// Command sshfs is the helper program for a root by SSH: it runs the distribution's
// sshfs for what the boot hands to it on its standard input, reports on its output, and
// stays. Under the name "@connect" it is what sshfs starts to reach the server, and
// becomes ssh. See packages sshfs and sshfshelper.
package main

import (
	"io"
	"os"
	"path"

	"firstlight/internal/sshfs"
	"firstlight/internal/sshfshelper"
)

func main() {
	if path.Base(os.Args[0]) == sshfs.Connect {
		end(sshfshelper.Connect(os.Args[1:]))
		return
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<16))
	if err == nil {
		err = sshfshelper.Run(string(text), 1)
	}
	end(err)
}

func end(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
