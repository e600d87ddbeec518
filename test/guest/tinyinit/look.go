package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/test/guest/report"
)

func ptr(p *byte) unsafe.Pointer { return unsafe.Pointer(p) }

// look describes everything around this process. What cannot be read is left
// empty: the harness compares with what it expects.
func look() *report.Boot {
	b := &report.Boot{PID: os.Getpid(), Argv: os.Args, Env: os.Environ(), Cmdline: read("/proc/cmdline"), Journal: -1,
		Release: read("/proc/sys/kernel/osrelease"), Swaps: read("/proc/swaps"), Uptime: read("/proc/uptime"), Summary: map[string]string{}}
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		if m, ok := mount(line); ok {
			b.Mounts = append(b.Mounts, m)
		}
	}
	if st, err := os.Stat("/run/firstlight/journal"); err == nil {
		b.Journal = st.Size()
	}
	for line := range strings.Lines(read("/run/firstlight/summary")) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			b.Summary[k] = v
		}
	}
	for line := range strings.Lines(read("/proc/modules")) {
		name, _, _ := strings.Cut(line, " ")
		b.Modules = append(b.Modules, name)
	}
	b.Inherited = inherited()
	b.Processes = processes()
	for _, d := range glob("/sys/block/dm-*/dm") {
		b.DM = append(b.DM, read(d+"/name")+" "+read(d+"/uuid"))
	}
	for _, d := range glob("/sys/block/md*/md") {
		b.MD = append(b.MD, strings.Join([]string{filepath.Base(filepath.Dir(d)), read(d + "/level"), read(d + "/array_state"), read(d + "/degraded")}, " "))
	}
	b.Links = links()
	b.Requests = report.ReadRequests()
	return b
}

func read(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func glob(pattern string) []string {
	names, _ := filepath.Glob(pattern) // the patterns are constants, and valid
	return names
}

// mount parses a line of mountinfo (proc(5)).
func mount(line string) (report.Mount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 6 || len(r) < 3 {
		return report.Mount{}, false
	}
	return report.Mount{Root: unescape(l[3]), Dir: unescape(l[4]), Options: l[5] + "," + r[2], Type: r[0], Source: unescape(r[1])}, true
}

// unescape undoes the kernel's \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// inherited reads what survives execve(2).
func inherited() map[string]string {
	got := map[string]string{"Files": "", "OOM": read("/proc/self/oom_score_adj")}
	for line := range strings.Lines(read("/proc/self/status")) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Umask", "SigBlk", "SigIgn", "ShdPnd", "NoNewPrivs", "Seccomp", "THP_enabled":
			got[key] = strings.TrimSpace(value)
		}
	}
	got["Directory"], _ = os.Readlink("/proc/self/cwd")
	for _, fd := range glob("/proc/self/fd/*") {
		to, err := os.Readlink(fd)
		n, _ := strconv.Atoi(filepath.Base(fd))
		// What this program has opened itself: the runtime's, the report's.
		if err != nil || n < 3 || strings.HasPrefix(to, "anon_inode:") || to == "/dev/ttyS1" || strings.HasPrefix(to, "/proc/") {
			continue
		}
		got["Files"] += to + " "
	}
	return got
}

// processes lists the processes that have a program, other than this one:
// the kernel's threads have no command line.
func processes() []string {
	var list []string
	for _, d := range glob("/proc/[0-9]*") {
		cmdline := strings.Trim(strings.ReplaceAll(read(d+"/cmdline"), "\x00", " "), " ")
		if pid := filepath.Base(d); cmdline != "" && pid != strconv.Itoa(os.Getpid()) {
			list = append(list, pid+" "+cmdline)
		}
	}
	return list
}

// links lists the symbolic links below /dev that lead to block devices.
func links() map[string]string {
	found := map[string]string{}
	filepath.WalkDir("/dev", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			return nil
		}
		var st unix.Stat_t
		if unix.Stat(p, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			if target, err := filepath.EvalSymlinks(p); err == nil {
				found[p] = target
			}
		}
		return nil
	})
	return found
}
