package sim_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

// Disks come, go and change while operations fail; at the end all of them are
// there and nothing fails any more. It boots then, every time.
func TestStormOfEventsAndFailuresStillBoots(t *testing.T) {
	seeds := uint64(120)
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 7))
		root := encryptedDisk(t)
		root.Inside.Files["/etc/fstab"] = "UUID=" + usrUUID + " /usr ext4 defaults 0 2\n"
		swap := &sim.Disk{Content: sim.Swap(swapUUID, false)}
		disks := []*sim.Disk{root, swap, {Content: sim.Ext4(usrUUID, ""), Files: map[string]string{"/x": ""}},
			{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/key": passphrase}}, {}}
		m := machineWith("root=UUID=" + rootUUID + " resume=UUID=" + swapUUID + " rd.luks.uuid=" + luksUUID +
			" rd.luks.key=/key:UUID=" + keyUUID)
		m.Seed = seed
		m.ShellFor = 10 * time.Second
		m.Answer = types(passphrase, 3*time.Second)
		calm := 4 * time.Second
		m.Fail = func(what string) error {
			if m.Now() < calm && rng.IntN(8) == 0 && !strings.HasPrefix(what, "look at the devices") {
				return errors.New("it failed")
			}
			return nil
		}
		plugged := map[*sim.Disk]bool{}
		for range 40 {
			d := disks[rng.IntN(len(disks))]
			m.At(time.Duration(rng.Int64N(int64(calm))), func() {
				switch {
				case m.Core == nil:
				case !plugged[d]:
					plugged[d] = true
					m.Plug(d)
				case rng.IntN(2) == 0 && len(m.Mounts) == 0:
					plugged[d] = false
					m.Unplug(d)
				default:
					m.Change(d)
				}
			})
		}
		m.At(calm, func() {
			for _, d := range disks {
				if !plugged[d] {
					m.Plug(d)
				} else {
					m.Change(d)
				}
			}
		})
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("seed %d: not started at %v; said:\n%s\n%s", seed, m.Now(), m.SaidText(), tail(m.Journal))
		}
		targets := map[string]int{}
		for _, mt := range m.Mounts {
			if !strings.HasPrefix(mt.Target, "/run/") {
				targets[mt.Target]++
			}
		}
		for target, n := range targets {
			if n != 1 {
				t.Errorf("seed %d: %s was mounted %d times", seed, target, n)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func tail(b []byte) string {
	if len(b) > 6000 {
		b = b[len(b)-6000:]
	}
	return string(b)
}
