package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Explained is what there is to say of one block device.
type Explained struct {
	Device string `json:"device"` // its name in /dev
	// Needed says whether the boot needs it, and Why what for, or that nothing
	// that the boot needs lies on it.
	Needed bool   `json:"needed"`
	Why    string `json:"why"`
	// Mounted are the places where what is on it is mounted.
	Mounted []string `json:"mounted"`
	// Below are the devices that it lies on, from it down to the hardware.
	Below []string `json:"below"`
	// Need is what an image needs in order to have it.
	Need *Need `json:"need"`
}

// Explain says what a block device is for and what it needs. name is a node of
// /dev, with or without that, or a link to one.
func Explain(s System, name string) (*Explained, error) {
	dev, err := blockDevice(s, name)
	if err != nil {
		return nil, err
	}
	x := &Explained{Device: path.Base(dev), Mounted: []string{}, Below: []string{}}
	one := &detector{s: s, need: newNeed(), seen: map[string]bool{}}
	if one.all, err = one.mounts(); err != nil {
		return nil, err
	}
	if err := one.block(dev, x.Device, 0); err != nil {
		return nil, err
	}
	x.Need = one.need
	x.below(s, dev)
	if number, err := s.Sys.Read(dev + "/dev"); err == nil {
		for _, m := range one.all {
			if m.dev == number || m.source == "/dev/"+x.Device {
				x.Mounted = append(x.Mounted, m.point)
			}
		}
	}
	whole, err := look(s)
	switch {
	case errors.Is(err, ErrUndecided):
		x.Why = "whether the boot needs it cannot be told: " + err.Error()
	case err != nil:
		return nil, err
	default:
		x.purpose(whole, dev)
	}
	return x, nil
}

// blockDevice finds a device in sysfs by its node.
func blockDevice(s System, name string) (string, error) {
	node := "/dev/" + strings.TrimPrefix(name, "/dev/")
	dev, err := (&detector{s: s}).blockName(node)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("detect: there is no block device %s: %w", node, fs.ErrNotExist)
	}
	if err != nil {
		return "", fmt.Errorf("detect: %s: %w", node, err)
	}
	return dev, nil
}

// below collects the devices that one lies on.
func (x *Explained) below(s System, dev string) {
	if len(x.Below) > 200 {
		return
	}
	if s.Sys.Exists(dev + "/partition") {
		x.add(s, path.Dir(dev))
		return
	}
	slaves, _ := s.Sys.List(dev + "/slaves")
	for _, name := range slaves {
		if p, err := s.Sys.Resolve(dev + "/slaves/" + name); err == nil {
			x.add(s, p)
		}
	}
}

func (x *Explained) add(s System, dev string) {
	name := path.Base(dev)
	if slices.Contains(x.Below, name) {
		return
	}
	x.Below = append(x.Below, name)
	x.below(s, dev)
}

// purpose says what the boot needs a device for: it was come across on the way
// from what is mounted, or resumed from, down to the hardware.
func (x *Explained) purpose(whole *detector, dev string) {
	if x.Needed = whole.seen[dev]; !x.Needed {
		x.Why = "nothing that the boot needs lies on it"
		return
	}
	x.Why = "what the boot needs lies on it"
	for _, p := range []string{"/usr", "/"} {
		if slices.Contains(x.Mounted, p) {
			x.Why = "it is mounted on " + p
		}
	}
}
