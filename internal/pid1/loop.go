package pid1

import (
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/boot"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/mountinfo"
	"firstlight/internal/sysfs"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// loop feeds the core with what happens and carries out what it decides.
type loop struct {
	core    *boot.Core
	world   machine.Machine
	sys     sysfs.FS
	socket  *uevent.Socket
	watch   *mountinfo.Watch
	spawn   *children
	out     *output
	results chan result
	leaving chan chan struct{} // the real system is about to start: closed when all is handed over
}

type result struct {
	id    uint64
	value any
	err   error
}

// input is what one reading of the uevent socket gave.
type input struct {
	messages []*uevent.Message
	overflow bool
	dropped  int // messages that were not taken, so far
}

// now is the time since the kernel started.
func now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("the monotonic clock cannot be read: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// run runs the boot. It does not return: the real system replaces the
// program.
func (l *loop) run() {
	events := make(chan input, 1)
	go l.listen(events)
	mounts := make(chan []string, 1)
	go l.watchMounts(mounts)
	signals := make(chan os.Signal, 8)
	// The Go runtime would end the program on most of these, and the kernel
	// would panic. They are caught and not ignored, since an ignored signal
	// stays ignored in the real init.
	signal.Notify(signals, unix.SIGCHLD, unix.SIGINT, unix.SIGHUP, unix.SIGTERM, unix.SIGQUIT, unix.SIGPIPE,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGABRT, unix.SIGTRAP, unix.SIGTSTP, unix.SIGPWR)

	l.core.Start()
	// A timer with a channel of times would bring the formatting of times and
	// the reading of time zones into the program.
	wake := make(chan struct{}, 1)
	timer := time.AfterFunc(time.Hour, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	dropped := 0
	for {
		contained(l.core.Run)
		l.carryOut()
		if at, ok := l.core.NextDeadline(); ok {
			timer.Reset(max(at-now(), 0))
		}
		select {
		case in := <-events:
			l.core.Advance(now())
			for _, m := range in.messages {
				l.core.Uevent(m)
			}
			if in.overflow {
				var found []*uevent.Message
				uevent.Walk(l.sys, func(m *uevent.Message) { found = append(found, m) })
				l.core.Overflow(found)
			}
			if in.dropped != dropped {
				dropped = in.dropped
				l.core.Dropped(in.dropped)
			}
		case r := <-l.results:
			l.core.Advance(now())
			l.core.Finish(r.id, r.value, r.err)
		case points := <-mounts:
			l.core.Advance(now())
			l.core.Mounts(points)
		case done := <-l.leaving:
			contained(l.handOver)
			close(done)
		case s := <-signals:
			if s == unix.SIGCHLD {
				l.spawn.reap()
			}
			if s != unix.SIGINT {
				continue
			}
			l.core.Advance(now())
			l.core.CtrlAltDel()
		case <-wake:
			l.core.Advance(now())
		}
	drain:
		// What has come in meanwhile is taken along, so that a burst of
		// results costs one round.
		for {
			select {
			case r := <-l.results:
				l.core.Finish(r.id, r.value, r.err)
			default:
				break drain
			}
		}
	}
}

// contained calls f. A panic in it is reported, and the boot goes on with the
// next input: of what the core does between tasks nothing is worth the
// machine.
func contained(f func()) {
	defer func() {
		if p := recover(); p != nil {
			kmsg(3, fmt.Sprintf("internal error: %v\n%s", p, debug.Stack()))
		}
	}()
	f()
}

// carryOut starts the operations that the core has asked for, shows what it
// says and writes what it has recorded.
func (l *loop) carryOut() {
	ops := l.core.Operations()
	for _, m := range l.core.Messages() {
		l.out.show(m)
	}
	l.out.journal(l.core.Journal())
	for _, op := range ops {
		go l.do(op)
	}
}

// do carries out one operation. A panic in it is that operation's failure.
func (l *loop) do(op ueventd.Operation) {
	r := result{id: op.ID}
	defer func() {
		if p := recover(); p != nil {
			r.err = panicked(p)
		}
		l.results <- r
	}()
	r.value, r.err = op.Run(l.world)
}

// listen reads the uevent socket for ever: it waits in poll(2), then takes
// all there is.
func (l *loop) listen(events chan<- input) {
	dropped := 0
	fds := []unix.PollFd{{Fd: int32(l.socket.FD()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			kmsg(3, "uevent socket: "+err.Error())
			return
		}
		var in input
		failed := false
		for {
			m, err := l.socket.Receive()
			if errors.Is(err, uevent.ErrOverflow) {
				in.overflow = true
				continue
			}
			if err != nil {
				if !errors.Is(err, uevent.ErrEmpty) {
					kmsg(3, err.Error())
					failed = true
				}
				break
			}
			in.messages = append(in.messages, m)
			if len(in.messages) >= 256 {
				break
			}
		}
		if in.dropped = l.socket.Dropped(); len(in.messages) > 0 || in.overflow || in.dropped != dropped {
			dropped = in.dropped
			events <- in
		}
		if failed {
			return // the socket is broken, and would say so for ever
		}
	}
}

// watchMounts reports the mount points after each change of the table.
func (l *loop) watchMounts(changed chan<- []string) {
	fds := []unix.PollFd{{Fd: int32(l.watch.FD()), Events: unix.POLLPRI}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		table, err := l.watch.Read()
		if err != nil {
			kmsg(3, err.Error())
			return
		}
		points := make([]string, len(table))
		for i, m := range table {
			points[i] = m.Target
		}
		changed <- points
	}
}
