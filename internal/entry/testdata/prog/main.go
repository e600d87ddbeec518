// Prog says that its main function was reached, and with which arguments.
package main

import (
	"os"
	"strings"

	_ "firstlight/internal/entry"
)

func main() {
	b, _ := os.ReadFile("/proc/self/status")
	thp := "unknown"
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "THP_enabled:"); ok {
			thp = strings.TrimSpace(v)
		}
	}
	slack, _ := os.ReadFile("/proc/self/timerslack_ns")
	os.Stdout.WriteString("main " + strings.Join(os.Args, " ") + " thp=" + thp + " slack=" + strings.TrimSpace(string(slack)) + "\n")
}
