// Debreport runs in a real Debian: it waits until systemd has come to the end
// of the boot, reports what systemd, udev and util-linux say of it, and
// powers the machine off unless fltest.stay is on the kernel command line.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"firstlight/test/guest/report"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "debreport:", err)
	}
	if !strings.Contains(" "+text("cat", "/proc/cmdline")+" ", " fltest.stay ") {
		// Twice forced: unmount what can be unmounted, then off, without
		// stopping services one by one. The boot is what is tested.
		exec.Command("systemctl", "poweroff", "--force").Run()
	}
}

func run() error {
	w, err := report.Open("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer w.Drain()
	requests := report.ReadRequests()
	d := &report.Debian{Requests: requests,
		State:   text("systemctl", "is-system-running", "--wait"),
		Failed:  text("systemctl", "--failed", "--plain", "--no-legend", "--no-pager"),
		Analyze: text("systemd-analyze", "--no-pager"),
		Target:  text("systemctl", "is-active", "multi-user.target"),
		Lsblk:   text("lsblk", "--output", "NAME,KNAME,TYPE,FSTYPE,UUID,MOUNTPOINTS", "--json"),
		Findmnt: text("findmnt", "--real", "--json"),
		Units:   text("systemctl", "list-units", "--type=device", "--all", "--plain", "--no-legend", "--no-pager"),
		Udev:    text("udevadm", "info", "--export-db"),
		Jobs:    text("systemctl", "list-jobs", "--no-legend", "--no-pager"),
		Release: text("uname", "-r"),
		Log:     text("journalctl", "-b", "-p", "warning", "-o", "short-monotonic", "--no-pager"),
		Summary: text("cat", "/run/firstlight/summary"),
	}
	if err := w.Send(report.Message{Debian: d}); err != nil {
		return err
	}
	if err := w.SendRecords("journal", "inputs"); err != nil {
		return err
	}
	if _, err := os.Stat("/usr/bin/firstlight"); err == nil {
		if err := w.SendBytes("trace", []byte(kept())); err != nil {
			return err
		}
		if err := w.SendFile("report.tar.gz", archive); err != nil {
			return err
		}
	}
	if strings.Contains(" "+text("cat", "/proc/cmdline")+" ", " fltest.do=hibernate ") {
		if err := hibernate(w); err != nil {
			return err
		}
	}
	return w.Send(report.Message{Note: "done"})
}

// archive is the report of this boot.
const archive = "/run/firstlight-report.tar.gz"

// kept is what the service that keeps the records says, and what there is of
// them.
func kept() string {
	var b strings.Builder
	for _, argv := range [][]string{
		{"systemctl", "show", "firstlight-keep.service", "--property=LoadState,ActiveState,Result,ExecMainStatus"},
		{"journalctl", "-b", "-o", "cat", "-u", "firstlight-keep.service", "--no-pager"},
		{"firstlight", "trace", "list"},
		{"firstlight", "trace", "show", "--boot", "1", "--width", "100"},
		{"firstlight", "bug-report", "--output", archive},
		{"ls", "-l", "/var/lib/firstlight/boots", "/sys/fs/pstore", "/var/lib/systemd/pstore"},
	} {
		fmt.Fprintf(&b, "# %s\n%s\n", strings.Join(argv, " "), text(argv...))
	}
	return b.String()
}

// text is what a program prints, or why it could not be run. A failing exit
// status is not remarkable: is-system-running has one for "degraded".
func text(argv ...string) string {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if len(out) == 0 && err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(string(out))
}
