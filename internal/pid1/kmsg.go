package pid1

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRecord is how much is written to the kernel's log at once, in bytes. The
// kernel cuts longer records off, and of a program that writes many at a time
// it drops what comes after the tenth: a screen of text has to fit into fewer.
const maxRecord = 900

// kmsg writes lines to the kernel's log with a priority of syslog(2): 3
// error, 4 warning, 6 information, 7 debug.
func kmsg(priority int, text string) {
	fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	head := "<" + strconv.Itoa(priority) + ">"
	record := head
	for line := range strings.SplitSeq(text, "\n") {
		line = "firstlight: " + line
		if len(record) > len(head) {
			if len(record)+1+len(line) > maxRecord {
				unix.Write(fd, []byte(record))
				record = head
			} else {
				record += "\n"
			}
		}
		record += line
	}
	unix.Write(fd, []byte(record))
}
