package pid1

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/boot"
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
	journal file
	inputs  file // what the core was given, for root alone
}

// file is one of the records of this boot, which only grows.
type file struct {
	name string
	fd   int // -1 for none
}

// openOutput opens the records of this boot.
func openOutput(c *console.Console, quiet, debug bool) *output {
	return &output{console: c, quiet: quiet, debug: debug, journal: openRecord("journal", 0o644), inputs: openRecord("inputs", 0o600)}
}

func openRecord(name string, mode uint32) file {
	fd, err := unix.Open(runDir+"/"+name, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, mode)
	if err != nil {
		kmsg(4, name+" cannot be kept: "+err.Error())
		fd = -1
	}
	return file{name, fd}
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

// append writes what was recorded.
func (f *file) append(p []byte) {
	for len(p) > 0 && f.fd >= 0 {
		n, err := unix.Write(f.fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			kmsg(4, f.name+" cannot be written: "+err.Error())
			f.fd = -1
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
