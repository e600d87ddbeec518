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
	shown   handler.Urgency // the least that is shown on the consoles
	kernel  bool            // messages go to the kernel's log too
	log     int             // descriptor of the file of messages, -1 for none
	file    int             // the journal's descriptor, -1 for none
	copy    int             // that of the device which gets it too
	inputs  int             // of what the core was given, for root alone
}

// openOutput opens the journal of this boot.
func openOutput(c *console.Console, log bootcmd.Log) *output {
	o := &output{console: c, shown: shown(log), kernel: log.Targets == 0 || log.Targets&bootcmd.LogKmsg != 0, log: -1,
		file: openJournal(runDir+"/journal", unix.O_CREAT|unix.O_APPEND, 0o644), copy: -1,
		inputs: openJournal(runDir+"/inputs", unix.O_CREAT|unix.O_APPEND, 0o600)}
	if log.Targets&bootcmd.LogFile != 0 {
		o.log = openJournal(runDir+"/log", unix.O_CREAT|unix.O_APPEND, 0o644)
	}
	if log.Journal != "" {
		o.copy = openJournal(log.Journal, unix.O_NOCTTY, 0)
	}
	return o
}

func openJournal(name string, flags int, mode uint32) int {
	fd, err := unix.Open(name, flags|unix.O_WRONLY|unix.O_CLOEXEC, mode)
	if err != nil {
		kmsg(4, "the journal cannot be kept in "+name+": "+err.Error())
		return -1
	}
	return fd
}

// shown is the least urgent of the messages that the consoles show: what a
// person has to know is always shown. Who asks for more than quiet leaves gets
// it, since quiet stands in most boot entries by itself.
func shown(log bootcmd.Log) handler.Urgency {
	switch to := log.Targets; {
	case to != 0 && to&bootcmd.LogConsole == 0:
		return handler.Loud
	case log.Debug:
		return handler.Detail
	case log.Quiet && !log.Info && to == 0:
		return handler.Loud
	}
	return handler.Normal
}

// show says a message where it belongs.
func (o *output) show(m boot.Message) {
	if m.Urgency <= o.shown {
		o.console.Print(m.Text)
	}
	if o.kernel {
		kmsg(7, m.Text)
	}
	if o.log >= 0 {
		at := now().Microseconds()
		appendTo(&o.log, fmt.Appendf(nil, "[%5d.%06d] %s\n", at/1e6, at%1e6, m.Text))
	}
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
