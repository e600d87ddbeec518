package sim

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"firstlight/internal/machine"
)

// Module is a kernel module that the image has, or that is built in.
type Module struct {
	Name    string
	Aliases []string // patterns as in modules.alias
	Needs   []string // names of modules that are loaded before it
	BuiltIn bool
	Takes   time.Duration // to be loaded, besides what the operation takes
	Err     error         // it cannot be loaded
}

// modules is what there is of drivers.
type modules struct {
	list   []*Module
	byName map[string]*Module
	loaded map[*Module]bool
	built  bool                 // everything is built in
	found  map[string][]*Module // by alias
}

func newModules(list []Module) *modules {
	k := &modules{byName: map[string]*Module{}, loaded: map[*Module]bool{}, built: list == nil, found: map[string][]*Module{}}
	for i := range list {
		x := &list[i]
		k.list = append(k.list, x)
		k.byName[plain(x.Name)] = x
		k.loaded[x] = x.BuiltIn
	}
	return k
}

// plain is a module's name with one of its two spellings.
func plain(name string) string { return strings.ReplaceAll(name, "-", "_") }

// find returns the modules that a name or alias stands for.
func (k *modules) find(name string) []*Module {
	if x := k.byName[plain(name)]; x != nil {
		return []*Module{x}
	}
	return k.match(name)
}

func (k *modules) match(alias string) []*Module {
	found, known := k.found[alias]
	if known {
		return found
	}
	for _, x := range k.list {
		for _, pattern := range x.Aliases {
			if glob(pattern, alias) {
				found = append(found, x)
				break
			}
		}
	}
	k.found[alias] = found
	return found
}

