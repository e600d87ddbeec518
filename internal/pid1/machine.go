package pid1

import (
	"sync"

	"firstlight/internal/console"
	"firstlight/internal/devmapper"
	"firstlight/internal/machine"
	"firstlight/internal/uevent"
)

// world is the real machine: everything that the core can ask for.
type world struct {
	storage
	*modules
	files
	mounts
	*children
	*console.Console
	system
	*switcher
	shell shell

	mapperLock sync.Mutex
	mapper     devmapper.Mapper // nil until it was opened
}

var _ machine.Machine = (*world)(nil)

// Mapper implements machine.Machine.
func (w *world) Mapper() (devmapper.Mapper, error) {
	w.mapperLock.Lock()
	defer w.mapperLock.Unlock()
	if w.mapper != nil {
		return w.mapper, nil
	}
	if err := w.modules.Load("dm-mod"); err != nil {
		return nil, err
	}
	control, err := devmapper.Open("/dev/mapper/control")
	if err != nil {
		return nil, err
	}
	w.mapper = control
	return control, nil
}

// Coldplug implements machine.Devices.
func (w *world) Coldplug() ([]*uevent.Message, error) {
	var found []*uevent.Message
	uevent.Walk(w.files.sys, func(m *uevent.Message) { found = append(found, m) })
	return found, nil
}

// Shell implements machine.Console.
func (w *world) Shell() error { return w.shell.run() }

// OfferShell implements machine.Console.
func (w *world) OfferShell() error { return w.shell.offer() }
