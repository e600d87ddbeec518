// Command nbd-tls is the helper program nbd with TLS, for servers that encrypt. It
// is a program of its own because TLS is larger than all the rest.
package main

import (
	"io"
	"os"

	"firstlight/internal/nbdhelper"
	"firstlight/internal/nbdtls"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<17))
	if err == nil {
		err = nbdhelper.Run(string(text), 1, nbdtls.TLS{})
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
