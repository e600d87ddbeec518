package udevd

import (
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/order"
)

// DatabaseDir is where udevd keeps what it knows, one file a device
// (systemd's sd-device): lines of S: links, L: link priority, I: time of the
// first event, E: properties, G: tags, Q: current tags.
const DatabaseDir = "/run/udev/data"

// Record is a block device's file there, and what is in it; ok is false for a
// device without a number.
func (e *Entry) Record() (name, text string, ok bool) {
	major, minor, ok := e.Devnum()
	if !ok {
		return "", "", false
	}
	var b strings.Builder
	for _, l := range e.Links() {
		fmt.Fprintf(&b, "S:%s\n", l)
	}
	if p := e.Outcome.LinkPriority; p != 0 {
		fmt.Fprintf(&b, "L:%d\n", p)
	}
	fmt.Fprintf(&b, "I:%d\n", e.Since.Microseconds())
	props := e.Properties()
	keys := make([]string, 0, len(props))
	for k := range props {
		if !kernelProperty(k) {
			keys = append(keys, k)
		}
	}
	order.Strings(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, "E:%s=%s\n", k, props[k])
	}
	for _, t := range e.Tags() {
		fmt.Fprintf(&b, "G:%s\n", t)
	}
	for _, t := range e.Tags() {
		fmt.Fprintf(&b, "Q:%s\n", t)
	}
	b.WriteString("V:1\n")
	return fmt.Sprintf("%s/b%d:%d", DatabaseDir, major, minor), b.String(), true
}

// kernelProperty holds for what the kernel tells udevd again at any time.
func kernelProperty(k string) bool {
	switch k {
	case "ACTION", "DEVPATH", "SUBSYSTEM", "DEVNAME", "DEVTYPE", "MAJOR", "MINOR", "SEQNUM", "MODALIAS",
		"DRIVER", "DISKSEQ", "PARTN", "PARTNAME", "PARTUUID", "SYNTH_UUID", "DM_COOKIE", "DISK_RO", "RESIZE":
		return true
	}
	return false
}
