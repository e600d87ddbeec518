package uevent

import (
	"path"
	"sort"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/sysfs"
)

// Walk finds the devices that are already there, parents before children,
// and calls found for each as if the kernel had just added it. It visits
// /sys/bus/*/devices, and the classes whose members a boot may need: that is
// what `udevadm trigger` reaches, without reading directories that hold no
// device.
func Walk(sys sysfs.FS, found func(*Message)) {
	type member struct{ path, subsystem string }
	seen := map[string]bool{}
	var members []member
	collect := func(dir, subsystem string) {
		names, err := sys.List(dir)
		if err != nil {
			return
		}
		for _, name := range names {
			p := dir + "/" + name
			target, err := sys.Readlink(p)
			if err != nil {
				continue
			}
			dev := follow(dir, target)
			if strings.HasPrefix(dev, "/devices/") && !seen[dev] {
				seen[dev] = true
				members = append(members, member{dev, subsystem})
			}
		}
	}
	buses, _ := sys.List("/bus")
	for _, bus := range buses {
		if !quietBus[bus] {
			collect("/bus/"+bus+"/devices", bus)
		}
	}
	for _, class := range classes {
		collect("/class/"+class, class)
	}
	sort.Slice(members, func(i, j int) bool {
		a, b := members[i].path, members[j].path
		if above, below := strings.Count(a, "/"), strings.Count(b, "/"); above != below {
			return above < below
		}
		return a < b
	})
	for _, m := range members {
		// The place where it was found says the subsystem, and the file the
		// driver: neither link has to be read.
		if text, err := sys.Read(m.path + "/uevent"); err == nil {
			props := device.ParseUevent(text)
			props["SUBSYSTEM"] = m.subsystem
			found(added(m.path, props))
		}
	}
}

// follow is path.Join for a link of the kernel's, which climbs to the top and
// comes down again.
func follow(dir, target string) string {
	down := target
	for range strings.Count(dir, "/") {
		rest, ok := strings.CutPrefix(down, "../")
		if !ok {
			return path.Join(dir, target)
		}
		down = rest
	}
	down = "/" + down
	if strings.Contains(down, "/.") || strings.Contains(down, "//") || strings.HasSuffix(down, "/") {
		return path.Join(dir, target)
	}
	return down
}

// Read makes an add message of the device at devpath from sysfs, or returns
// nil if it is gone.
func Read(sys sysfs.FS, devpath string) *Message {
	props := device.ReadUevent(sys, devpath)
	if len(props) == 0 {
		return nil
	}
	return added(devpath, props)
}

// added is the message of a device that is there.
func added(devpath string, props map[string]string) *Message {
	props["ACTION"] = "add"
	props["DEVPATH"] = devpath
	return &Message{Action: "add", Devpath: devpath, Props: props}
}
