package sim_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/testtool"
)

func encryptedDisk(t *testing.T) *sim.Disk {
	t.Helper()
	testtool.Need(t, "cryptsetup")
	b, err := luksHeader()
	if err != nil {
		t.Fatal(err)
	}
	return &sim.Disk{Content: b, Inside: &sim.Disk{Content: sim.Ext4(rootUUID, "root"), Files: debian()}}
}

func types(text string, after time.Duration) func(machine.Prompt) (string, time.Duration, error) {
	return func(machine.Prompt) (string, time.Duration, error) { return text, after, nil }
}

func TestPassphraseTypedWrongThenRight(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID, encryptedDisk(t))
	n := 0
	m.Answer = func(machine.Prompt) (string, time.Duration, error) {
		if n++; n < 3 {
			return "wrong", 10 * time.Second, nil
		}
		return passphrase, 200 * time.Second, nil
	}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if len(m.Prompts) != 3 {
		t.Errorf("asked %d times", len(m.Prompts))
	}
	if strings.Contains(m.SaidText(), "cannot be started") {
		t.Error("the goal ran out of time while a person was typing")
	}
}

func TestPersonWhoRefusesIsToldAndNothingSpins(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID+" rd.shell=0 rd.emergency=poweroff", encryptedDisk(t))
	m.Answer = func(machine.Prompt) (string, time.Duration, error) { return "", time.Minute, machine.ErrCancelled }
	boot(t, m)
	if m.Stopped != machine.PowerOff || !strings.Contains(m.SaidText(), "no passphrase was given") {
		t.Errorf("stopped %q; said:\n%s", m.Stopped, m.SaidText())
	}
	if at := m.Now().Round(time.Second); at != 150*time.Second {
		t.Errorf("given up at %v, want 90 s of waiting besides the minute of the question", at)
	}
}

// A question that has a limit is withdrawn when it is over; one that is answered
// in time leaves no timer behind.
func TestQuestionWithALimit(t *testing.T) {
	for _, cmdline := range []string{"rd.luks.timeout=20", "rd.luks.options=timeout=20s", "rd.luks.timeout=100 rd.luks.options=" + luksUUID + "=timeout=20"} {
		cmdline = "root=LABEL=root rd.luks.uuid=" + luksUUID + " rd.shell=0 rd.emergency=poweroff " + cmdline
		m := machineWith(cmdline, encryptedDisk(t))
		boot(t, m)
		if m.Stopped != machine.PowerOff || len(m.Prompts) != 1 || !strings.Contains(m.SaidText(), "no passphrase was given in 20 s") {
			t.Errorf("%s: stopped %q, asked %d times; said:\n%s", cmdline, m.Stopped, len(m.Prompts), m.SaidText())
		}
		if at := m.Now().Round(time.Second); at != 110*time.Second {
			t.Errorf("%s: given up at %v, want 90 s of waiting besides the 20 s of the question", cmdline, at)
		}
		m = machineWith(cmdline, encryptedDisk(t))
		m.Answer = types(passphrase, 19*time.Second)
		boot(t, m)
		started(t, m, "/dev/dm-0")
		noTimer(t, m)
	}
}

// The options of crypttab(5) that say how a person is asked.
func TestOptionsOfTheQuestion(t *testing.T) {
	for _, tt := range []struct {
		options      string
		echo, silent bool
		kept         int
	}{
		{"luks", false, false, 1},
		{"password-echo=yes,password-cache=yes", true, false, 1},
		{"password-echo=no,password-cache=no", false, true, 0},
		{"password-cache=read-only", false, false, 0},
	} {
		m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID+" rd.luks.options="+tt.options, encryptedDisk(t))
		m.Answer = types(passphrase, time.Second)
		kept := 0
		m.Latency = func(string) time.Duration {
			kept = max(kept, len(m.Core.World().Secrets))
			return time.Millisecond
		}
		boot(t, m)
		started(t, m, "/dev/dm-0")
		if p := m.Prompts[0]; p.Echo != tt.echo || p.Silent != tt.silent || kept != tt.kept {
			t.Errorf("%s: %+v, %d passphrases kept", tt.options, p, kept)
		}
	}
}

