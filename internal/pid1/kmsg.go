package pid1

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kmsg writes lines to the kernel's log with a priority of syslog(2): 3
// error, 4 warning, 6 information, 7 debug.
func kmsg(priority int, text string) {
	fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for line := range strings.SplitSeq(text, "\n") {
		unix.Write(fd, []byte("<"+strconv.Itoa(priority)+">firstlight: "+line))
	}
}
