package detect

import (
	"fmt"
	"slices"
	"strings"
)

// network takes what a root on a server needs: the features for its type, and
// the drivers of the network cards that are in use. Which of them leads to the
// server is not looked for: with another cabling it may be another one.
func (d *detector) network(m mount, point string) error {
	d.fact("fstype:"+m.fstype, fmt.Sprintf("%s is %s on %s", point, m.fstype, m.source))
	d.fact("need:network", fmt.Sprintf("%s is on %s", point, m.source))
	list, err := d.s.Sys.List("/class/net")
	if err != nil {
		return fmt.Errorf("detect: the network cards that %s on %s is reached by: %w: %w", point, m.source, err, ErrUndecided)
	}
	found := false
	for _, name := range list {
		at := "/class/net/" + name
		dev, err := d.s.Sys.Resolve(at + "/device")
		if err != nil {
			d.madeLink(name, at)
			continue // the loopback, and links that are made of others
		}
		if state, _ := d.s.Sys.Read(at + "/operstate"); state == "down" {
			continue
		}
		found = true
		if d.s.Sys.Exists(at + "/phy80211") {
			d.fact("need:wifi", name+" is a radio, and in use")
		}
		d.hardware(dev, point+" over "+name)
	}
	if !found {
		return fmt.Errorf("detect: %s is on %s, and no network card is in use: %w", point, m.source, ErrUndecided)
	}
	return nil
}

// madeLink takes what a link that software has made needs, if it is in use.
func (d *detector) madeLink(name, at string) {
	if state, _ := d.s.Sys.Read(at + "/operstate"); state == "down" {
		return
	}
	event, _ := d.s.Sys.Read(at + "/uevent")
	for line := range strings.Lines(event) {
		kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE=")
		if ok && slices.Contains([]string{"vlan", "bond", "bridge", "wireguard", "macvlan", "ipvlan", "dummy"}, kind) {
			d.fact("need:"+kind, name+" is one, and in use")
		}
	}
}
