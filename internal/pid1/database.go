package pid1

import (
	"firstlight/internal/sysfile"
	"firstlight/internal/udevd"
)

// writeDatabase leaves the block devices' records for the real system's
// udevd. Its rules import from them what only the first event of a
// device-mapper device can say; without it systemd waits for devices that are
// there.
func writeDatabase(m *udevd.Manager) {
	if err := sysfile.MkdirAll(udevd.DatabaseDir, 0o755); err != nil {
		kmsg(4, err.Error())
		return
	}
	for _, e := range m.Block() {
		name, text, ok := e.Record()
		if !ok {
			continue
		}
		if err := sysfile.WriteFile(name, []byte(text), 0o644); err != nil {
			kmsg(4, err.Error())
		}
	}
}
