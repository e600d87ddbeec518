package pid1

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/console"
	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/sysfile"
)

// output is where messages and the journal go.
type output struct {
	console *console.Console
	quiet   bool
	debug   bool
	file    int // the journal's descriptor, -1 for none
	copy    int // that of the device which gets it too
}

// openOutput opens the journal of this boot.
func openOutput(c *console.Console, log bootcmd.Log) *output {
	o := &output{console: c, quiet: log.Quiet, debug: log.Debug, file: openJournal(runDir+"/journal", unix.O_CREAT|unix.O_APPEND), copy: -1}
	if log.Journal != "" {
		o.copy = openJournal(log.Journal, unix.O_NOCTTY)
	}
	return o
}

func openJournal(name string, flags int) int {
	fd, err := unix.Open(name, flags|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		kmsg(4, "the journal cannot be kept in "+name+": "+err.Error())
		return -1
	}
	return fd
}

// show says a message where it belongs.
func (o *output) show(m boot.Message) {
	switch m.Urgency {
	case handler.Loud:
		o.console.Print(m.Text)
	case handler.Normal:
		if !o.quiet {
			o.console.Print(m.Text)
		}
	case handler.Detail:
		if o.debug {
			o.console.Print(m.Text)
		}
	}
	kmsg(7, m.Text)
}

// journal appends records to the file, and to the device if there is one.
func (o *output) journal(p []byte) {
	appendTo(&o.file, p)
	appendTo(&o.copy, p)
}

func appendTo(fd *int, p []byte) {
	for len(p) > 0 && *fd >= 0 {
		n, err := unix.Write(*fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			kmsg(4, "the journal cannot be written: "+err.Error())
			*fd = -1
			break
		}
		p = p[n:]
	}
}

func panicked(p any) error { return fmt.Errorf("internal error: %v", p) }

// summary writes what a boot has cost for whoever asks afterwards, as
// key=value lines.
func writeSummary(lines string) {
	if err := sysfile.WriteFile(runDir+"/summary", []byte(lines), 0o644); err != nil {
		kmsg(4, err.Error())
	}
}
