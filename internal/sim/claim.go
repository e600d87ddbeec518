package sim

// Who uses a block device: the kernel gives it to one kind of user only.

// claim takes a device for a user ("dm", "md", "mount"), who may take it
// several times. A partition and its disk are not used at the same time.
func (m *Machine) claim(d *Disk, by string) bool {
	if d.holder != "" && (d.holder != by || by == "md") {
		return false
	}
	if d.above != nil && d.above.holder != "" {
		return false
	}
	for _, p := range d.parts {
		if p.holder != "" {
			return false
		}
	}
	d.holder = by
	d.holds++
	return true
}

// release gives a device back.
func (m *Machine) release(d *Disk, by string) {
	if d.holder != by {
		return // it went away meanwhile
	}
	if d.holds--; d.holds == 0 {
		d.holder = ""
	}
}

// busy says whether somebody uses a device or a partition of it.
func (m *Machine) busy(d *Disk) bool {
	for _, p := range d.parts {
		if p.holder != "" {
			return true
		}
	}
	return d.holder != ""
}

// hold shows in sysfs that a device is made of another one.
func (m *Machine) hold(upper, lower *Disk) {
	m.sys.link(lower.devpath+"/holders/"+upper.Name, upper.devpath)
	m.sys.link(upper.devpath+"/slaves/"+lower.Name, lower.devpath)
}

// unhold takes that back.
func (m *Machine) unhold(upper, lower *Disk) {
	if lower.there {
		m.sys.remove(lower.devpath + "/holders/" + upper.Name)
	}
	if upper.there {
		m.sys.remove(upper.devpath + "/slaves/" + lower.Name)
	}
}
