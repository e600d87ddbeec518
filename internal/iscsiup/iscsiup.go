package iscsiup

import (
	"strconv"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
)

// Edge is what the core may ask for.
type Edge interface {
	// Login has open-iscsi log in to the target, with its record; what comes of it
	// comes back by LoggedIn.
	Login()
	// Say reports to the boot.
	Say(netreport.Report)
}

// The codes with which iscsiadm(8) ends.
const (
	OK              = 0
	CodeTransport   = 4
	CodeLogin       = 5
	CodeRecord      = 6
	CodeTimeout     = 8
	CodeNoAnswer    = 11 // to a login, in the time that the record has for it
	CodeNoDriver    = 12
	CodeAccess      = 13
	CodeThere       = 15
	CodeTalk        = 18
	CodeFatal       = 19
	CodeNoDaemon    = 20
	CodeNoRecord    = 21
	CodeAuth        = 24
	CodeUnsupported = 27
	// NotStarted is none of them: it could not be started.
	NotStarted = -1
)

// unitPause is how long a target may be without the unit before that is said: the
// kernel's events tell when it comes.
const unitPause = 3 * time.Second

// Core logs in to one target. It is for one goroutine.
type Core struct {
	k        Edge
	t        Target
	now      time.Duration
	next     time.Duration
	tries    int
	loggedIn bool
	device   string   // the unit's node
	disks    int      // of the target
	units    []uint64 // that the target has
	said     diskup.Said
}

// New prepares the core.
func New(k Edge, t Target) *Core { return &Core{k: k, t: t, next: diskup.Never} }

// Start logs in.
func (c *Core) Start(now time.Duration) {
	c.now = now
	c.report("working", "is being logged in to", "", "")
	c.k.Login()
}

// Next is when Deadline wants to be called.
func (c *Core) Next() time.Duration { return c.next }

// Done says whether the unit is there: nothing is left to do.
func (c *Core) Done() bool { return c.loggedIn && (c.device != "" || c.t.Any && c.disks > 0) }

// Deadline is called at Next.
func (c *Core) Deadline(now time.Duration) {
	c.now, c.next = now, diskup.Never
	if !c.loggedIn {
		c.k.Login()
		return
	}
	text := "is logged in to, and has no unit " + unit(c.t.Unit())
	if c.t.Any {
		text = "is logged in to, and has no disk"
	}
	if len(c.units) > 0 {
		text += "; it has"
		for i, u := range c.units {
			if i > 0 {
				text += ","
			}
			text += " " + unit(u)
		}
	}
	c.report("incomplete", text, "look at the units of the target and at whom it shows them to, or correct the LUN (hexadecimal, before the target's name)", "")
}

func unit(n uint64) string { return strconv.FormatUint(n, 10) }

// LoggedIn takes in the code with which iscsiadm ended.
func (c *Core) LoggedIn(now time.Duration, code int) {
	c.now = now
	if code == OK || code == CodeThere {
		c.loggedIn, c.next = true, now+unitPause
		c.found()
		return
	}
	text, try, condition := c.reason(code)
	c.next = now + diskup.Pause(c.tries)
	c.tries++
	c.report(condition, text, try, "")
}

// Units takes in which units of the target the kernel has, how many of them are
// disks, and the node of the one that is wanted, "" while there is none.
func (c *Core) Units(now time.Duration, units []uint64, disks int, device string) {
	c.now, c.units, c.disks, c.device = now, units, disks, device
	c.found()
}

func (c *Core) found() {
	if !c.Done() {
		return
	}
	c.next = diskup.Never
	text := "is logged in to"
	if c.device != "" {
		text = "is " + c.device
	}
	c.report("there", text, "", c.device)
}

// reason says what a code means, and what to do.
func (c *Core) reason(code int) (text, try, condition string) {
	condition = "blocked"
	switch code {
	case CodeTransport, CodeTimeout:
		return "cannot be reached", "look whether an iSCSI target listens there, and at the network between", "incomplete"
	case CodeNoAnswer:
		return "does not answer the login", "look at the target: it takes connections, and may have been restarted meanwhile", "incomplete"
	case CodeAuth:
		if c.t.User == "" {
			return "wants this machine to prove who it is (CHAP)", "give the name and the password, by rd.iscsi.username and rd.iscsi.password or before the server's name and an @ in root=iscsi:", condition
		}
		text = "does not accept the name and the password of this machine (CHAP)"
		if c.t.InUser != "" {
			text += ", or does not prove its own"
		}
		return text, "compare them with those of the target, for either way: rd.iscsi.username and rd.iscsi.password, rd.iscsi.in.username and rd.iscsi.in.password", condition
	case CodeLogin, CodeFatal:
		text = "refuses the login: it has no such target for this machine, or wants something else of it"
		if c.t.InUser != "" {
			text = "refuses the login, or does not prove its own name with the password that this machine has for it (CHAP)"
		}
		return text,
			"look at the target: at its name, at whom it lets in by name and address, and at whether it asks for a password; the log has what iscsid says", condition
	case CodeNoDriver, CodeUnsupported:
		return "needs a driver that is not there", "build the image with --feature iscsi, and the module of rd.iscsi.transport= in it", condition
	case CodeRecord, CodeNoRecord:
		return "has a record that open-iscsi does not take", "look at rd.iscsi.param= and the name of the interface", condition
	case CodeTalk, CodeNoDaemon, CodeAccess:
		return "waits for iscsid, which does not answer", "", "incomplete"
	case NotStarted:
		return "cannot be logged in to: iscsiadm is not in the image", "build the image with --feature iscsi", condition
	}
	return "cannot be logged in to (iscsiadm: exit " + strconv.Itoa(code) + ")", "the log has what iscsid says", condition
}

// report says how things stand, once each.
func (c *Core) report(condition, text, try, device string) {
	c.said.Tell(c.k, diskup.Report("the iSCSI target "+c.t.String(), condition, text, try).With("device", device))
}
