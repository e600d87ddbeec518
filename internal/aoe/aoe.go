// Package aoe decides how disks of ATA over Ethernet are looked for: the kernel's
// driver asks all links that are up for them when it is loaded, and then once a
// minute; in between it has to be told to. It is a part of the helper program network.
//
// It is pure: what time it is and what is there comes in, and what is to be done goes
// to an Edge.
package aoe

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
)

// Disk is a disk of a server, by its shelf and slot (the AoE specification's major and
// minor number).
type Disk struct{ Shelf, Slot uint16 }

// The numbers that stand for all shelves and slots.
const (
	allShelves = 0xffff
	allSlots   = 0xff
)

// Parse reads "e0.0", "etherd/e0.0" and "/dev/etherd/e0.0p1"; part is the partition,
// "" for none.
func Parse(text string) (d Disk, part string, ok bool) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "/dev/"), "etherd/")
	text, has := strings.CutPrefix(text, "e")
	shelf, slot, has2 := strings.Cut(text, ".")
	if i := strings.IndexByte(slot, 'p'); i >= 0 {
		slot, part = slot[:i], slot[i+1:]
		if n, err := strconv.ParseUint(part, 10, 8); err != nil || n == 0 || part[0] == '0' {
			return d, "", false
		}
	}
	a, err1 := strconv.ParseUint(shelf, 10, 16)
	b, err2 := strconv.ParseUint(slot, 10, 8)
	ok = has && has2 && err1 == nil && err2 == nil && a < allShelves && b < allSlots
	d = Disk{uint16(a), uint16(b)}
	return d, part, ok
}

// String is the name in /dev/etherd, "e0.0".
func (d Disk) String() string {
	return "e" + strconv.Itoa(int(d.Shelf)) + "." + strconv.Itoa(int(d.Slot))
}

// Node is the disk's node.
func (d Disk) Node() string { return "/dev/etherd/" + d.String() }

// Edge is what may be asked for.
type Edge interface {
	// Discover has the driver ask all links that are up.
	Discover() error
	// There says whether the kernel has the disk.
	There(Disk) bool
	// Say reports to the boot.
	Say(netreport.Report)
}

// Search looks for a disk. It is for one goroutine.
type Search struct {
	k     Edge
	d     Disk
	tries int
	next  time.Duration
	said  diskup.Said
}

// New prepares a search.
func New(k Edge, d Disk) *Search { return &Search{k: k, d: d} }

// Next is when Step wants to be called.
func (s *Search) Next() time.Duration { return s.next }

// Step asks, or says that the disk is there.
func (s *Search) Step(now time.Duration) {
	if now < s.next {
		return
	}
	if s.k.There(s.d) {
		s.next = diskup.Never
		s.report("there", "is "+s.d.Node(), "")
		return
	}
	err := s.k.Discover()
	s.next = now + diskup.Pause(s.tries)
	s.tries++
	switch {
	case err != nil:
		s.report("blocked", "the driver cannot be told to look for it: "+err.Error(), "look at the kernel's messages (dmesg)")
	case s.tries > 4:
		s.report("incomplete", "no server on the links that are up has it; it is asked for again and again", "look whether a server (vblade) has "+s.d.String()+" on this wire: AoE goes through no router")
	default:
		s.report("working", "is looked for on all links that are up", "")
	}
}

// report says how things stand, once each.
func (s *Search) report(condition, text, try string) {
	r := diskup.Report("the AoE disk "+s.d.String(), condition, text, try)
	if condition == "there" {
		r = r.With("device", s.d.Node())
	}
	s.said.Tell(s.k, r)
}