// Who relies on a token is told that a person is asked instead.
func TestKeySourceThatIsNotThereYetIsTold(t *testing.T) {
	m := machineWith("root=LABEL=root", encryptedDisk(t))
	m.Image.Crypttab = "cr UUID=" + luksUUID + " none tpm2-device=auto,tpm2-pcrs=7\nold /dev/vdb none tcrypt,x-initrd.attach\nlater /dev/vdc none plain\n"
	m.Answer = types(passphrase, time.Second)
	boot(t, m)
	started(t, m, "/dev/dm-0")
	said := grep(m.Journal, "\tsay\t")
	if strings.Count(said, "tpm2-device= is not supported yet") != 1 || !strings.Contains(said, "old: a volume of the type tcrypt needs the feature cryptsetup-tool in the image") ||
		strings.Contains(said, "later") {
		t.Errorf("it said:\n%s", said)
	}
}

func TestSecretsAreWipedBeforeTheRealSystemStarts(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID, encryptedDisk(t))
	m.Answer = types(passphrase, time.Second)
	var kept []byte
	m.Latency = func(what string) time.Duration {
		if s := m.Core.World().Secrets; len(s) > 0 {
			kept = s[0]
		}
		return time.Millisecond
	}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if kept == nil || !bytes.Equal(kept, make([]byte, len(kept))) || m.Core.World().Secrets != nil {
		t.Errorf("%q is still in memory", kept)
	}
}

func TestUnpluggedDiskTakesItsQuestionAway(t *testing.T) {
	d := encryptedDisk(t)
	m := machineWith("root=UUID="+rootUUID+" rd.luks.uuid="+luksUUID, d)
	m.At(10*time.Second, func() {
		if len(m.Prompts) != 1 {
			t.Fatalf("%d questions", len(m.Prompts))
		}
		m.Unplug(d)
	})
	m.At(12*time.Second, func() {
		if m.Core.World().Goals.Next() == nil {
			t.Error("the clock still stands for a question that nobody can answer")
		}
		m.Plug(rootDisk())
	})
	boot(t, m)
	started(t, m, "/dev/vdb")
}

func TestKeyfileOnADiskThatComesLate(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID+" rd.luks.key=/key:UUID="+keyUUID, encryptedDisk(t))
	stick := &sim.Disk{Content: sim.Ext4(keyUUID, ""), Files: map[string]string{"/key": passphrase}}
	m.At(20*time.Second, func() { m.Plug(stick) })
	boot(t, m)
	started(t, m, "/dev/dm-0")
	if said := m.SaidText(); !strings.Contains(said, "Still waiting.") || !strings.Contains(said, keyUUID) || strings.Contains(said, "check root=") {
		t.Errorf("while it waited for the key it said:\n%s", said)
	}
	if stick.Written != "" {
		t.Errorf("the key's disk was written to by %s", stick.Written)
	}
}

func TestRootThatNamesTheEncryptedDevice(t *testing.T) {
	m := machineWith("root=UUID="+luksUUID+" rd.shell=0 panic=-1 rd.luks=0", encryptedDisk(t))
	boot(t, m)
	if said := m.SaidText(); !strings.Contains(said, "names the encrypted device") || !strings.Contains(said, "root=/dev/mapper/") {
		t.Error(said)
	}
	if m.Stopped != machine.Reboot {
		t.Errorf("panic=-1 asks for a reboot; stopped %q", m.Stopped)
	}
}

func TestWhileAPassphraseIsTriedThatIsWhatIsSaid(t *testing.T) {
	m := machineWith("root=LABEL=root rd.luks.uuid="+luksUUID, encryptedDisk(t))
	m.Answer = types(passphrase, time.Second)
	m.Latency = func(what string) time.Duration {
		if strings.HasPrefix(what, "unlock ") {
			return 30 * time.Second
		}
		return time.Millisecond
	}
	boot(t, m)
	started(t, m, "/dev/dm-0")
	said := m.SaidText()
	if !strings.Contains(said, "waiting for") || !strings.Contains(said, "Still waiting.") ||
		strings.Count(said, "the passphrase is being tried") < 2 || strings.Contains(said, "being asked") || strings.Contains(said, "check root=") {
		t.Errorf("it said:\n%s", said)
	}
}

func TestKeyFileNamedAfterTheVolume(t *testing.T) {
	for _, dir := range []string{"/etc", "/run"} {
		m := machineWith("root=LABEL=root rd.luks.name="+luksUUID+"=cr", encryptedDisk(t))
		m.Files = map[string]string{dir + "/cryptsetup-keys.d/cr.key": passphrase}
		boot(t, m)
		started(t, m, "/dev/dm-0")
		noTimer(t, m)
		if len(m.Prompts) != 0 || strings.Contains(m.SaidText(), "no such file") {
			t.Errorf("%s: asked %d times; it said:\n%s", dir, len(m.Prompts), m.SaidText())
		}
	}
}
