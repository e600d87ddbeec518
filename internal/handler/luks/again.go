package luks

import (
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/ueventd"
)

// Again opens a volume whose mapping was taken down because its disk went away,
// if the disk is back already. What was typed for it before is tried first,
// unless its options forbid that it is kept.
func (h *Handler) Again(_ *ueventd.Task, name, uuid string) {
	for _, v := range h.apart {
		if mangled, err := devmapper.Mangle(v.name); err == nil && mangled == name {
			h.w.Sched.Push(ueventd.Event{Queue: v.key, Kind: filter.Add, Value: v})
			return
		}
	}
	if !strings.HasPrefix(uuid, "CRYPT-LUKS") {
		return
	}
	for _, e := range h.w.Devices.Block() {
		id := e.Property("ID_FS_UUID")
		if e.Property("ID_FS_TYPE") == "crypto_LUKS" && strings.Contains(uuid, "-"+strings.ReplaceAll(id, "-", "")+"-") {
			h.w.Sched.Push(ueventd.Event{Queue: filter.LUKS + " " + id, Kind: filter.Add, Name: e.Devname()})
		}
	}
}
