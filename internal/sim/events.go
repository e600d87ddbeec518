package sim

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"firstlight/internal/uevent"
)

// tell announces a block device, with more properties as pairs.
func (m *Machine) tell(action string, d *Disk, more ...string) {
	if m.Core == nil {
		return
	}
	props := d.props()
	props["ACTION"], props["DEVPATH"] = action, d.devpath
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	m.announce(action, d.devpath, props)
}

// announce hands a message of the kernel to the core, by the way of the faults
// that concern messages.
func (m *Machine) announce(action, devpath string, props map[string]string) {
	msg := &uevent.Message{Action: action, Devpath: devpath, Props: props}
	if len(m.Faults) == 0 {
		m.Core.Uevent(msg)
		return
	}
	at := m.now
	times := 1
	inOrder, later := time.Duration(-1), time.Duration(-1)
	for i := range m.Faults {
		f := &m.Faults[i]
		switch f.Kind {
		case EventsLost:
			if m.now >= f.At && m.now < f.At+f.For {
				return
			}
		case EventsDelayed:
			inOrder = upTo(m.rng, f.For)
		case EventsShuffled:
			later = upTo(m.rng, f.For)
		case EventsDuplicated:
			if m.rng.IntN(max(f.Times, 1)) == 0 {
				times = 2
			}
		}
	}
	if inOrder >= 0 {
		m.lastEvent = max(m.lastEvent, at+inOrder)
		at = m.lastEvent
	}
	if later >= 0 {
		at += later
	}
	at = max(at, m.eventOf[devpath])
	m.eventOf[devpath] = at
	for range times {
		if at == m.now {
			m.Core.Uevent(&uevent.Message{Action: action, Devpath: devpath, Props: maps.Clone(props)})
			continue
		}
		m.At(at, func() {
			m.Core.Uevent(&uevent.Message{Action: action, Devpath: devpath, Props: maps.Clone(props)})
		})
	}
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(d)))
}

// overflow says that messages were lost, with a fresh walk of the devices.
func (m *Machine) overflow() {
	var found []*uevent.Message
	uevent.Walk(m.sys, func(msg *uevent.Message) { found = append(found, msg) })
	m.Core.Overflow(found)
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
