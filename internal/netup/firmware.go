package netup

import (
	"strconv"

	"firstlight/internal/ibft"
	"firstlight/internal/nbft"
	"firstlight/internal/netconf"
	"firstlight/internal/rtnl"
)

// Firmware is what the firmware left of its own boot from the network: ACPI's
// tables by name, and what the kernel shows of an iBFT that is none of them.
type Firmware struct {
	Tables map[string][]byte // "iBFT", "NBFT", "NBFT1" …
	IBFT   ibft.Dir          // /sys/firmware/ibft, nil for none
}

// AddFirmware adds to a command line what the firmware's tables say, as far as
// the command line asks for it. It returns what of them cannot be used, each for
// a person.
func AddFirmware(c *netconf.Config, f Firmware) (notes []string) {
	if c.IBFT {
		t, err := f.ISCSI()
		switch {
		case err != nil:
			notes = append(notes, "the firmware's iSCSI table cannot be used: "+err.Error())
		case t == nil:
			notes = append(notes, "the firmware has no iSCSI table (iBFT)")
		default:
			notes = append(notes, t.Notes...)
			c.AddIBFT(t)
		}
	}
	if c.NBFT {
		for _, name := range tableNames(f.Tables, "NBFT") {
			t, err := nbft.Parse(f.Tables[name])
			if err != nil {
				notes = append(notes, "the firmware's NVMe table "+name+" cannot be used: "+err.Error())
				continue
			}
			notes = append(notes, t.Notes...)
			c.AddNBFT(t)
		}
	}
	return notes
}

// firmwareVLANs makes the VLANs of a card that the firmware's tables have: the
// command line can name the link that a VLAN is on, a table knows only its
// address.
func (c *Core) firmwareVLANs(l *link) {
	conf := c.plan.Config
	if conf == nil || conf.Off {
		return
	}
	for i := range conf.Interfaces {
		in := &conf.Interfaces[i]
		if in.VLAN == 0 || in.Match.MAC == "" || in.Match.MAC != mac(l.original) || l.Kind != "" {
			continue
		}
		name := l.Name + "." + strconv.Itoa(int(in.VLAN))
		if !rtnl.ValidName(name) {
			name = "vlan" + strconv.Itoa(int(in.VLAN))
		}
		made := madeFrom(netconf.Link{Kind: netconf.VLAN, Name: name, Members: []string{l.Name}, ID: in.VLAN})
		in.Match, in.VLAN = netconf.Match{Name: name}, 0
		if c.composed(name) == nil {
			c.made = append(c.made, &composed{Made: made})
		}
	}
}

// ISCSI is the table of ACPI, else what the kernel shows; nil for none.
func (f Firmware) ISCSI() (*ibft.Table, error) {
	var bad error
	for _, name := range append(tableNames(f.Tables, "iBFT"), tableNames(f.Tables, "IBFT")...) {
		t, err := ibft.Parse(f.Tables[name])
		if err == nil {
			return t, nil
		}
		bad = err
	}
	if f.IBFT != nil {
		if t := ibft.FromDir(f.IBFT); t != nil {
			return t, nil
		}
	}
	return nil, bad
}

// tableNames are the names of the tables with a signature: the kernel numbers
// those of which there are several.
func tableNames(tables map[string][]byte, signature string) (names []string) {
	for i := range 10 {
		name := signature
		if i > 0 {
			name += string(rune('0' + i))
		}
		if tables[name] != nil {
			names = append(names, name)
		}
	}
	return names
}
