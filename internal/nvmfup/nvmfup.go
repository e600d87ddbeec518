// Package nvmfup decides how the controllers of NVMe over fabrics are connected to:
// it asks the discovery controllers, connects to what they list and to what is
// named, and tries again what does not answer. It is the core of the helper program
// nvmf, and runs in the simulator too.
//
// It reads no clock and opens no file: what comes of a connection comes in with its
// time, and what is to be done goes to an Edge. It never waits; Next is when it
// wants to be called again.
package nvmfup

import (
	"errors"
	"time"

	"firstlight/internal/diskup"
	"firstlight/internal/netreport"
	"firstlight/internal/nvmf"
)

// Edge is what the core may ask for.
type Edge interface {
	// Connect connects a controller, which the kernel keeps from then on; what comes
	// of it comes back by Connected. Discover connects a discovery controller, reads
	// its list and lets go of it; the list comes back by Discovered.
	Connect(id int, t nvmf.Target)
	Discover(id int, t nvmf.Target)
	// Say reports to the boot.
	Say(netreport.Report)
}

// Reasons why a controller is not connected; the edge wraps them.
var (
	ErrUnreachable = errors.New("it cannot be reached")
	ErrRefused     = errors.New("it refuses this host, or there is no such subsystem")
	ErrSecret      = errors.New("it and this host do not prove to each other who they are")
	ErrDriver      = errors.New("the kernel has no driver for it")
	ErrOptions     = errors.New("the kernel does not take the options")
	// ErrThere says that it is connected already.
	ErrThere = errors.New("it is connected already")
)

// maxDepth bounds how far discovery controllers refer to others.
const maxDepth = 4

// item is a controller on its way.
type item struct {
	t     nvmf.Target
	depth int
	done  bool
	next  time.Duration
	tries int
	said  diskup.Said
}

// Core connects controllers. It is for one goroutine.
type Core struct {
	k     Edge
	items []*item
	now   time.Duration
}

// New prepares the core.
func New(k Edge, targets []nvmf.Target) *Core {
	c := &Core{k: k}
	for _, t := range targets {
		c.add(t, 0)
	}
	return c
}

func (c *Core) add(t nvmf.Target, depth int) {
	for _, i := range c.items {
		if len(nvmf.Add([]nvmf.Target{i.t}, t)) == 1 {
			return
		}
	}
	if len(c.items) < nvmf.MaxTargets {
		c.items = append(c.items, &item{t: t, depth: depth, next: diskup.Never})
	}
}

// Start begins with all of them at once.
func (c *Core) Start(now time.Duration) {
	c.now = now
	for n := range c.items {
		c.report(c.items[n], "working", "is being connected", "")
		c.try(n)
	}
}

func (c *Core) try(n int) {
	i := c.items[n]
	i.next = diskup.Never
	if i.t.Discovery {
		c.k.Discover(n, i.t)
	} else {
		c.k.Connect(n, i.t)
	}
}

// Done says whether everything is connected: nothing is left to do.
func (c *Core) Done() bool {
	for _, i := range c.items {
		if !i.done {
			return false
		}
	}
	return true
}

// Next is when Deadline wants to be called.
func (c *Core) Next() time.Duration {
	next := diskup.Never
	for _, i := range c.items {
		next = min(next, i.next)
	}
	return next
}

// Deadline is called at Next.
func (c *Core) Deadline(now time.Duration) {
	c.now = now
	for n, i := range c.items {
		if i.next <= now {
			c.try(n)
		}
	}
}

// Connected takes in what became of a controller; name is the kernel's, "nvme0".
func (c *Core) Connected(now time.Duration, n int, name string, err error) {
	c.now = now
	i := c.items[n]
	switch {
	case err == nil:
		i.done = true
		c.report(i, "there", "is "+name, "")
	case errors.Is(err, ErrThere):
		i.done = true
		c.report(i, "there", err.Error(), "")
	default:
		c.failed(i, err)
	}
}

// Discovered takes in what a discovery controller lists.
func (c *Core) Discovered(now time.Duration, n int, list []nvmf.Target, err error) {
	c.now = now
	i := c.items[n]
	if err == nil && len(list) == 0 {
		host := i.t.Host.NQN
		if host == "" {
			host = "this host"
		}
		c.again(i)
		c.report(i, "blocked", "lists no subsystem for "+host, "let the target give a subsystem to that host")
		return
	}
	if err != nil {
		c.failed(i, err)
		return
	}
	i.done = true
	c.report(i, "there", "lists what there is", "")
	for _, t := range list {
		if t.Discovery && i.depth >= maxDepth {
			continue
		}
		old := len(c.items)
		c.add(t, i.depth+1)
		if len(c.items) > old {
			c.report(c.items[old], "working", "is being connected", "")
			c.try(old)
		}
	}
}

// again tries once more after a while.
func (c *Core) again(i *item) {
	i.next = c.now + diskup.Pause(i.tries)
	i.tries++
}

func (c *Core) failed(i *item, err error) {
	c.again(i)
	condition, try := "blocked", ""
	switch {
	case errors.Is(err, ErrUnreachable):
		condition, try = "incomplete", "look whether an NVMe target listens at "+i.t.Where()
	case errors.Is(err, ErrRefused):
		try = "look at the target: at the name " + i.t.NQN + ", and at whether the host " + i.t.Host.NQN + " may use it"
	case errors.Is(err, ErrSecret):
		try = "look at dhchap_key and dhchap_ctrl_key in " + nvmf.FileConfig + " of the image, and at the target's"
	case errors.Is(err, ErrDriver):
		try = "build the image with --feature nvmf, or with the module nvme-" + i.t.Transport
	case errors.Is(err, ErrOptions):
		try = "look at the kernel's messages (dmesg) for the option that it does not know"
	}
	c.report(i, condition, err.Error(), try)
}

// report says how things stand, once each.
func (c *Core) report(i *item, condition, text, try string) {
	i.said.Tell(c.k, diskup.Report(i.t.String(), condition, text, try))
}
