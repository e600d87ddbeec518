package sim_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

// The families of docs/policies.md for what is encrypted, and for what is there
// twice: each is 1,000 machines, disturbed by faults that pass.

// twoHeaders is the start of a LUKS2 device, with both copies of its header.
var twoHeaders = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "luks2")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	img := filepath.Join(dir, "img")
	if err := os.WriteFile(img, make([]byte, 2<<20), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(testtool.Path("cryptsetup"), "luksFormat", "-q", "--type", "luks2", "--key-size", "256", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--sector-size", "512", "--luks2-metadata-size", "16k", "--luks2-keyslots-size", "256k", "--uuid", luksUUID, "--key-file", "-", img)
	cmd.Stdin = strings.NewReader(passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cryptsetup: %w: %s", err, out)
	}
	return os.ReadFile(img)
})

// copySize is the size of each copy of that header.
const copySize = 16 << 10

func bolted(t *testing.T) *sim.Disk {
	t.Helper()
	testtool.Need(t, "cryptsetup")
	b, err := twoHeaders()
	if err != nil {
		t.Fatal(err)
	}
	return &sim.Disk{Content: bytes.Clone(b), Inside: &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}}
}

// early says what was wrong with the disks before a mount: nothing may be
// written to what is encrypted.
func early(m *sim.Machine, d *sim.Disk, opens bool) string {
	if d.Written != "" {
		return "the encrypted device itself was written to by " + d.Written
	}
	for _, mt := range m.Mounts {
		if !opens && mt.Target == handler.SysRoot {
			return "it cannot be opened, and a root was mounted: " + mt.Source
		}
	}
	return ""
}

// calm says whether no disk and no operation answered with an error, and no disk
// went away: an error is said, and not tried again before something happens to
// the device, and what was mapped to a disk that went away cannot be read.
func calm(m *sim.Machine) bool {
	return !slices.ContainsFunc(m.Faults, func(f sim.Fault) bool {
		return f.Kind == sim.OpenFails || f.Kind == sim.ReadFails || f.Kind == sim.OperationFails || f.Kind == sim.DiskVanishes
	})
}

// A copy of the header is damaged, or both are: either copy opens the device, and
// without one it stays locked.
func TestHeaderFamily(t *testing.T) {
	var d *sim.Disk
	var damaged [2]bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d, damaged = bolted(t), [2]bool{rng.IntN(2) == 0, rng.IntN(2) == 0}
		for i, bad := range damaged {
			if bad {
				// Anywhere in the header or in what its JSON text takes, but in
				// the magic, by which the device is known at all.
				at := i*copySize + 8 + rng.IntN(4096-8)
				if at-i*copySize >= 480 && at-i*copySize < 512 {
					at -= 64 // the rest of the room for a checksum is not looked at
				}
				if rng.IntN(2) == 0 {
					at = i*copySize + 4096 + rng.IntN(copySize-4096)
				}
				d.Content[at] ^= byte(1 << rng.IntN(8))
			}
		}
		m := machineWith("root=LABEL=root rd.emergency=poweroff rd.luks.name="+luksUUID+"=cr", d)
		m.Answer = types(passphrase, time.Second)
		return m
	}, func(m *sim.Machine) string {
		both := damaged[0] && damaged[1]
		switch why := early(m, d, !both); {
		case why != "":
			return why
		case both && m.Started != nil:
			return "opened without a header"
		case !both && m.Started == nil && calm(m):
			return "not started"
		case damaged[0] && m.Started != nil && !strings.Contains(m.SaidText(), "cryptsetup repair"):
			return "the damage was not said"
		}
		return ""
	})
}

// The header is apart from the data: in a file of the image, in one of another
// disk that comes late or never, on a device of its own; and it may be another
// volume's.
func TestDetachedHeaderFamily(t *testing.T) {
	header := detachedHeader(t, "luks2")
	var d *sim.Disk
	var there, foreign bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d = noise()
		there, foreign = rng.IntN(4) > 0, rng.IntN(4) == 0
		id := luksUUID
		if foreign {
			id = keyUUID // asked for by a UUID that the header does not have
		}
		source := [...]string{"/etc/h.img", "/boot/h.img:UUID=" + keyUUID, "/dev/vdb"}[rng.IntN(3)]
		m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=40 rd.luks.name="+id+"=cr rd.luks.data="+id+"=/dev/vda rd.luks.options="+id+"=header="+source, d)
		var apart *sim.Disk
		switch source {
		case "/etc/h.img":
			m.Files = map[string]string{"/etc/h.img": string(header)}
			there = true
		case "/dev/vdb":
			apart = &sim.Disk{Name: "vdb", Content: header}
		default:
			apart = &sim.Disk{Name: "vdb", Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/boot/h.img": string(header)}}
		}
		if apart != nil && there {
			m.At(time.Duration(rng.Int64N(int64(20*time.Second))), func() { m.Plug(apart) })
		}
		m.Answer = types(passphrase, time.Second)
		return m
	}, func(m *sim.Machine) string {
		opens := there && !foreign
		switch why := early(m, d, opens); {
		case why != "":
			return why
		case !opens && m.Started != nil:
			return fmt.Sprintf("started; header there %v, another's %v", there, foreign)
		case opens && m.Started == nil && calm(m):
			return "not started"
		}
		return ""
	})
}

