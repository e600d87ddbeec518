// Tinyinit is the real init of the tiny test root. It reports what it finds
// itself in and powers the machine off.
//
// Words on the kernel command line ask for more:
//
//	fltest.do=hibernate   after the report, hibernate to the swap device or the
//	                      file that fltest.swap= names, report again once woken,
//	                      power off; a file that is not there is made
//	fltest.do=keep        keep the record of this boot and of those that failed,
//	                      and send what firstlight trace says
//	fltest.kmsg           send the kernel's log too
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/test/guest/report"
)

func main() {
	// The first thing of all: the moment that boots are measured to.
	if k, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		fmt.Fprintln(k, "REAL-INIT")
		k.Close()
	}
	if err := run(); err != nil {
		fmt.Println("tinyinit:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	time.Sleep(time.Minute) // not reached: an init that returns makes the kernel panic
}

func run() error {
	missing := mountMissing()
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer w.Drain()
	b := look()
	b.OldRoot = append(b.OldRoot, missing...)
	if err := w.Send(report.Message{Boot: b}); err != nil {
		return err
	}
	if err := w.SendRecords("journal", "summary", "inputs"); err != nil {
		return err
	}
	words := strings.Fields(b.Cmdline)
	for _, word := range words {
		switch word {
		case "fltest.kmsg":
			if err := w.SendBytes("kmsg", kernelLog()); err != nil {
				return err
			}
		case "fltest.do=keep":
			if err := w.SendBytes("trace", keep()); err != nil {
				return err
			}
		case "fltest.do=hibernate":
			if err := hibernate(w, words); err != nil {
				return err
			}
		}
	}
	return w.Send(report.Message{Note: "done"})
}

// mountMissing mounts what an initramfs should have left mounted and did not,
// so that there can be a report; the report says so.
func mountMissing() []string {
	var missing []string
	for _, m := range []struct{ probe, what, dir string }{
		{"/proc/self", "proc", "/proc"}, {"/sys/kernel", "sysfs", "/sys"}, {"/dev/null", "devtmpfs", "/dev"},
	} {
		if _, err := os.Stat(m.probe); err != nil {
			missing = append(missing, "not mounted: "+m.dir)
			if err := unix.Mount(m.what, m.dir, m.what, 0, ""); err != nil {
				missing = append(missing, err.Error())
			}
		}
	}
	return missing
}

// kernelLog reads what the kernel's log holds now.
func kernelLog() []byte {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var log []byte
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EPIPE { // a record was overwritten while we read
			continue
		}
		if err != nil || n <= 0 {
			return log
		}
		log = append(log, buf[:n]...)
	}
}
