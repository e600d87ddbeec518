package netup

import (
	"time"

	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
)

// missingAfter is how long an interface that the command line names may take to
// be there before it is said to be missing, unless rd.net.timeout.iflink says.
const missingAfter = 3 * time.Second

// begin notes when the core began to look for links.
func (c *Core) begin() {
	if c.begun {
		return
	}
	c.begun = true
	if len(c.absent()) == 0 {
		return
	}
	if c.missingAt = c.now + missingAfter; c.plan.Times.Link > 0 {
		c.missingAt = c.now + c.plan.Times.Link
	}
}

// absent are the interfaces that the command line names and that are not there,
// without those that are to be made of others: these say themselves what is missing.
func (c *Core) absent() (list []netconf.Match) {
	if c.plan.Config == nil || c.plan.Config.Off {
		return nil
	}
next:
	for i := range c.plan.Config.Interfaces {
		in := &c.plan.Config.Interfaces[i]
		if in.Match.IsAny() || c.composed(in.Match.Name) != nil {
			continue
		}
		for _, l := range c.order {
			if in.Match.Name == l.Name || in.Match.MAC != "" && in.Match.MAC == mac(l.Address) {
				continue next
			}
		}
		list = append(list, in.Match)
	}
	return list
}

// missing reports them. One that comes later is used.
func (c *Core) missing() {
	c.missingAt = Never
	for _, m := range c.absent() {
		c.k.Say(netreport.Report{State: netreport.StateMissing, Link: m.String()})
	}
}
