package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/test/guest/report"
)

// hibernate writes the machine's memory to swap and powers off. It returns
// when another boot has brought the memory back.
func hibernate(w *report.Writer, words []string) error {
	swap := ""
	for _, word := range words {
		if v, ok := strings.CutPrefix(word, "fltest.swap="); ok {
			swap = v
		}
	}
	dev, offset, err := swapSpace(swap)
	if err != nil {
		return err
	}
	if offset > 0 {
		if err := w.Send(report.Message{Note: fmt.Sprintf("%s%d", report.SwapOffset, offset)}); err != nil {
			return err
		}
	}
	if err := swapOn(swap); err != nil {
		return err
	}
	for _, f := range []struct{ file, value string }{
		{"/sys/power/resume_offset", fmt.Sprint(offset)},
		{"/sys/power/resume", fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))},
		{"/sys/power/disk", "shutdown"}, {"/sys/power/image_size", "0"},
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
	unix.Sync()
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

// swapSpace is the device that the swap space is on and, of a file, the page of
// that device with which it begins.
func swapSpace(path string) (dev uint64, page uint64, err error) {
	var st unix.Stat_t
	err = unix.Stat(path, &st)
	if err == unix.ENOENT {
		if err = makeSwapFile(path); err == nil {
			err = unix.Stat(path, &st)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return st.Rdev, 0, nil
	}
	start, err := firstByte(path)
	if err != nil {
		return 0, 0, err
	}
	// The number of a btrfs's files is not that of its device.
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		if m, ok := mount(line); ok && m.Dir == "/" {
			if err = unix.Stat(m.Source, &st); err == nil {
				dev = st.Rdev
			}
		}
	}
	return dev, start / pageSize, err
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
