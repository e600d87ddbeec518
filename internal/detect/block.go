package detect

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// block walks from a block device down to the hardware.
func (d *detector) block(dev, what string, depth int) error {
	if depth > 32 {
		return fmt.Errorf("detect: %s: more than 32 layers of devices: %w", dev, ErrUndecided)
	}
	if d.seen[dev] {
		return nil
	}
	d.seen[dev] = true
	sys := d.s.Sys
	if sys.Exists(dev + "/partition") {
		return d.block(path.Dir(dev), what, depth+1)
	}
	name := path.Base(dev)
	slaves, err := sys.List(dev + "/slaves")
	if err != nil {
		slaves = nil
	}
	if err := d.layer(dev, name, what, slaves); err != nil {
		return err
	}
	for _, s := range slaves {
		p, err := sys.Resolve(dev + "/slaves/" + s)
		if err != nil {
			return fmt.Errorf("detect: %s below %s: %w", s, name, err)
		}
		if err := d.block(p, what, depth+1); err != nil {
			return err
		}
	}
	if len(slaves) == 0 {
		if err := d.remote(dev, name, what); err != nil {
			return err
		}
		d.hardware(dev, name+" for "+what)
	}
	return nil
}

// layer says what a block device made of others is.
func (d *detector) layer(dev, name, what string, slaves []string) error {
	sys := d.s.Sys
	if uuid, err := sys.Read(dev + "/dm/uuid"); err == nil {
		dm, _ := sys.Read(dev + "/dm/name")
		why := fmt.Sprintf("%s (%s) below %s", dm, name, what)
		d.fact("layer:dm", why)
		kind, _, _ := strings.Cut(uuid, "-")
		switch {
		case strings.HasPrefix(uuid, "CRYPT-VERITY-"):
			d.fact("layer:verity", why)
		case strings.HasPrefix(uuid, "CRYPT-SUBDEV-"), strings.HasPrefix(uuid, "CRYPT-INTEGRITY-") && strings.HasSuffix(dm, "_dif"):
			d.fact("layer:integrity", why) // below LUKS, as cryptsetup calls it
		case strings.HasPrefix(uuid, "CRYPT-INTEGRITY-"):
			d.fact("layer:dm-integrity", why)
		case kind == "CRYPT":
			d.crypt = true
			d.names = append(d.names, dm)
			for prefix, fact := range map[string]string{"CRYPT-PLAIN-": "layer:plain", "CRYPT-TCRYPT-": "layer:tcrypt", "CRYPT-BITLK-": "layer:bitlk"} {
				if strings.HasPrefix(uuid, prefix) {
					d.fact(fact, why)
				}
			}
			d.fact("layer:luks", why)
			d.tokens(slaves, why)
		case kind == "LVM":
			d.lvm(why, slaves)
		case kind == "mpath":
			d.fact("layer:multipath", why)
		case strings.HasPrefix(kind, "part"): // "part1-mpath-…", by kpartx
		default:
			d.note("%s is a device of the device mapper of unknown kind (%q); its target's module has to be named in the configuration", dm, uuid)
		}
	}
	if level, err := sys.Read(dev + "/md/level"); err == nil {
		d.md = true
		if v, err := sys.Read(dev + "/md/metadata_version"); err == nil && strings.HasPrefix(v, "external:") {
			d.fact("layer:md-external", fmt.Sprintf("%s has the metadata of a firmware (%s), below %s", name, v, what))
		}
		d.fact("layer:md-"+level, fmt.Sprintf("%s is %s below %s", name, level, what))
	}
	if strings.HasPrefix(name, "bcache") && sys.Exists(dev+"/bcache") {
		d.fact("layer:bcache", fmt.Sprintf("%s below %s", name, what))
	}
	if file, err := sys.Read(dev + "/loop/backing_file"); err == nil {
		d.fact("bus:loop", fmt.Sprintf("%s is the file %s, for %s", name, file, what))
		return d.backing(file, what)
	}
	return nil
}

// tokens looks at how else than by a passphrase a LUKS device is opened.
func (d *detector) tokens(slaves []string, why string) {
	if d.s.Tokens == nil {
		return
	}
	for _, s := range slaves {
		if slices.Contains(d.s.Tokens("/dev/"+strings.ReplaceAll(s, "!", "/")), "clevis") {
			d.fact("layer:clevis", s+" is bound by Clevis, for "+why)
		}
	}
}

