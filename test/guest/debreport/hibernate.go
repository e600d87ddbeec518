package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"firstlight/test/guest/report"
)

// hibernate has the system hibernate itself, and says so when it is back with
// its memory and nothing in it has failed.
func hibernate(w *report.Writer) error {
	const file, memory = "/run/fltest-memory", "kept"
	if err := os.WriteFile(file, []byte(memory), 0o600); err != nil {
		return err
	}
	if err := w.Send(report.Message{Note: "hibernating"}); err != nil {
		return err
	}
	w.Drain()
	if out, err := exec.Command("systemctl", "hibernate").CombinedOutput(); err != nil {
		w.Send(report.Message{Note: "systemctl hibernate: " + err.Error() + ": " + string(out)})
		return err
	}
	// The command returns at once. The kernel says when the system is back.
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if strings.Contains(text("dmesg"), "hibernation exit") {
			break
		}
		state := text("systemctl", "show", "systemd-hibernate.service", "--property=Result,ActiveState")
		if strings.Contains(state, "ActiveState=failed") || time.Since(start) > 3*time.Minute {
			w.Send(report.Message{Note: "not hibernated: " + state})
			return errors.New(state)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != memory {
		return w.Send(report.Message{Note: "the memory is gone"})
	}
	if failed := text("systemctl", "--failed", "--plain", "--no-legend", "--no-pager"); failed != "" {
		return w.Send(report.Message{Note: "failed: " + failed})
	}
	return w.Send(report.Message{Note: "resumed"})
}
