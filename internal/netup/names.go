package netup

import (
	"errors"
	"io/fs"
	"time"

	"firstlight/internal/rtnl"
)

// Identity is what the machine's files say of a link.
type Identity struct {
	// Name is what it is to be called, "" where it keeps its name.
	Name    string
	Address []byte // of the hardware; nil as it is
	Alias   string
	MTU     uint32 // bytes; 0 as it is
	// Random: its address was made up by the kernel, and udev of the real system
	// would make up another one, except for one that was set.
	Random bool
}

// furnish gives a link what the files say of it.
func (l *link) furnish() {
	c, id := l.c, l.id
	if id.Address != nil && string(id.Address) != string(l.Address) && len(id.Address) == len(l.Address) {
		if err := c.k.SetHardware(l.Index, id.Address); err != nil {
			c.note(l.Name + ": the hardware address of its file: " + err.Error())
		} else {
			l.Address = id.Address
		}
	}
	if id.MTU > 0 && id.MTU != l.MTU {
		if err := c.k.SetMTU(l.Index, id.MTU); err != nil {
			c.note(l.Name + ": MTU " + decimal(int(id.MTU)) + ": " + err.Error())
		}
	}
	if id.Alias != "" {
		if err := c.k.SetAlias(l.Index, id.Alias); err != nil {
			c.note(l.Name + ": alias: " + err.Error())
		}
	}
}

// keep keeps udev of the real system from giving a link that is used another
// address.
func (l *link) keep() {
	if !l.id.Random || l.Kind != "" || l.fixed || l.setup != nil && l.setup.Hardware != nil {
		return
	}
	l.fixed = true
	if err := l.c.k.SetHardware(l.Index, l.Address); err != nil {
		l.c.note(l.Name + ": its address cannot be kept: " + err.Error())
	}
}

// naming is how far a link is with its name.
type naming struct {
	// wants is the name that another link has yet; the link has one of its own
	// making meanwhile, and had the name before.
	wants, before string
	// given are names that the link was given, of which the kernel has not told
	// yet: what it tells until then is older.
	given []string
	id    Identity
	fixed bool // the address is set
}

// unnamed says whether the link waits for its name.
func (n *naming) unnamed() bool { return n.wants != "" }

// name gives a link the name that it is to have, as far as that can be done by
// now. What software has made keeps its name: it has the address of its card.
func (l *link) name() {
	c := l.c
	if l.Kind != "" || l.Up {
		return
	}
	want := ""
	if c.plan.Rename != nil {
		want = c.plan.Rename(l.Address)
	}
	l.id = c.k.Identify(l.Link)
	if want == "" {
		want = l.id.Name
	}
	l.furnish()
	if want == "" || want == l.Name || !rtnl.ValidName(want) {
		return
	}
	was := l.Name
	err := l.rename(want)
	switch {
	case err == nil:
		c.note(was + " is now " + want)
	case errors.Is(err, fs.ErrExist):
		// Who has it may be about to get another one. To let it have this link's,
		// this one steps aside.
		if err := l.rename("fl-rename" + decimal(l.Index)); err == nil {
			l.wants, l.before = want, was
			l.overdue = c.now + renameWait // what has the name may be no link that is told of
		} else {
			c.note("the name " + want + " for " + was + ": " + err.Error())
		}
	default:
		c.note("the name " + want + " for " + was + ": " + err.Error())
	}
}

func (l *link) rename(name string) error {
	if err := l.c.k.SetName(l.Index, name); err != nil {
		return err
	}
	l.Name, l.given = name, append(l.given, name)
	return nil
}

// nameOf is the name of a link by what the kernel has told, which may be older
// than what the link was given since.
func (l *link) nameNow(told string) string {
	for i, g := range l.given {
		if g == told {
			l.given = append([]string(nil), l.given[i+1:]...)
			break
		}
	}
	if len(l.given) > 0 {
		return l.Name
	}
	return told
}

// names lets links have their names that waited for others to give them away.
// Who has its final name and keeps it wins over who came later.
func (c *Core) names() {
	for again := true; again; {
		again = false
		for _, l := range c.order {
			if !l.unnamed() {
				continue
			}
			var holder *link
			for _, x := range c.order {
				if x != l && x.Name == l.wants {
					holder = x
				}
			}
			want := l.wants
			if holder == nil {
				err := l.rename(want)
				if errors.Is(err, fs.ErrExist) {
					continue // the kernel has not told of that link yet
				}
				if err == nil {
					l.wants, l.overdue = "", Never
					c.note(l.before + " is now " + want)
					l.choose()
					again = true
					continue
				}
			}
			l.giveBack() // whoever has the name keeps it
			again = true
		}
	}
}

// renameWait is how long a link waits for a name that another one has.
const renameWait = 2 * time.Second

// giveBack lets a link that has waited for a name have its own again.
func (l *link) giveBack() {
	text := "the name " + l.wants + " for " + l.before + ": another link has it"
	l.wants, l.overdue = "", Never
	if err := l.rename(l.before); err != nil {
		text += ", and its own is taken by now: it is " + l.Name
	}
	l.c.note(text)
	l.choose()
}
