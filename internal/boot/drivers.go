package boot

import (
	"strings"

	"firstlight/internal/goal"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/glob"
)

// OtherDrivers is where the builder lists the drivers of disks and of what
// leads to them that the kernel has and the image has not: lines of a module,
// the feature that brings it ("-" for none), and patterns of the aliases of
// its devices, separated by blanks.
const OtherDrivers = "/etc/firstlight/other-drivers"

// buses are the subsystems whose devices say which driver they want, and that
// disks may hang on.
const buses = "pci virtio usb vmbus xen"

// drivers says what could not be loaded, and which devices have no driver that
// disks may hang on.
func (x *explainer) drivers() {
	if i := &x.opt.Image; i.Running != "" && i.Kernel != "" && i.Running != i.Kernel {
		x.s.Add(goal.Drivers, "kernel "+i.Running+" runs, and this image has the modules of kernel "+i.Kernel+": none of them can be loaded")
		x.s.Add(goal.Try, "boot kernel "+i.Kernel+", or build an image for this one (firstlight build --kernel "+i.Running+")")
		return
	}
	for _, m := range x.w.Missing {
		x.s.Add(goal.Drivers, m)
	}
	if !x.lost {
		return
	}
	for _, bus := range strings.Fields(buses) {
		for _, e := range x.w.Devices.Subsystem(bus) {
			if !e.Sys().Exists(e.Devpath() + "/driver") {
				x.undriven(e)
			}
		}
	}
}

// undriven says of a device without a driver who would drive it.
func (x *explainer) undriven(e *udevd.Entry) {
	alias := e.Property("MODALIAS")
	name := busName(e)
	for _, line := range strings.Split(string(x.others), "\n") {
		f := strings.Fields(line)
		for i := 2; i < len(f); i++ {
			if !glob.Match(f[i], alias) {
				continue
			}
			x.s.Add(goal.Drivers, name+" has no driver in this image; "+f[0]+" would drive it")
			with := "--feature " + f[1]
			if f[1] == "-" {
				with = `modules = ["` + f[0] + `"] in firstlight.toml`
			}
			x.s.Add(goal.Try, "add the driver: firstlight build with "+with)
			return
		}
	}
	if strings.Contains(alias, "bc01sc") { // PCI class 01, mass storage
		x.s.Add(goal.Drivers, name+", a storage controller, was taken by no driver")
	}
}

// busName is how a person finds a device on its bus: "PCI 1af4:1042",
// "USB 0781:5583".
func busName(e *udevd.Entry) string {
	bus, id, _ := strings.Cut(e.Property("MODALIAS"), ":")
	n := 4 // digits of each number: v0781p5583…, v00001AF4d00001042…
	if bus == "pci" {
		n = 8
	}
	if (n == 8 || bus == "usb") && len(id) >= 2*n+2 {
		return strings.ToUpper(bus) + " " + strings.ToLower(id[n-3:n+1]+":"+id[2*n-2:2*n+2])
	}
	if p := e.Parent(); p != nil && p.Subsystem() == "pci" {
		return e.Sysname() + " at " + busName(&udevd.Entry{Device: p})
	}
	return bus + " " + e.Sysname()
}
