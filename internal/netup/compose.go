package netup

import (
	"strconv"
	"strings"

	"firstlight/internal/dhcp4"
	"firstlight/internal/dhcp6"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
)

// Made is a link that is to be made by software, of others or of nothing.
type Made struct {
	Name string
	// Kind is the kernel's name of what it is ("vlan", "bond" …).
	Kind string
	// On is the link that it is on, "" for none; Members are those that are put
	// into it, and Primary is the one that a bond prefers.
	On      string
	Members []string
	Primary string
	// LACP: a bond agrees with the other end on which members are used.
	LACP    bool
	MTU     uint32 // bytes; 0 is the kernel's choice
	Address []byte // of the hardware; nil for the kernel's choice
	Data    []rtnl.Attr
	// Keys are what a WireGuard link is told once it is there.
	Keys *rtnl.WireGuard
	// Text is the link as a file of systemd.netdev(5), without secrets.
	Text string
	// Cannot says why it cannot be made, "" if nothing stands against it.
	Cannot string
}

// Maker makes links. It is the part of a Kernel that a machine without links
// made of others has no use for.
type Maker interface {
	// MakeLink makes a link; that it is there comes as an event.
	MakeLink(rtnl.NewLink) error
	// ChangeLink changes what belongs to a link's kind.
	ChangeLink(link int, kind string, data []rtnl.Attr) error
	// SetMaster puts a link into a bond or a bridge.
	SetMaster(link, master int) error
	SetWireGuard(link int, w *rtnl.WireGuard) error
	// Handover leaves a file for systemd-networkd of the real system.
	Handover(name, text string) error
}

// composed is a link to be made, and how far that has come.
type composed struct {
	Made
	asked   bool // the kernel was told, and it is not there yet
	on      int  // index of the link on which that was
	ready   bool // it has got what only a link that is there can get
	primary bool // its primary member is known to it
	raised  bool // it was set up, though nothing is asked for of it
	said    string
}

// membership is what composing has to know of a link.
type membership struct {
	original []byte // the hardware address that it came with
	refused  int    // index of the master that it could not be put into
	// addressed: a bridge has got the address of a port.
	addressed bool
}

