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

	mapperOnce sync.Once
	mapper     devmapper.Mapper
	mapperErr  error
}

var _ machine.Machine = (*world)(nil)

// Mapper implements machine.Machine.
func (w *world) Mapper() (devmapper.Mapper, error) {
	w.mapperOnce.Do(func() {
		if w.mapperErr = w.modules.Load("dm-mod"); w.mapperErr != nil {
			return
		}
		w.mapper, w.mapperErr = devmapper.Open("/dev/mapper/control")
	})
	return w.mapper, w.mapperErr
}

// Coldplug implements machine.Devices.
func (w *world) Coldplug() ([]*uevent.Message, error) {
	var found []*uevent.Message
	uevent.Walk(w.files.sys, func(m *uevent.Message) { found = append(found, m) })
	return found, nil
}

// Shell implements machine.Console.
func (w *world) Shell() error { return w.shell.run(w) }