// The key is a file of a disk that comes late or never, or is another's; after
// keyfile-timeout= a person is asked, who may be gone.
func TestKeyFileFamily(t *testing.T) {
	var d, stick *sim.Disk
	var comes, right, person bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d = bolted(t)
		comes, right, person = rng.IntN(3) > 0, rng.IntN(3) > 0, rng.IntN(3) > 0
		key := passphrase
		if !right {
			key = "the key of another door"
		}
		stick = &sim.Disk{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/key": key}}
		m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=200 rd.luks.name="+luksUUID+"=cr rd.luks.options=keyfile-timeout=30s rd.luks.key="+luksUUID+"=/key:UUID="+keyUUID, d)
		if comes {
			at, late := time.Duration(rng.Int64N(int64(10*time.Second))), stick
			m.At(at, func() { m.Plug(late) })
		}
		if person {
			m.Answer = types(passphrase, time.Second)
		}
		return m
	}, func(m *sim.Machine) string {
		opens := comes && right || person
		switch why := early(m, d, opens); {
		case why != "":
			return why
		case stick.Written != "":
			return "the disk of the key was written to by " + stick.Written
		case opens && m.Started == nil && calm(m):
			return "not started"
		case !opens && m.Started != nil:
			return "opened without a key"
		case !person && len(m.Prompts) > 0 && comes && right && len(m.Faults) == 0:
			return "a person was asked, and the key was there"
		}
		return ""
	})
}

// Passphrases are mistyped: as often as tries= allows, and once more.
func TestPassphraseFamily(t *testing.T) {
	var d *sim.Disk
	var wrong, tries, typed int
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		d, typed = bolted(t), 0
		wrong, tries = rng.IntN(6), [...]int{-1, 0, 1, 2, 5}[rng.IntN(5)]
		options := ""
		if tries >= 0 {
			options = fmt.Sprintf(" rd.luks.options=tries=%d", tries)
		}
		if tries < 0 {
			tries = 3 // crypttab(5)
		}
		m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=40 rd.luks.name="+luksUUID+"=cr"+options, d)
		pause := time.Duration(rng.Int64N(int64(5 * time.Minute)))
		m.Answer = func(machine.Prompt) (string, time.Duration, error) {
			if typed++; typed <= wrong {
				return "mistyped", pause, nil
			}
			return passphrase, pause, nil
		}
		return m
	}, func(m *sim.Machine) string {
		opens := tries == 0 || wrong < tries
		if !calm(m) { // a device that comes back is asked for anew
			return early(m, d, true)
		}
		switch why := early(m, d, opens); {
		case why != "":
			return why
		case opens != (m.Started != nil):
			return fmt.Sprintf("%d of %d tries wrong: started %v", wrong, tries, m.Started != nil)
		case tries > 0 && typed > tries:
			return fmt.Sprintf("asked %d times of %d", typed, tries)
		}
		return ""
	})
}

// Several filesystems have the name of the root. Whoever has been there for a
// second counts: none is mounted as long as another one is.
func TestTwinsFamily(t *testing.T) {
	var twins []*sim.Disk
	var since map[*sim.Disk]time.Duration
	var why string
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		twins, since, why = nil, map[*sim.Disk]time.Duration{}, ""
		name := [...]string{"LABEL=root", "UUID=" + rootUUID, "/dev/disk/by-label/root"}[rng.IntN(3)]
		m := machineWith("rd.emergency=poweroff rd.timeout=40 root=" + name)
		for range 2 + rng.IntN(2) {
			d := rootDisk()
			twins = append(twins, d)
			at := time.Duration(0)
			if len(twins) > 1 && rng.IntN(2) == 0 {
				at = time.Duration(rng.Int64N(int64(3 * time.Second)))
			}
			if at == 0 {
				m.Plug(d)
			} else {
				m.At(at, func() { m.Plug(d) })
			}
			if rng.IntN(2) == 0 {
				m.At(at+5*time.Second+time.Duration(rng.Int64N(int64(20*time.Second))), func() { m.Unplug(d) })
			}
		}
		m.AfterStep = func() {
			for _, mt := range m.Mounts {
				if mt.Target != handler.SysRoot || why != "" {
					continue
				}
				n := 0
				for _, d := range twins {
					if at, ok := since[d]; ok && d.There() && m.Now()-at > time.Second {
						n++
					}
				}
				if n > 1 && len(m.Faults) == 0 {
					why = fmt.Sprintf("%s was mounted while %d had its name", mt.Source, n)
				}
			}
			if len(m.Mounts) > 0 {
				return
			}
			for _, d := range twins {
				if _, ok := since[d]; !ok && d.There() {
					since[d] = m.Now()
				} else if !d.There() {
					delete(since, d)
				}
			}
		}
		return m
	}, func(m *sim.Machine) string {
		there := 0
		for _, d := range twins {
			if d.There() {
				there++
			}
		}
		if m.Started == nil && there == 1 && len(m.Faults) == 0 {
			return "one is left, and it was not started"
		}
		if m.Started == nil && there > 1 && calm(m) && !strings.Contains(m.SaidText(), "devices have this name") {
			return "not said"
		}
		return why
	})
}