// lvmParts are the names and UUIDs of what volumes are made of, by their ends,
// or where they begin with "_" and end with "_", by what is in them; and the
// fact that each shows.
var lvmParts = [...]struct{ mark, fact string }{
	{"_rimage_", "layer:lvm-raid"}, {"_rmeta_", "layer:lvm-raid"}, {"_mimage_", "layer:lvm-mirror"},
	{"-tpool", "layer:lvm-thin"}, {"_tdata", "layer:lvm-thin"}, {"_tmeta", "layer:lvm-thin"},
	{"_corig", "layer:lvm-cache"}, {"_cdata", "layer:lvm-cache"}, {"_cmeta", "layer:lvm-cache"},
	{"_wcorig", "layer:lvm-writecache"}, {"-vpool", "layer:lvm-vdo"}, {"_vdata", "layer:lvm-vdo"},
	{"_iorig", "layer:lvm-integrity"}, {"-real", "layer:lvm-snapshot"}, {"-cow", "layer:lvm-snapshot"},
}

// lvm tells plain volumes from those made of other volumes, and what kind the
// latter are, by the names that LVM gives the parts.
func (d *detector) lvm(why string, slaves []string) {
	d.fact("layer:lvm", why)
	for _, s := range slaves {
		dir := "/class/block/" + s + "/dm/"
		uuid, err := d.s.Sys.Read(dir + "uuid")
		if err != nil || !strings.HasPrefix(uuid, "LVM-") {
			continue
		}
		name, _ := d.s.Sys.Read(dir + "name")
		known := false
		for _, p := range lvmParts {
			if strings.HasSuffix(name, p.mark) || strings.HasSuffix(p.mark, "_") && strings.Contains(name, p.mark) {
				d.fact(p.fact, why+", which is made of "+name)
				known = true
				break
			}
		}
		if !known {
			d.note("%s, which is made of %s: which kind of volume that is cannot be told; name its feature in the configuration", why, name)
		}
	}
}

// hardware takes the drivers of a device and of all that it hangs on.
func (d *detector) hardware(dev, why string) {
	for p := dev; p != "/" && p != "/devices" && p != "."; p = path.Dir(p) {
		if p != dev && d.seen[p] {
			return // the rest is known
		}
		d.seen[p] = true
		d.driver(p, why)
	}
}

func (d *detector) driver(p, why string) {
	sys := d.s.Sys
	why = fmt.Sprintf("driver of %s, on the way to %s", path.Base(p), why)
	if alias, err := sys.Read(p + "/modalias"); err == nil {
		d.module(alias, why)
	}
	if target, err := sys.Readlink(p + "/driver/module"); err == nil {
		d.module(path.Base(target), why)
	}
	d.described(p, why)
	list, err := sys.List(p)
	if err != nil {
		return
	}
	for _, n := range list {
		// "supplier:bus:name" leads to a device that must have its driver
		// first: a clock, a regulator, a phy (driver-api/device_link.rst).
		if !strings.HasPrefix(n, "supplier:") {
			continue
		}
		if s, err := sys.Resolve(p + "/" + n + "/supplier"); err == nil && !d.seen[s] {
			d.hardware(s, why)
		}
	}
}

// described takes what the machine's own description has for a device: the firmware
// that its node in the device tree names (firmware-name of the bindings, strings
// that end in NUL), and, for a device of a bus that cannot be asked and that neither
// the device tree nor ACPI has, the drivers that go by the model of the machine
// (DMI): one of them has made it.
func (d *detector) described(p, why string) {
	sys := d.s.Sys
	if names, err := sys.Read(p + "/of_node/firmware-name"); err == nil {
		for name := range strings.SplitSeq(names, "\x00") {
			if name != "" && fs.ValidPath(name) {
				d.need.Firmware[name] = "named by the device tree, " + why
			}
		}
	}
	alias, err := sys.Read(p + "/modalias")
	if err != nil || !strings.HasPrefix(alias, "i2c:") && !strings.HasPrefix(alias, "spi:") {
		return
	}
	for _, n := range [...]string{"of_node", "firmware_node"} {
		if _, err := sys.Readlink(p + "/" + n); err == nil {
			return
		}
	}
	if model, err := sys.Read("/class/dmi/id/modalias"); err == nil {
		d.module(model, "by the model of the machine (DMI), "+why)
	}
}