// glob matches a pattern in which "*" is any text.
func glob(pattern, text string) bool {
	first, rest, stars := strings.Cut(pattern, "*")
	text, ok := strings.CutPrefix(text, first)
	if !ok || !stars {
		return ok && text == ""
	}
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// has says whether something that the name stands for is in the kernel.
func (k *modules) has(name string) bool {
	if k.built {
		return true
	}
	for _, x := range k.find(name) {
		if k.loaded[x] {
			return true
		}
	}
	return false
}

// hasDriver says whether the driver for a modalias is in the kernel.
func (m *Machine) hasDriver(modalias string) bool {
	if modalias == "" || m.kmod.built {
		return true
	}
	for _, x := range m.kmod.match(modalias) {
		if m.kmod.loaded[x] {
			return true
		}
	}
	return false
}

// load loads a module with what it needs, and lets it look at the devices
// that are there.
func (m *Machine) load(x *Module, depth int) error {
	if m.kmod.loaded[x] {
		return nil
	}
	if f := m.fault(DriverMissing, x.Name); f != nil {
		return fmt.Errorf("load %s: %w", x.Name, machine.ErrNoModule)
	}
	if x.Err != nil {
		return fmt.Errorf("load %s: %w", x.Name, x.Err)
	}
	for _, need := range x.Needs {
		if depth > 16 {
			return fmt.Errorf("load %s: modules need each other", x.Name)
		}
		for _, n := range m.kmod.find(need) {
			if err := m.load(n, depth+1); err != nil {
				return err
			}
		}
	}
	if x.Takes > 0 {
		m.sleep(x.Takes)
	}
	m.kmod.loaded[x] = true
	m.Loaded = append(m.Loaded, x.Name)
	m.sys.set("/module/"+plain(x.Name)+"/refcnt", "0")
	for _, d := range m.devices {
		m.driveAll(d)
	}
	return nil
}

func (m *Machine) driveAll(d *Device) {
	if !d.there {
		return
	}
	if !d.driven {
		m.drive(d)
		return
	}
	for _, c := range d.Children {
		m.driveAll(c)
	}
}

// LoadAlias implements machine.Modules.
func (m *Machine) LoadAlias(modalias string) (int, error) {
	if m.kmod.built {
		return 0, nil
	}
	n := 0
	for _, x := range m.kmod.match(modalias) {
		if m.fault(DriverMissing, x.Name) != nil {
			continue // it is not in the image's index at all
		}
		if err := m.load(x, 0); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Load implements machine.Modules.
func (m *Machine) Load(names ...string) error {
	for _, name := range names {
		if m.kmod.built {
			if m.fault(DriverMissing, name) != nil {
				return fmt.Errorf("%s: %w", name, machine.ErrNoModule)
			}
			m.ramdisk(name)
			m.Chip.bring(name)
			continue
		}
		found := m.kmod.find(name)
		if len(found) == 0 {
			return fmt.Errorf("%s: %w", name, machine.ErrNoModule)
		}
		for _, x := range found {
			if err := m.load(x, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// driver fails unless what the kernel needs for something is there.
func (m *Machine) driver(name, what string) error {
	if m.fault(DriverMissing, name) != nil || !m.kmod.has(name) {
		return fmt.Errorf("%s: %w", what, fs.ErrNotExist)
	}
	return nil
}

// Debian are the modules that a machine may need to reach its root, as in
// the usual image: none is built in.
func Debian() []Module {
	return []Module{
		{Name: "virtio_pci", Aliases: []string{"pci:v00001AF4d*"}},
		{Name: "virtio_blk", Aliases: []string{"virtio:d00000002v*"}},
		{Name: "virtio_scsi", Aliases: []string{"virtio:d00000008v*"}, Needs: []string{"scsi_mod"}},
		{Name: "virtio_net", Aliases: []string{"virtio:d00000001v*"}},
		{Name: "scsi_mod"},
		{Name: "sd_mod", Aliases: []string{"scsi:t-0x00*"}, Needs: []string{"scsi_mod"}},
		{Name: "libata", Needs: []string{"scsi_mod"}},
		{Name: "ahci", Aliases: []string{"pci:v*d*sv*sd*bc01sc06i01*"}, Needs: []string{"libata"}},
		{Name: "nvme", Aliases: []string{"pci:v*d*sv*sd*bc01sc08i02*"}},
		{Name: "xhci_pci", Aliases: []string{"pci:v*d*sv*sd*bc0Csc03i30*"}},
		{Name: "usb_storage", Aliases: []string{"usb:v*p*d*dc*dsc*dp*ic08isc06ip50*"}, Needs: []string{"scsi_mod"}},
		{Name: "ext4", Aliases: []string{"fs-ext4", "fs-ext3", "fs-ext2"}},
		{Name: "xfs", Aliases: []string{"fs-xfs"}},
		{Name: "btrfs", Aliases: []string{"fs-btrfs", "devname:btrfs-control"}},
		{Name: "vfat", Aliases: []string{"fs-vfat"}},
		{Name: "dm_mod", Aliases: []string{"devname:mapper/control"}},
		{Name: "dm_crypt", Needs: []string{"dm_mod"}},
		{Name: "md_mod"},
		{Name: "bcache"},
		{Name: "dm_multipath", Needs: []string{"dm_mod"}},
		{Name: "dm_service_time", Needs: []string{"dm_multipath"}},
		{Name: "dm_round_robin", Needs: []string{"dm_multipath"}},
		{Name: "raid0", Aliases: []string{"md-level-0", "md-raid0"}, Needs: []string{"md_mod"}},
		{Name: "raid1", Aliases: []string{"md-level-1", "md-raid1"}, Needs: []string{"md_mod"}},
		{Name: "raid10", Aliases: []string{"md-level-10", "md-raid10"}, Needs: []string{"md_mod"}},
		{Name: "raid456", Aliases: []string{"md-level-4", "md-level-5", "md-level-6"}, Needs: []string{"md_mod"}},
		{Name: "aesni_intel", Aliases: []string{"crypto-aes", "crypto-xts", "crypto-cbc"}},
		{Name: "sha256_ssse3", Aliases: []string{"crypto-sha256"}},
	}
}
