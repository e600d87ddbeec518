package netuptest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"firstlight/internal/rtnl"
)

// virtual is what belongs to a link that software has made.
type virtual struct {
	kind string
	on   *Card
	// takes: a bond has the hardware address of its first member.
	takes bool
}

// MakeLink implements netup.Maker.
func (n *Net) MakeLink(l rtnl.NewLink) error {
	for _, c := range n.Cards {
		if c.Name == l.Name && !c.gone {
			return fmt.Errorf("%s: %w", l.Name, fs.ErrExist)
		}
	}
	v := &virtual{kind: l.Kind}
	n.last = max(n.last, len(n.Cards)+1) + 1
	c := &Card{Name: l.Name, virtual: v, index: n.last, MAC: []byte{6, 0, 0, 0, 1, byte(n.last)}}
	if l.On > 0 {
		if v.on = n.card(l.On); v.on.index == 0 || v.on.gone {
			return errors.New("no such device")
		}
		c.MAC = v.on.MAC
	}
	v.takes = l.Kind == "bond" && l.Address == nil
	if l.Address != nil {
		c.MAC = l.Address
	}
	n.Cards = append(n.Cards, c)
	n.Made = append(n.Made, l)
	n.Schedule(n.Now(), func() { n.tell(c) })
	return nil
}

// ChangeLink implements netup.Maker.
func (n *Net) ChangeLink(link int, kind string, _ []rtnl.Attr) error {
	if c := n.card(link); c.virtual == nil || c.virtual.kind != kind {
		return errors.New("operation not supported")
	}
	return nil
}

// SetMaster implements netup.Maker, with the rules of the kernel's bond and
// bridge.
func (n *Net) SetMaster(link, master int) error {
	c, m := n.card(link), n.card(master)
	switch {
	case m.virtual == nil || m.virtual.kind != "bond" && m.virtual.kind != "bridge":
		return errors.New("operation not supported")
	case c.master != nil && c.master != m:
		return errors.New("device or resource busy")
	case m.virtual.kind == "bond" && c.up:
		return errors.New("device can not be enslaved while up")
	case m == c || c.virtual != nil && c.virtual.on == m:
		return errors.New("too many levels of symbolic links")
	}
	c.master = m
	if m.virtual.kind == "bond" {
		if m.virtual.takes {
			m.virtual.takes, m.MAC = false, c.MAC
		}
		c.MAC = m.MAC
		n.Schedule(n.Now(), func() { n.tell(m) })
		return n.SetUp(link, true)
	}
	n.Schedule(n.Now(), func() { n.tell(c) })
	return nil
}

// Authenticate implements netup.Authenticator: cables need nothing.
func (n *Net) Authenticate(rtnl.Link) (by string, ok bool, err error) { return n.LetIn, true, nil }

// SetWireGuard implements netup.Maker.
func (n *Net) SetWireGuard(link int, _ *rtnl.WireGuard) error {
	if c := n.card(link); c.virtual == nil || c.virtual.kind != "wireguard" {
		return errors.New("operation not supported")
	}
	return nil
}

// Handover implements netup.Maker.
func (n *Net) Handover(name, text string) error {
	if n.Files == nil {
		n.Files = map[string]string{}
	}
	n.Files[name] = text
	return nil
}

// IsUp says whether a link was set up.
func (n *Net) IsUp(link string) bool {
	return slices.ContainsFunc(n.Cards, func(c *Card) bool { return c.Name == link && c.up })
}

// spread lets the links that stand on a card have their carrier, or lose it.
func (n *Net) spread(c *Card) {
	for _, v := range slices.Clone(n.Cards) {
		if v.virtual == nil || v.gone || v != c && v.virtual.on != c && c.master != v {
			continue
		}
		wire := v.up && n.under(v) != nil
		if v.virtual.kind == "dummy" || v.virtual.kind == "wireguard" {
			wire = v.up
		}
		if wire != v.wire || v == c {
			v.wire = wire
			n.Schedule(n.Now(), func() { n.tell(v) })
			if v != c {
				n.spread(v)
			} else {
				n.above(v)
			}
		}
	}
}

// above goes on with what stands on a link.
func (n *Net) above(c *Card) {
	for _, v := range slices.Clone(n.Cards) {
		if v != c && v.virtual != nil && !v.gone && (v.virtual.on == c || c.master == v) {
			n.spread(v)
		}
	}
}

// under is a card with a carrier by which a link reaches the wire, nil for none.
func (n *Net) under(c *Card) *Card {
	if c.gone || !c.up {
		return nil
	}
	if c.virtual == nil {
		if c.wire {
			return c
		}
		return nil
	}
	if c.virtual.on != nil {
		return n.under(c.virtual.on)
	}
	var dead *Card
	for _, m := range n.Cards {
		if m.master == c {
			if u := n.under(m); u != nil && !u.Apart {
				return u
			} else if u != nil {
				dead = u
			}
		}
	}
	return dead
}

// Reaches says whether the server is reached by a link, by its name.
func (n *Net) Reaches(link string) bool {
	for _, c := range n.Cards {
		if c.Name == link && !c.gone {
			return n.reaches(c)
		}
	}
	return false
}

// reaches says whether frames of a link come to the server.
func (n *Net) reaches(c *Card) bool {
	u := n.under(c)
	return c.wire && u != nil && !u.Apart
}

// hotplug takes a card out, and puts it in again.
func (n *Net) hotplug(c *Card) {
	if c.Leaves > 0 {
		n.Schedule(c.Leaves, func() { n.remove(c) })
	}
	if c.Back > c.Leaves {
		n.Schedule(c.Back, func() {
			n.last = max(n.last, len(n.Cards)+1) + 1
			c.index, c.gone, c.up, c.wire, c.master, c.MAC = n.last, false, false, false, nil, c.original
			n.tell(c)
		})
	}
}

// remove takes a link away, after those that are on it.
func (n *Net) remove(c *Card) {
	if c.gone {
		return
	}
	for _, v := range slices.Clone(n.Cards) {
		if v.virtual != nil && v.virtual.on == c {
			n.remove(v)
		}
	}
	master := c.master
	c.gone, c.wire, c.local, c.master = true, false, false, nil
	if c.known {
		c.known = false
		n.Core.Event(n.Now(), rtnl.Event{Link: &rtnl.Link{Index: c.index, Type: 1, Name: c.Name}, Gone: true})
	}
	delete(n.Addresses, c.Name)
	if c.virtual != nil {
		n.Cards = slices.DeleteFunc(n.Cards, func(x *Card) bool { return x == c })
	}
	if master != nil {
		n.spread(master)
	}
	n.settle()
}
