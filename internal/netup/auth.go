package netup

import (
	"time"

	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
)

// Authenticator lets a link in where that takes more than a cable: Wi-Fi, and
// switches that want to know who asks (802.1X). A program of the distribution does
// it, and the carrier comes when it has.
type Authenticator interface {
	// Authenticate starts what lets the link in. by is what that is, "" where the
	// link needs nothing; ok is false where it needs something and the machine's
	// files say nothing of it.
	Authenticate(rtnl.Link) (by string, ok bool, err error)
}

// authentication is how far a link is with it.
type authentication struct {
	by string // what lets it in, "" for nothing
}

// authenticate begins to let a link in. It is false where that cannot be.
func (l *link) authenticate() bool {
	if l.Kind != "" || l.by != "" {
		return true
	}
	by, ok, err := l.c.k.Authenticate(l.Link)
	switch {
	case err != nil:
		l.fail(err.Error())
		return false
	case !ok && l.setup.Any: // a radio that nobody means
		l.setup = nil
		l.report(netreport.Report{State: netreport.StateUnused}.With("mac", hardware(l.Address)))
		return false
	case !ok:
		l.fail("nothing says which Wi-Fi it is to join: the image needs /etc/wpa_supplicant/wpa_supplicant-" + l.Name + ".conf or /etc/wpa_supplicant/wpa_supplicant.conf, and the feature wifi")
		return false
	}
	l.by = by
	return true
}

// Unauthenticated takes in that what lets a link in has ended, and its last words.
func (c *Core) Unauthenticated(now time.Duration, index int, text string) {
	c.now = now
	if l := c.links[index]; l != nil && l.by != "" {
		by := l.by
		l.by = ""
		l.fail(by + " has ended: " + text)
	}
}
