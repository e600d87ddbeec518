package lvm

import (
	"errors"
	"slices"
	"time"

	"firstlight/internal/devmapper"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// mapped is what a volume was mapped with.
type mapped struct {
	devices []string                 // of the device mapper, those below first
	on      map[string]time.Duration // physical volumes, and when each came
	keep    bool                     // it is not to be taken down: snapshots without their origin lose what is written to it
	stuck   bool                     // it could not be taken down, which was said
}

// mend takes down volumes that lie on a disk that has gone away: what comes
// back is another device, and the kernel gives errors for the old one as long
// as it is mapped. The volume is mapped anew when the disk is there. One that
// is in use is left as it is. tried says that there was any.
func (h *Handler) mend(t *ueventd.Task, name string, st *group) (tried bool) {
	var lost []string
	for lv, m := range st.mapped {
		if !m.keep && len(m.devices) > 0 && !h.whole(m) {
			lost = append(lost, lv)
		}
	}
	order.Strings(lost)
	for _, lv := range lost {
		m := st.mapped[lv]
		err := ueventd.Act(t, "take down logical volume "+name+"/"+lv+", whose disk has gone away", func(x machine.Machine) error {
			mapper, err := x.Mapper()
			if err != nil {
				return err
			}
			top := len(m.devices) - 1
			for i, device := range slices.Backward(m.devices) {
				_, err := mapper.Remove(devmapper.ByName(device), devmapper.RemoveOptions{})
				switch {
				case err == nil || errors.Is(err, unix.ENXIO):
				case i < top && errors.Is(err, unix.EBUSY):
					return nil // another volume stands on it too
				default:
					return err
				}
			}
			return nil
		})
		if err != nil {
			if m.stuck {
				continue
			}
			m.stuck = true
			h.w.Say(handler.Loud, "a disk of logical volume "+name+"/"+lv+" has gone away, and the volume is in use: "+err.Error())
			continue
		}
		h.w.Say(handler.Loud, "logical volume "+name+"/"+lv+" was taken down: its disk has gone away")
		delete(st.mapped, lv)
		delete(st.active, lv)
		delete(st.without, lv)
	}
	return len(lost) > 0
}

// whole says whether every physical volume that a volume lies on is still the
// device that it was.
func (h *Handler) whole(m *mapped) bool {
	for device, since := range m.on {
		if p := h.pvs[device]; p == nil || p.entry.Since != since {
			return false
		}
	}
	return true
}

// numbers gives the device numbers of physical volumes for a table, and keeps
// what was asked for.
type numbers struct {
	h        *Handler
	on       map[string]time.Duration
	gone     string // one that is not there any more
	readOnly bool   // one cannot be written
}

func (n *numbers) of(device string) string {
	pv := n.h.pvs[device]
	if pv == nil { // gone while another volume was mapped
		n.gone = device
		return ""
	}
	if ro, _ := pv.entry.Attr("ro"); ro == "1" {
		n.readOnly = true
	}
	if n.on == nil {
		n.on = map[string]time.Duration{}
	}
	n.on[device] = pv.entry.Since
	major, minor, _ := pv.entry.Devnum()
	return devmapper.Devnum{Major: major, Minor: minor}.String()
}
