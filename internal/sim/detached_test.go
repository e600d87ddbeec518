package sim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

// detachedHeader is a header that cryptsetup made for data elsewhere.
func detachedHeader(t *testing.T, version string) []byte {
	t.Helper()
	testtool.Need(t, "cryptsetup")
	dir := t.TempDir()
	data, header := filepath.Join(dir, "data"), filepath.Join(dir, "header")
	if err := os.WriteFile(data, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"luksFormat", "-q", "--type", version, "--key-size", "256", "--pbkdf-force-iterations", "1000",
		"--uuid", luksUUID, "--header", header, "--key-file", "-", data}
	if version == "luks2" {
		args = append(args, "--pbkdf", "pbkdf2")
	}
	cmd := exec.Command(testtool.Path("cryptsetup"), args...)
	cmd.Stdin = strings.NewReader(passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cryptsetup: %v: %s", err, out)
	}
	b, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noise is encrypted data without a header: nothing tells what it is.
func noise() *sim.Disk {
	return &sim.Disk{Content: []byte("no signature of anything"), Inside: &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}}
}

func TestHeaderApartFromTheDataInEverySpelling(t *testing.T) {
	for _, version := range []string{"luks1", "luks2"} {
		header := detachedHeader(t, version)
		stick := func() *sim.Disk {
			return &sim.Disk{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/boot/h.img": string(header)}}
		}
		raw := func() *sim.Disk { return &sim.Disk{Content: header} }
		image := map[string]string{"/etc/h.img": string(header)}
		for _, tt := range []struct {
			name, cmdline, crypttab string
			other                   *sim.Disk
			files                   map[string]string
		}{
			{"a file on another device, systemd's parameters", "rd.luks.name=" + luksUUID + "=cr rd.luks.data=" + luksUUID + "=/dev/vda rd.luks.options=" +
				luksUUID + "=header=/boot/h.img:UUID=" + keyUUID, "", stick(), nil},
			{"a file on another device, crypttab", "", "cr /dev/vda none luks,header=/boot/h.img:UUID=" + keyUUID, stick(), nil},
			{"a file of the image", "", "cr /dev/vda none luks,header=/etc/h.img", nil, image},
			{"a file of the image, rd.luks.header", "rd.luks.uuid=" + luksUUID + " rd.luks.header=" + luksUUID + "=/etc/h.img rd.luks.data=" + luksUUID + "=/dev/vda", "", nil, image},
			{"a device, crypttab", "", "cr /dev/vda none header=/dev/vdb", raw(), nil},
			{"a device, rd.luks.header", "rd.luks.uuid=" + luksUUID + " rd.luks.data=" + luksUUID + "=/dev/vda rd.luks.header=" + luksUUID + "=/dev/vdb", "", raw(), nil},
		} {
			t.Run(version+" "+tt.name, func(t *testing.T) {
				m := machineWith("root=LABEL=root "+tt.cmdline, noise())
				if tt.other != nil {
					m.Plug(tt.other)
				}
				m.Image.Crypttab, m.Files = tt.crypttab, tt.files
				m.Answer = types(passphrase, time.Second)
				boot(t, m)
				started(t, m, "/dev/dm-0")
				noTimer(t, m)
				if len(m.Prompts) != 1 {
					t.Errorf("asked %d times: %v", len(m.Prompts), m.Prompts)
				}
				if tt.other != nil && tt.other.Written != "" {
					t.Errorf("the header's disk was written to by %s", tt.other.Written)
				}
			})
		}
	}
}

func TestHeaderOnADiskThatComesLate(t *testing.T) {
	header := detachedHeader(t, "luks2")
	m := machineWith("root=LABEL=root", noise())
	m.Image.Crypttab = "cr /dev/vda none header=/h.img:UUID=" + keyUUID
	m.Answer = types(passphrase, time.Second)
	m.At(30*time.Second, func() {
		m.Plug(&sim.Disk{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/h.img": string(header)}})
	})
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if said := m.SaidText(); !strings.Contains(said, "header") || !strings.Contains(said, keyUUID) {
		t.Errorf("while it waited it said:\n%s", said)
	}
}

func TestHeaderAloneIsNotTakenForTheData(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID+" rd.shell=0 rd.emergency=poweroff", noise(), &sim.Disk{Content: detachedHeader(t, "luks2")})
	m.Answer = types(passphrase, time.Second)
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || len(m.Prompts) != 0 || !strings.Contains(said, "rd.luks.data="+luksUUID+"=DEVICE") {
		t.Errorf("asked %d times; it said:\n%s", len(m.Prompts), said)
	}
}

func TestHeaderOfAnotherVolumeIsRefused(t *testing.T) {
	const other = "99999999-5555-4555-8555-555555555555"
	m := machineWith("root=LABEL=root rd.luks.uuid="+other+" rd.luks.data="+other+"=/dev/vda rd.luks.header="+other+"=/h rd.shell=0 rd.emergency=poweroff", noise())
	m.Files = map[string]string{"/h": string(detachedHeader(t, "luks1"))}
	boot(t, m)
	if said := m.SaidText(); m.Started != nil || !strings.Contains(said, "the header has UUID "+luksUUID+", not "+other) {
		t.Errorf("it said:\n%s", said)
	}
}

func TestQuestionGoesWithTheDataOfADetachedHeaderAndComesBack(t *testing.T) {
	d := noise()
	m := machineWith("root=LABEL=root", d)
	m.Image.Crypttab, m.Files = "cr /dev/vda none header=/h", map[string]string{"/h": string(detachedHeader(t, "luks2"))}
	n := 0
	m.Answer = func(machine.Prompt) (string, time.Duration, error) {
		if n++; n == 1 {
			return "", -1, nil // nobody answers
		}
		return passphrase, time.Second, nil
	}
	m.At(10*time.Second, func() { m.Unplug(d) })
	m.At(12*time.Second, func() {
		if m.Core.World().Goals.Next() == nil {
			t.Error("the clock still stands for a question that nobody can answer")
		}
		again := noise()
		again.Name = "vda"
		m.Plug(again)
	})
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// The key of a LUKS2 volume goes through the kernel's keyring; a kernel without
// one gets it in the table.
func TestKernelWithoutAKeyring(t *testing.T) {
	for _, without := range []bool{false, true} {
		m := machineWith("root=LABEL=root rd.luks.data="+luksUUID+"=/dev/vda rd.luks.header="+luksUUID+"=/h rd.luks.name="+luksUUID+"=cr", noise())
		m.Files, m.NoKeyring = map[string]string{"/h": string(detachedHeader(t, "luks2"))}, without
		m.Answer = types(passphrase, time.Second)
		boot(t, m)
		started(t, m, "/dev/dm-0")
		if strings.Contains(m.SaidText(), "keyring") {
			t.Errorf("without a keyring: %v; it said:\n%s", without, m.SaidText())
		}
	}
}
