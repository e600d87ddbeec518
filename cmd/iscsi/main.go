// Command iscsi is the helper program for disks of iSCSI targets. As "iscsi daemon"
// it runs open-iscsi's iscsid, as which it starts itself as "iscsi become"; otherwise
// it logs in to the target that its standard input says, by that daemon, and reports
// on its output. See packages iscsiup and iscsihelper.
package main

import (
	"io"
	"os"

	"firstlight/internal/iscsihelper"
)

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<17))
	run := iscsihelper.Run
	if len(os.Args) > 1 {
		run = iscsihelper.Daemon
		if os.Args[1] == "become" {
			run = iscsihelper.Become
		}
	}
	if err == nil {
		err = run(string(text), 1)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
