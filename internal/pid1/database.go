package pid1

import (
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/order"
	"firstlight/internal/sysfile"
	"firstlight/internal/udevd"
)

// databaseDir is where udevd keeps what it knows, one file a device
// (systemd's sd-device): lines of S: links, L: link priority, I: time of the
// first event, E: properties, G: tags, Q: current tags.
const databaseDir = "/run/udev/data"

// writeDatabase leaves the block devices' records for the real system's
// udevd. Its rules import from them what only the first event of a
// device-mapper device can say; without it systemd waits for devices that are
// there.
func writeDatabase(m *udevd.Manager) {
	if err := sysfile.MkdirAll(databaseDir, 0o755); err != nil {
		kmsg(4, err.Error())
		return
	}
	for _, e := range m.Block() {
		major, minor, ok := e.Devnum()
		if !ok {
			continue
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
		name := fmt.Sprintf("%s/b%d:%d", databaseDir, major, minor)
		if err := sysfile.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			kmsg(4, err.Error())
		}
	}
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
