// Tinyinit is the real init of the tiny test root. It reports what it finds
// itself in and powers the machine off.
//
// Words on the kernel command line ask for more:
//
//	fltest.do=hibernate   after the report, hibernate to the swap device that
//	                      fltest.swap= names, report again once woken, power off
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

// hibernate writes the machine's memory to swap and powers off. It returns
// when another boot has brought the memory back.
func hibernate(w *report.Writer, words []string) error {
	swap := ""
	for _, word := range words {
		if v, ok := strings.CutPrefix(word, "fltest.swap="); ok {
			swap = v
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(swap, &st); err != nil {
		return fmt.Errorf("stat %s: %w", swap, err)
	}
	if err := swapOn(swap); err != nil {
		return err
	}
	dev := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	for _, f := range []struct{ file, value string }{
		{"/sys/power/resume", dev}, {"/sys/power/disk", "shutdown"}, {"/sys/power/image_size", "0"},
	} {
		err := os.WriteFile(f.file, []byte(f.value), 0)
		// Writing resume makes the kernel look for an image at once, which
		// fails with EINVAL or ENODATA when there is none; the device is set.
		if err != nil && f.file != "/sys/power/resume" {
			return err
		}
	}
	if err := os.WriteFile("/run/memory", []byte("kept"), 0o600); err != nil {
		return err
	}
	if err := w.Send(report.Message{Note: "hibernating"}); err != nil {
		return err
	}
	w.Drain()
	if err := os.WriteFile("/sys/power/state", []byte("disk"), 0); err != nil {
		return fmt.Errorf("hibernate: %w", err)
	}
	if b, err := os.ReadFile("/run/memory"); err != nil || string(b) != "kept" {
		return fmt.Errorf("memory after resume: %q, %w", b, err)
	}
	return w.Send(report.Message{Note: "resumed"})
}

func swapOn(path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_SWAPON, uintptr(ptr(p)), 0, 0); e != 0 {
		return fmt.Errorf("swapon %s: %w", path, e)
	}
	return nil
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
