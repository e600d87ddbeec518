// Capture takes a snapshot of the guest that it runs in, at the end of an
// initramfs: everything is assembled, unlocked and mounted below /sysroot. It
// sends the snapshot to the harness and powers the machine off.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/snapshot"
	"firstlight/test/guest/report"
)

func main() {
	if err := capture(); err != nil {
		fmt.Println("capture:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	time.Sleep(time.Minute) // not reached
}

func capture() error {
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer w.Drain()
	o := snapshot.Host("capture", "/sysroot")
	o.Keys = true
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	var files []snapshot.File // that the harness knows a check to miss
	for _, word := range strings.Fields(string(line)) {
		if f := strings.SplitN(strings.TrimPrefix(word, "fltest.file="), ":", 3); strings.HasPrefix(word, "fltest.file=") && len(f) == 3 {
			files = append(files, snapshot.File{Device: f[0], FSType: f[1], Path: f[2]})
		}
		// What the command line of a case will have.
		if v, ok := strings.CutPrefix(word, "fltest.ask="); ok {
			o.Cmdlines = append(o.Cmdlines, v)
		}
	}
	s, err := snapshot.Take(o)
	if err != nil {
		return err
	}
	s.Look(o, files) // what it cannot look at, a check cannot tell
	var b bytes.Buffer
	if err := snapshot.Write(&b, s); err != nil {
		return err
	}
	if err := w.SendBytes("snapshot", b.Bytes()); err != nil {
		return err
	}
	return w.Send(report.Message{Note: "done"})
}
