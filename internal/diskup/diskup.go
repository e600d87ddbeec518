// Package diskup is what all cores do alike that make the disk of a server one of
// this machine: when they try again, and how they say how things stand.
package diskup

import (
	"strconv"
	"time"

	"firstlight/internal/netreport"
	"firstlight/internal/timespan"
)

// Never is when a core wants to be called that waits for nothing.
const Never = timespan.Forever

// Pauses before another try: no event tells that a server is there again.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 4 * time.Second
)

// Pause is how long to wait after a number of tries that failed before the last one.
func Pause(tries int) time.Duration { return min(firstPause<<min(tries, 8), lastPause) }

// NBD is the node of a network block device, "" for an index below 0, which is none.
func NBD(index int) string {
	if index < 0 {
		return ""
	}
	return "/dev/nbd" + strconv.Itoa(index)
}

// Report says of a disk how it stands, in a word of goal.Condition, and what to do.
func Report(subject, condition, text, try string) netreport.Report {
	return netreport.Report{State: netreport.StateDisk}.With("subject", subject).With("condition", condition).With("text", text).With("try", try)
}

// Listener is who is told.
type Listener interface{ Say(netreport.Report) }

// Said is what was said last of a disk.
type Said struct{ line string }

// Tell says something, unless it was the last thing that was said.
func (s *Said) Tell(who Listener, r netreport.Report) {
	if line := r.String(); line != s.line {
		s.line = line
		who.Say(r)
	}
}
