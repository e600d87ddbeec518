package nbdup

import (
	"errors"
	"strings"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/fmt"
	"firstlight/internal/nbd"
	"firstlight/internal/netreport"
)

// Edge is what the core may ask for.
type Edge interface {
	// Dial connects and negotiates; what comes of it comes back by Dialed.
	Dial(id int)
	// Attach makes a device of connections, and returns its index.
	Attach(info nbd.Info, ids []int) (index int, err error)
	// Replace puts a connection into the place of a broken one. ErrWhole says that
	// none is broken.
	Replace(id int) error
	// Drop closes a connection that is not used.
	Drop(id int)
	// Say reports to the boot.
	Say(netreport.Report)
}

// ErrWhole says that no connection is broken.
var ErrWhole = errors.New("no connection is broken")

// ConnectError says that nobody answers.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "it cannot be reached: " + e.Err.Error() }
func (e *ConnectError) Unwrap() error { return e.Err }

// TLSError says that a connection could not be made secret, or the server did not
// prove to be the one that is meant.
type TLSError struct{ Err error }

func (e *TLSError) Error() string { return "no secure connection to it can be made: " + e.Err.Error() }
func (e *TLSError) Unwrap() error { return e.Err }

// Core connects one export. It is for one goroutine.
type Core struct {
	k       Edge
	t       Target
	now     time.Duration
	next    time.Duration
	tries   int
	ids     int
	dialing bool
	info    *nbd.Info // of the first connection
	have    []int     // connections that the kernel has not yet
	index   int       // of the device, below 0 while there is none
	missing int       // connections that broke
	said    diskup.Said
}

// New prepares the core.
func New(k Edge, t Target) *Core { return &Core{k: k, t: t, index: -1, next: diskup.Never} }

// Next is when Deadline wants to be called.
func (c *Core) Next() time.Duration { return c.next }

// Device is the node of the device, "" while there is none.
func (c *Core) Device() string { return diskup.NBD(c.index) }

// Start begins.
func (c *Core) Start(now time.Duration) {
	c.now = now
	c.report("working", "is being connected", "")
	c.dial()
}

// Deadline is called at Next.
func (c *Core) Deadline(now time.Duration) {
	c.now = now
	if c.next <= now {
		c.dial()
	}
}

func (c *Core) dial() {
	c.next = diskup.Never
	if c.dialing {
		return
	}
	c.dialing = true
	c.ids++
	c.k.Dial(c.ids)
}

// again tries once more after a while.
func (c *Core) again() {
	c.next = c.now + diskup.Pause(c.tries)
	c.tries++
}

// Dialed takes in what became of a connection.
func (c *Core) Dialed(now time.Duration, id int, info nbd.Info, err error) {
	c.now, c.dialing = now, false
	switch {
	case err == nil && c.info != nil && !info.Same(*c.info):
		c.k.Drop(id)
		err = fmt.Errorf("the server has another export by that name now (%d bytes, not %d), which is not taken for it", info.Size, c.info.Size)
	case err != nil && c.index < 0 && len(c.have) > 0:
		c.attach() // with those there are
		return
	}
	if err != nil {
		c.failed(err)
		return
	}
	if c.index >= 0 {
		c.replace(id)
		return
	}
	if c.info == nil {
		if size, ok := info.BlockSize(); !ok {
			c.k.Drop(id)
			c.failed(fmt.Errorf("the server wants blocks of %d bytes, which the kernel has not", size))
			return
		}
		c.info = &info
	}
	c.have = append(c.have, id)
	if len(c.have) < c.t.Connections && c.info.Flags&nbd.FlagMultiConn != 0 {
		c.dial()
		return
	}
	c.attach()
}

// attach hands the connections to the kernel.
func (c *Core) attach() {
	have := c.have
	c.have = nil
	info := *c.info
	if c.t.ReadOnly {
		info.Flags |= nbd.FlagHas | nbd.FlagReadOnly
	}
	n, err := c.k.Attach(info, have)
	if err != nil {
		for _, id := range have {
			c.k.Drop(id)
		}
		c.info = nil
		c.failed(err)
		return
	}
	c.index, c.tries = n, 0
	c.present()
}

// replace gives the kernel a connection for one that broke.
func (c *Core) replace(id int) {
	err := c.k.Replace(id)
	switch {
	case errors.Is(err, ErrWhole):
		c.k.Drop(id)
		c.missing = 0
	case err != nil:
		c.k.Drop(id)
		c.failed(err)
		return
	default:
		c.missing = max(c.missing-1, 0)
	}
	c.tries = 0
	if c.missing > 0 {
		c.dial()
		return
	}
	c.present()
}

// Dead takes in that a connection of a device broke.
func (c *Core) Dead(now time.Duration, index int) {
	c.now = now
	if c.index < 0 || index != c.index {
		return
	}
	c.missing++
	c.report("incomplete", "the server has ended a connection, another one is made", "")
	if c.next == diskup.Never {
		c.dial()
	}
}

// Lost takes in that connections may have broken that were not told of.
func (c *Core) Lost(now time.Duration) {
	if c.index >= 0 {
		c.missing = max(c.missing, c.t.Connections-1) // one more by Dead
		c.Dead(now, c.index)
	}
}

// present says that the device is there.
func (c *Core) present() { c.report("there", "is "+c.Device(), "") }

func (c *Core) failed(err error) {
	c.again()
	condition, try := "incomplete", ""
	at := c.t.Address().String()
	var refused *nbd.RefusedError
	var connect *ConnectError
	var tls *TLSError
	switch {
	case errors.As(err, &connect):
		try = "look whether an NBD server listens at " + at
	case errors.As(err, &tls):
		condition, try = "blocked", "look at the certificates: the image has those of "+c.t.CA+", and the server's has to be for "+c.t.Verify()
	case errors.Is(err, nbd.ErrHangsUp):
		condition, try = "blocked", "put a certificate that the server accepts into the image, as "+Directory+"cert.pem with key.pem"
	case errors.Is(err, nbd.ErrNoServer):
		condition, try = "blocked", "look at the port: "+at+" is something else's"
	case errors.Is(err, nbd.ErrNoTLS):
		condition, try = "blocked", "give the server a certificate, or take tls out of the options of NBD"
	case errors.Is(err, nbd.ErrClosed):
		condition, try = "blocked", "look at the names of the exports and at who may use them in the server's configuration"
	case errors.As(err, &refused):
		condition = "blocked"
		switch {
		case refused.Code == nbd.CodeUnknown && len(refused.Exports) > 0:
			try = "name one that it has: " + strings.Join(refused.Exports, ", ")
		case refused.Code == nbd.CodeTLSRequired:
			try = "add tls to the options of NBD, and the certificate of the server's authority to the image as " + Directory + "ca.pem"
		case refused.Code == nbd.CodeShutdown:
			condition = "incomplete"
		default:
			try = "look at who may use the export in the server's configuration"
		}
	}
	c.report(condition, err.Error(), try)
}

// report says how things stand, once each.
func (c *Core) report(condition, text, try string) {
	c.said.Tell(c.k, diskup.Report("the NBD export "+c.t.String(), condition, text, try).
		With("device", c.Device()).With("fstype", c.t.FSType).With("options", c.t.Mount))
}
