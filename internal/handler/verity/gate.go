package verity

import (
	"strings"

	"firstlight/internal/handler"
	"firstlight/internal/udevd"
)

// kind begins the UUID of every verified device.
const kind = "CRYPT-VERITY-"

// Gate holds back a device that has the name of a verified one and is another:
// where a root hash is given, nothing else is mounted in its place. It is in the
// small /init too, which sets up none.
func Gate(w *handler.World) func(e *udevd.Entry) (topic, why, options string) {
	v := &w.Config.Verity
	return func(e *udevd.Entry) (topic, why, options string) {
		name := e.Property("DM_NAME")
		asked := name == "root" && v.Root.Asked() || name == "usr" && v.Usr.Asked()
		if v.Enabled && asked && !strings.HasPrefix(e.Property("DM_UUID"), kind) {
			return udevd.TopicDevice, "a root hash is given, and this device of that name is not a verified one; give it another name", ""
		}
		return "", "", ""
	}
}
