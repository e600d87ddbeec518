package sim_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"firstlight/internal/sim"
)

// hibernatedIn is the firmware's variable in which systemd says where a system
// is hibernated.
func hibernatedIn(text string) map[string]string {
	value := "\x07\x00\x00\x00"
	for _, u := range utf16.Encode([]rune(text)) {
		value += string([]byte{byte(u), byte(u >> 8)})
	}
	return map[string]string{"/run/firstlight/efivars-HibernateLocation/HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67": value}
}

func location(uuid string, offset int) string {
	return `{"uuid":"` + uuid + `","offset":` + strconv.Itoa(offset) + `,"kernelVersion":"6.9","osReleaseId":"debian"}`
}

func TestHibernatedSystemThatTheFirmwareNames(t *testing.T) {
	for name, tt := range map[string]struct {
		cmdline, variable string
		swap              *sim.Disk
		from              string // "" for a system that starts afresh
		timers            bool
	}{
		"a swap area":                {"", location(swapUUID, 0), &sim.Disk{Content: sim.Swap(swapUUID, true)}, "/dev/vdb", false},
		"nothing in it":              {"", location(swapUUID, 0), &sim.Disk{Content: sim.Swap(swapUUID, false)}, "", false},
		"noresume":                   {"noresume", location(swapUUID, 0), &sim.Disk{Content: sim.Swap(swapUUID, true)}, "", false},
		"resume= is stronger":        {"resume=UUID=" + rootUUID, location(swapUUID, 0), &sim.Disk{Content: sim.Swap(swapUUID, true)}, "", false},
		"no variable":                {"", "", &sim.Disk{Content: sim.Swap(swapUUID, true)}, "", false},
		"not systemd's":              {"", "hello", &sim.Disk{Content: sim.Swap(swapUUID, true)}, "", false},
		"a device that is not there": {"", location(keyUUID, 0), &sim.Disk{Content: sim.Swap(swapUUID, true)}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := full("root=LABEL=root "+tt.cmdline, rootDisk(), tt.swap)
			m.Image.Features = []string{"resume", "resume-efi"}
			if tt.variable != "" {
				m.Files = hibernatedIn(tt.variable)
			}
			boot(t, m)
			if m.Resumed != tt.from {
				t.Errorf("resumed from %q; it said:\n%s", m.Resumed, m.SaidText())
			}
			if tt.from == "" {
				started(t, m, "/dev/vda")
			}
			if fired := m.Core.Stats().Fired > 0; fired != tt.timers {
				t.Errorf("timers fired: %v", fired)
			}
		})
	}
}

// Nothing is mounted before it is known whether a system is hibernated, and the
// one that is comes back.
func TestHibernateFamily(t *testing.T) {
	image := false
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		image = rng.IntN(2) == 0
		m := full("root=LABEL=root rd.shell=0", rootDisk(), &sim.Disk{Content: sim.Swap(swapUUID, image)})
		m.Image.Features = []string{"resume", "resume-efi"}
		m.Files = hibernatedIn(location(swapUUID, 0))
		return m
	}, func(m *sim.Machine) string {
		switch {
		case image && len(m.Mounts) > 0 && m.Resumed == "" && !strings.Contains(string(m.Journal), "no resume:") &&
			!strings.Contains(string(m.Journal), "did not take the image"):
			return "mounted, and there is an image"
		case image && m.Resumed != "" && len(m.Mounts) > 0:
			return "mounted before it was resumed"
		case m.Resumed == "" && m.Started == nil:
			return "neither resumed nor started"
		}
		return ""
	})
}
