package sim_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

// A line for a plain volume leaves out what nothing may be assumed of, or the
// device holds something: it stays locked, and is not written to.
func TestPlainFamily(t *testing.T) {
	var d *sim.Disk
	var opens bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d = noise()
		opens = true
		options := "plain"
		for _, o := range []string{"cipher=aes-xts-plain64", "size=256", "hash=sha256"} {
			if rng.IntN(6) == 0 {
				opens = false
				continue
			}
			options += "," + o
		}
		if rng.IntN(3) == 0 { // an old filesystem shows where the volume should be
			old := sim.Ext4(keyUUID, "old")
			d.Content = old
			if rng.IntN(2) == 0 {
				options += ",precheck=true"
			} else {
				opens = false
			}
		}
		m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=60", d)
		m.Image.Full, m.Image.Crypttab = true, "pl /dev/vda none "+options+"\n"
		m.Answer = types(passphrase, time.Second)
		return m
	}, func(m *sim.Machine) string {
		tried := slices.ContainsFunc(m.Finished, func(op string) bool { return strings.HasPrefix(op, "unlock /dev/vda ") })
		switch why := early(m, d, opens); {
		case why != "":
			return why
		case !opens && tried:
			return "it was tried to open it: " + m.Image.Crypttab
		case !opens && len(m.Prompts) > 0 && !strings.Contains(m.Image.Crypttab, "hash"):
			return "a passphrase was asked for that could be of no use"
		case opens && !tried && calm(m):
			return "it was not tried to open it: " + m.Image.Crypttab
		}
		return ""
	})
}
