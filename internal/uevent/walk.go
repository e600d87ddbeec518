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
	seen := map[string]bool{}
	var paths []string
	collect := func(dir string) {
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
			dev := path.Join(dir, target)
			if strings.HasPrefix(dev, "/devices/") && !seen[dev] {
				seen[dev] = true
				paths = append(paths, dev)
			}
		}
	}
	buses, _ := sys.List("/bus")
	for _, bus := range buses {
		if !quietBus[bus] {
			collect("/bus/" + bus + "/devices")
		}
	}
	for _, class := range classes {
		collect("/class/" + class)
	}
	sort.Slice(paths, func(i, j int) bool {
		a, b := strings.Count(paths[i], "/"), strings.Count(paths[j], "/")
		if a != b {
			return a < b
		}
		return paths[i] < paths[j]
	})
	for _, p := range paths {
		if m := Read(sys, p); m != nil {
			found(m)
		}
	}
}

// Read makes an add message of the device at devpath from sysfs, or returns
// nil if it is gone.
func Read(sys sysfs.FS, devpath string) *Message {
	props := device.ReadUevent(sys, devpath)
	if len(props) == 0 {
		return nil
	}
	props["ACTION"] = "add"
	props["DEVPATH"] = devpath
	return &Message{Action: "add", Devpath: devpath, Props: props}
}
