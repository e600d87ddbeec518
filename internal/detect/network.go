package detect

import "fmt"

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
			if d.s.Sys.Exists(at+"/bonding") || d.s.Sys.Exists(at+"/bridge") {
				d.note("%s is made of other links, which Firstlight does not make yet", name)
			}
			continue // the loopback, and links that are made of others
		}
		if state, _ := d.s.Sys.Read(at + "/operstate"); state == "down" {
			continue
		}
		found = true
		d.hardware(dev, point+" over "+name)
	}
	if !found {
		return fmt.Errorf("detect: %s is on %s, and no network card is in use: %w", point, m.source, ErrUndecided)
	}
	return nil
}
