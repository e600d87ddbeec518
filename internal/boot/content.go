package boot

import (
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// recordContent records what a block device was found to hold, where that is
// anything.
func recordContent(t *ueventd.Task, e *udevd.Entry, action string) {
	if e.Subsystem() != "block" || e.Devname() == "" || action == "remove" {
		return
	}
	content := e.Property("ID_FS_TYPE")
	if content == "" {
		content = e.Property("ID_PART_TABLE_TYPE")
	}
	name := e.Property("DM_NAME")
	if name == "" {
		name = e.Property("MD_NAME")
	}
	if content == "" && name == "" {
		return
	}
	fields := append(make([]string, 0, 4), "device="+e.Devname())
	for _, f := range [...][2]string{{"name=", name}, {"uuid=", e.Property("ID_FS_UUID")}, {"label=", e.Property("ID_FS_LABEL")}} {
		if f[1] != "" {
			fields = append(fields, f[0]+f[1])
		}
	}
	t.Record("content", content, fields...)
}

// recordRules records all that the rules made of a device, for the person who
// asks why it has this link and not that one.
func (c *Core) recordRules(t *ueventd.Task, e *udevd.Entry, action string) {
	if !c.opt.Config.Log.UdevDebug {
		return
	}
	props := e.Properties()
	var fields []string
	for _, k := range order.Keys(props) {
		fields = append(fields, k+"="+props[k])
	}
	for _, l := range e.Links() {
		fields = append(fields, "link=/dev/"+l)
	}
	t.Record("rules", action, fields...)
}

// noteGone remembers the last device with content that went away, until it
// returns.
func (c *Core) noteGone(e *udevd.Entry, action string) {
	if action == "remove" && e.Property("ID_FS_TYPE") != "" {
		c.gone, c.goneAt = e, c.sched.Now()
	} else if c.gone != nil && c.gone.Devname() == e.Devname() {
		c.gone = nil
	}
}
