package sim

import (
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// maxFaultTime bounds when and for how long random faults strike.
const maxFaultTime = 8 * time.Second

// transient are operations that may well fail for once.
var transient = [...]string{"read ", "mount ", "load ", "write ", "start ", "activate ", "unlock ", "tell btrfs", "look for", "set owner"}

// RandomFaults draws up to n faults for a machine as it is now, before its
// boot. Those that are drawn with lasting false spare whatever the boot cannot
// do without in the end: what is late comes, what fails fails a few times, who
// is asked answers.
func (m *Machine) RandomFaults(rng *rand.Rand, n int, lasting bool) []Fault {
	var out []Fault
	label := func() string {
		if len(m.given) == 0 {
			return ""
		}
		return m.given[rng.IntN(len(m.given))].label()
	}
	within := func() time.Duration { return time.Duration(rng.Int64N(int64(maxFaultTime))) }
	kinds := passing[:]
	if lasting {
		kinds = append(kinds[:len(kinds):len(kinds)], staying[:]...)
	}
	for range rng.IntN(n + 1) {
		f := Fault{Kind: kinds[rng.IntN(len(kinds))]}
		switch f.Kind {
		case EventsDelayed, EventsShuffled:
			f.For = within()
		case EventsDuplicated:
			f.Times = 1 + rng.IntN(5)
		case EventsLost, ClockJumps:
			f.At, f.For = within(), 1+within()
		case DiskLate, DiskCopied:
			f.Target, f.At = label(), within()
		case DiskVanishes:
			f.Target, f.At, f.For = label(), within(), 1+within()
		case DiskAbsent, DiskStale, DiskSplit:
			f.Target = label()
		case ReadFails, OpenFails:
			f.Target, f.At = label(), within()
			if !lasting {
				f.Times = 1 + rng.IntN(3)
			}
		case DriverMissing:
			if len(m.Modules) == 0 {
				continue
			}
			f.Target = m.Modules[rng.IntN(len(m.Modules))].Name
		case DriverSlow:
			f.Target, f.For, f.Times = "", within(), 1
		case OperationFails:
			f.Target, f.Times = transient[rng.IntN(len(transient))], 1+rng.IntN(3)
			f.Errno = [...]unix.Errno{unix.EIO, unix.EBUSY, unix.EINVAL, unix.ENOMEM, unix.EAGAIN}[rng.IntN(5)]
		case OperationPanics:
			f.Target, f.Times = transient[rng.IntN(len(transient))], 1
		case OperationSlow:
			f.Target, f.For, f.Times = transient[rng.IntN(len(transient))], within(), 1+rng.IntN(3)
		case HandlerPanics:
			f.Target, f.Times = [...]string{"/size", "/ro", "/dm/name", "/md/", "/holders", "/start"}[rng.IntN(6)], 1
		case PersonWrong:
			f.Times = 1 + rng.IntN(2)
		case PersonSlow:
			f.For = within()
		}
		out = append(out, f)
	}
	return out
}

// passing are the faults after which a boot can still succeed, staying those
// after which it may not.
var (
	passing = [...]FaultKind{EventsDelayed, EventsShuffled, EventsDuplicated, EventsLost, DiskLate, DiskVanishes, OpenFails, ReadFails,
		DriverSlow, OperationFails, OperationSlow, PersonWrong, PersonSlow, ClockJumps}
	staying = [...]FaultKind{DiskAbsent, DiskCopied, DiskStale, DiskSplit, DriverMissing, OperationPanics, HandlerPanics, PersonGone, ImageRefused,
		HelperCrashes, HelperHangs}
)
