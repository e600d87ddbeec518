package sim_test

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/sim"
	"firstlight/internal/uki/measure"
)

// stubMeasured is the firmware's variable in which systemd-stub says where it has
// measured the image.
func stubMeasured(register string) map[string]string {
	text := "\x06\x00\x00\x00"
	for _, c := range register + "\x00" {
		text += string([]byte{byte(c), 0})
	}
	return map[string]string{"/run/firstlight/efivars-StubPcrKernelImage/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f": text}
}

// measuredBoot is a machine with a TPM whose image is part of a unified one.
func measuredBoot(files map[string]string, chip *sim.TPM) *sim.Machine {
	m := full("rd.shell=0 rd.emergency=poweroff rd.info root=UUID="+rootUUID, &sim.Disk{Content: sim.Ext4(rootUUID, ""), Files: debian()})
	m.Image.Features = append(m.Image.Features, "uki")
	m.Files, m.Chip = files, chip
	return m
}

// PCR 11 is what systemd-measure predicts for the point at which the real system is
// entered, in every bank, and the log of measurements explains it.
func TestPhasesAreMeasuredAsPredicted(t *testing.T) {
	m := measuredBoot(stubMeasured("11"), &sim.TPM{})
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
	banks, err := measure.FindBanks([]string{"sha1", "sha256"})
	if err != nil {
		t.Fatal(err)
	}
	want := measure.Values(measure.Image{}, banks, []measure.Path{"enter-initrd:leave-initrd"})
	if got := [][]byte{m.Chip.SHA1[11][:], m.Chip.SHA256[11][:]}; !slices.EqualFunc(want, got, func(v measure.Value, b []byte) bool { return string(v.Value) == string(b) }) {
		t.Errorf("PCR 11 is %x", got)
	}
	var words []string
	for record := range strings.SplitSeq(strings.TrimPrefix(m.Written("/run/log/systemd/tpm2-measure.log"), "\x1e"), "\x1e") {
		var r struct {
			PCR     int
			Digests []struct{ HashAlg, Digest string }
			Type    string `json:"content_type"`
			Content struct{ String, BootID, EventType string }
		}
		if err := json.Unmarshal([]byte(record), &r); err != nil {
			t.Fatalf("%q: %v", record, err)
		}
		first := measure.Values(measure.Image{}, banks, []measure.Path{measure.Path(r.Content.String)})
		if r.PCR != 11 || r.Type != "systemd" || r.Content.EventType != "phase" || len(r.Digests) != 2 || r.Digests[1].HashAlg != "sha256" || len(first) != 2 {
			t.Errorf("%+v", r)
		}
		if _, err := hex.DecodeString(r.Digests[0].Digest); err != nil || len(r.Digests[0].Digest) != 40 {
			t.Errorf("%+v", r)
		}
		words = append(words, r.Content.String)
	}
	if !slices.Equal(words, []string{"enter-initrd", "leave-initrd"}) {
		t.Errorf("the log has %q", words)
	}
}

// Where the stub has not measured, where it has measured elsewhere, and where an
// image is none of a unified one, nothing is measured. A TPM that fails does not keep
// the machine from starting, and it is said.
func TestPhasesThatAreNotMeasured(t *testing.T) {
	for name, tt := range map[string]struct {
		files  map[string]string
		chip   *sim.TPM
		omit   bool
		events []string
		says   string
	}{
		"no stub":             {nil, &sim.TPM{}, false, nil, ""},
		"another register":    {stubMeasured("12"), &sim.TPM{}, false, nil, "which is not 11"},
		"no feature":          {stubMeasured("11"), &sim.TPM{}, true, nil, ""},
		"the TPM has gone":    {stubMeasured("11"), nil, false, nil, `not told "enter-initrd"`},
		"the TPM refuses":     {stubMeasured("11"), &sim.TPM{Refuses: 0x101}, false, nil, "code 0x101"},
		"the driver is extra": {stubMeasured("11"), &sim.TPM{Driver: "tpm_tis"}, false, []string{"11 enter-initrd", "11 leave-initrd"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := measuredBoot(tt.files, tt.chip)
			if tt.omit {
				m.Image.Features = nil
			}
			boot(t, m)
			started(t, m, "/dev/vda")
			noTimer(t, m)
			said := m.SaidText()
			if tt.says == "" && strings.Contains(said, "TPM") || !strings.Contains(said, tt.says) {
				t.Errorf("it said:\n%s", said)
			}
			if tt.chip != nil && !slices.Equal(tt.chip.Events, tt.events) {
				t.Errorf("measured %q", tt.chip.Events)
			}
		})
	}
}

// Whatever fails and in whatever order things come: nothing is measured twice, and
// nothing but the first word before the second.
func TestPhaseFamily(t *testing.T) {
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		return measuredBoot(stubMeasured("11"), &sim.TPM{Refuses: [...]uint32{0, 0, 0x101}[rng.IntN(3)]})
	}, func(m *sim.Machine) string {
		want := []string{"11 enter-initrd", "11 leave-initrd"}
		if e := m.Chip.Events; !slices.Equal(e, want[:len(e)]) {
			return "measured " + strings.Join(e, ", ")
		}
		if len(m.Chip.Events) == 1 && m.Started != nil {
			return "the initramfs was left, and the TPM does not know"
		}
		return ""
	})
}
