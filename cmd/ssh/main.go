// Command ssh is the helper program for SSH: people who log in are asked what the
// consoles are asked. See packages sshserver, sshdesk and sshconf.
package main

import (
	"os"
	"sync"

	"firstlight/internal/askwire"
	"firstlight/internal/netreport"
	"firstlight/internal/sshconf"
	"firstlight/internal/sshserver"
)

func main() {
	var mu sync.Mutex
	say := func(r netreport.Report) {
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.WriteString(r.String() + "\n")
	}
	s, err := sshserver.Load(sshserver.Files{Settings: sshconf.SettingsFile, Keys: sshconf.KeysFile, HostKeys: sshconf.HostKeysFile}, askwire.FD, say)
	if err == nil {
		err = s.Run()
	}
	if err != nil {
		say(netreport.Report{State: netreport.StateProblem}.With("text", "SSH: "+err.Error()))
		os.Exit(1)
	}
}
