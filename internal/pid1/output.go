package pid1

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"firstlight/internal/boot"
	"firstlight/internal/console"
	"firstlight/internal/handler"
)

// output is where messages and the journal go.
type output struct {
	console *console.Console
	quiet   bool
	debug   bool
	file    int // the journal's descriptor, -1 for none
	held    []byte
}

// openOutput opens the journal of this boot.
func openOutput(c *console.Console, quiet, debug bool) *output {
	fd, err := unix.Open(runDir+"/journal", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	if err != nil {
		kmsg(4, "the journal cannot be kept: "+err.Error())
		fd = -1
	}
	return &output{console: c, quiet: quiet, debug: debug, file: fd}
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

// holdBack is how much of the journal is kept before it is written, in
// bytes: a write for every record would cost more than the record.
const holdBack = 16 << 10

// journal appends records to the file; flush writes also what was held back.
func (o *output) journal(b []byte, flush bool) {
	o.held = append(o.held, b...)
	if o.file < 0 || len(o.held) == 0 || !flush && len(o.held) < holdBack {
		return
	}
	for p := o.held; len(p) > 0; {
		n, err := unix.Write(o.file, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			kmsg(4, "the journal cannot be written: "+err.Error())
			o.file = -1
			break
		}
		p = p[n:]
	}
	o.held = o.held[:0]
}

func panicked(p any) error { return fmt.Errorf("internal error: %v", p) }

// summary writes what a boot has cost for whoever asks afterwards, as
// key=value lines.
func writeSummary(lines string) {
	if err := os.WriteFile(runDir+"/summary", []byte(lines), 0o644); err != nil {
		kmsg(4, err.Error())
	}
}