// composed finds a link that is to be made.
func (c *Core) composed(name string) *composed {
	for _, m := range c.made {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// partOf is the bond or bridge that a link is to be put into, or a link that is
// on it, nil for none.
func (c *Core) partOf(name string) (m *composed, member bool) {
	var on *composed
	for _, m := range c.made {
		for _, x := range m.Members {
			if x == name {
				return m, true
			}
		}
		if m.On == name {
			on = m
		}
	}
	return on, false
}

// byName is the link that has a name, nil for none.
func (c *Core) byName(name string) *link {
	for _, l := range c.order {
		if l.Name == name && !l.unnamed() {
			return l
		}
	}
	return nil
}

// setupFor is what is asked for of a link. What is part of another one gets
// nothing of its own, except that a link that carries others may be named; and
// what is asked for of a card is asked for of what is made of it.
func (c *Core) setupFor(l *link) *Setup {
	own := c.composed(l.Name)
	s := c.plan.For(l.Name, l.Address)
	if m, member := c.partOf(l.Name); m != nil && s != nil {
		if member || s.Any || s.ByHardware {
			return nil
		}
	}
	if s == nil && own != nil {
		for _, hw := range c.hardwareUnder(own, 0) {
			if s = c.plan.For(l.Name, hw); s != nil && s.ByHardware {
				break
			}
			s = nil
		}
	}
	if s != nil && s.Any && own == nil && (l.Kind != "" || l.Type != ethernet && l.Type != infiniBand) {
		return nil // what software has made is used when it is named
	}
	return s
}

// maxDepth bounds how many links stand on each other.
const maxDepth = 8

// hardwareUnder are the addresses of the hardware below a link.
func (c *Core) hardwareUnder(m *composed, depth int) (list [][]byte) {
	if depth > maxDepth {
		return nil
	}
	for _, name := range m.parts() {
		if below := c.composed(name); below != nil {
			list = append(list, c.hardwareUnder(below, depth+1)...)
		} else if l := c.byName(name); l != nil {
			list = append(list, l.original)
		}
	}
	return list
}

// parts are the links that it is made of.
func (m *composed) parts() []string {
	if m.On != "" {
		return []string{m.On}
	}
	return m.Members
}

// isBoot says whether a link is the one that the machine was booted from, or is
// made of it.
func (c *Core) isBoot(l *link) bool {
	boot := c.plan.Config.Boot
	if boot.Name == l.Name || boot.MAC != "" && boot.MAC == mac(l.Address) {
		return true
	}
	if own := c.composed(l.Name); own != nil && boot.MAC != "" {
		for _, hw := range c.hardwareUnder(own, 0) {
			if boot.MAC == mac(hw) {
				return true
			}
		}
	}
	return false
}

// compose makes the links that can be made by now, and puts those that are there
// where they belong. It is called whenever a link has come, gone or changed, and
// does nothing that is done.
func (c *Core) compose() {
	for _, m := range c.made {
		l := c.byName(m.Name)
		switch {
		case m.Cannot != "":
			m.report(c, netreport.Report{State: netreport.StateFailed}.With("text", m.Cannot))
		case l == nil:
			c.make(m)
		case l.Kind != m.Kind:
			m.report(c, netreport.Report{State: netreport.StateFailed}.With("text", "there is another link of this name, which is no "+m.Kind))
		default:
			c.fill(m, l)
		}
	}
}

// another is a way more to the network for the links that stand on one, which may
// have had a carrier that led to nobody: those that wait for an answer ask again at
// once, and do not wait until it is their turn.
func (c *Core) another(name string, depth int) {
	if depth > maxDepth {
		return
	}
	for _, m := range c.made {
		for _, part := range m.parts() {
			if part != name {
				continue
			}
			if l := c.byName(m.Name); l != nil && l.up && l.Carrier {
				l.askAnew()
			}
			c.another(m.Name, depth+1)
		}
	}
}

// askAnew begins anew with what nobody has answered yet.
func (l *link) askAnew() {
	now := l.c.now
	if l.client != nil && l.client.State() == dhcp4.Selecting {
		l.client.Carrier(now, false)
		l.obey(l.client.Carrier(now, true))
	}
	if x := l.six; x != nil {
		if x.router != nil && !x.router.Heard() {
			x.router.Link(now, false)
			x.heard(x.router.Link(now, true))
		}
		if x.client != nil && x.client.State() == dhcp6.Soliciting {
			x.client.Link(now, false)
			x.obey(x.client.Link(now, true))
		}
	}
	l.tell()
}

// make makes a link if what it is made of is there, or says what is missing.
func (c *Core) make(m *composed) {
	var on *link
	var missing []string
	for _, name := range m.parts() {
		if l := c.byName(name); l == nil {
			missing = append(missing, name)
		} else if on == nil {
			on = l
		}
	}
	m.ready, m.primary, m.raised = false, false, false
	if on == nil && len(missing) > 0 {
		m.asked = false
		need := missing[0]
		if len(missing) > 1 {
			need = "one of " + strings.Join(missing, ", ")
		}
		m.report(c, netreport.Report{State: netreport.StateWaits}.With("text", "it is made of "+need+", which is not there").
			With("try", "look whether "+need+" has another name (the links above are those that are there), and whether its driver is in the image"))
		return
	}
	n := rtnl.NewLink{Kind: m.Kind, Name: m.Name, MTU: m.MTU, Address: m.Address, Data: m.Data}
	if on != nil && m.On != "" {
		n.On = on.Index
	}
	if m.asked && m.on == n.On {
		return
	}
	m.asked, m.on = true, n.On
	if n.On > 0 && !on.Up { // what is on a link has a carrier only if that is up
		c.raise(on)
	}
	if err := c.k.MakeLink(n); err != nil {
		m.report(c, netreport.Report{State: netreport.StateFailed}.With("text", "it cannot be made: "+err.Error()))
	}
}

// raise sets a link up that is part of another.
func (c *Core) raise(l *link) {
	if err := c.k.SetUp(l.Index, true); err != nil {
		c.note(l.Name + " cannot be set up: " + err.Error())
	}
}

// fill gives a link that is there its members, and what it could not be made
// with.
func (c *Core) fill(m *composed, l *link) {
	m.said = ""
	if !m.ready {
		m.ready = true
		if !m.asked && len(m.Data) > 0 && m.On == "" { // it was there already, as bond0 is with its driver
			if err := c.k.ChangeLink(l.Index, m.Kind, m.Data); err != nil {
				c.note(m.Name + ": its options: " + err.Error())
			}
		}
		if m.Keys != nil {
			if err := c.k.SetWireGuard(l.Index, m.Keys); err != nil {
				l.fail("its keys and peers: " + err.Error())
			}
		}
		if m.Text != "" {
			c.handOver("zzzz-firstlight-"+m.Name+".netdev", m.Text)
		}
	}
	for _, name := range m.parts() {
		if x := c.byName(name); x != nil {
			c.join(m, l, x)
		}
	}
	if l.setup == nil {
		l.choose()
		if _, member := c.partOf(l.Name); !member && l.setup == nil && !l.Up && !m.raised { // a member is set up by its master
			m.raised = true
			c.raise(l)
		}
	}
	if p := c.byName(m.Primary); p != nil && p.Master == l.Index && !m.primary {
		m.primary = true
		if err := c.k.ChangeLink(l.Index, m.Kind, rtnl.BondPrimary(p.Index)); err != nil {
			c.note(m.Name + ": " + m.Primary + " as its primary link: " + err.Error())
		}
	}
}

// join puts a link into its master, and tells how it is.
func (c *Core) join(m *composed, master, x *link) {
	if m.On == "" && x.Master != master.Index && x.refused != master.Index {
		x.refused = master.Index // it is not tried twice
		if m.Kind == "bond" && x.Up {
			if err := c.k.SetUp(x.Index, false); err != nil { // a bond takes what is down
				c.note(x.Name + ": " + err.Error())
			}
		}
		if m.Kind == "bridge" && !master.addressed && m.Address == nil && len(x.original) > 0 && c.composed(x.Name) == nil {
			// The address of its lowest port would be its own, and change with the
			// ports; and udev of the real system would give it another.
			master.addressed = true
			if err := c.k.SetHardware(master.Index, x.original); err != nil {
				c.note(m.Name + ": the address of " + x.Name + ": " + err.Error())
			}
		}
		x.keep()
		if err := c.k.SetMaster(x.Index, master.Index); err != nil {
			x.fail("it cannot be put into " + m.Name + ": " + err.Error())
			return
		}
		x.state = ""
		if m.Kind != "bond" { // which sets its members up itself
			c.raise(x)
		}
		if x.Master == 0 {
			x.Master = master.Index
		}
		if part := "[Match]\nMACAddress=" + hardware(x.original) + "\nName=" + x.Name + "\n\n[Network]\n"; m.Kind == "bond" {
			c.handOver("zzzz-firstlight-"+x.Name+".network", made+part+"Bond="+m.Name+"\n")
		} else if m.Kind == "bridge" {
			c.handOver("zzzz-firstlight-"+x.Name+".network", made+part+"Bridge="+m.Name+"\n")
		}
	}
	if x.setup != nil || x.state == netreport.StateFailed {
		return
	}
	r := netreport.Report{State: netreport.StateLink}.With("part", m.Name)
	if x.Carrier {
		r = r.With("carrier", "yes")
		if m.LACP && !master.Carrier {
			r = r.With("text", "but "+m.Name+" has none by it: the other end has not answered by LACP, or the card does not tell its speed")
		}
		x.report(r)
	} else {
		x.report(r.With("carrier", "no"))
	}
}

// made begins the files that are left for the real system.
const made = "# Made by Firstlight: the root was mounted over this link.\n"

func (c *Core) handOver(name, text string) {
	if err := c.k.Handover(name, text); err != nil {
		c.note(name + ": " + err.Error())
	}
}

// report says how a link is that is not there yet, unless that was said.
func (m *composed) report(c *Core, r netreport.Report) {
	r.Link = m.Name
	if line := r.String(); line != m.said {
		m.said = line
		c.k.Say(r)
	}
}

// decimal is a number as people write it.
func decimal(n int) string { return strconv.Itoa(n) }
