package sim

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"firstlight/internal/machine"
)

// TPM is a machine's, with two banks of registers, as far as a boot uses one.
type TPM struct {
	SHA1   [24][20]byte
	SHA256 [24][32]byte
	// Events are the texts that were measured, "REGISTER TEXT".
	Events []string
	// Driver is the module that it is not there without, "" for none, and none any
	// more once it is loaded.
	Driver string
	// Refuses is the code that it answers every command with; 0: it does what it
	// is told.
	Refuses uint32
}

// Handover is for machine.HandoverOf.
func (m *Machine) Handover() machine.Handover { return m }

// TPM implements machine.Handover.
func (m *Machine) TPM(command []byte) ([]byte, error) {
	t := m.Chip
	if t == nil || t.Driver != "" {
		return nil, fmt.Errorf("open /dev/tpmrm0: %w", fs.ErrNotExist)
	}
	return t.answer(command), nil
}

// bring is the loading of a module.
func (t *TPM) bring(module string) {
	if t != nil && t.Driver == module {
		t.Driver = ""
	}
}

// answer is that to TPM2_PCR_Event with an empty password (TPM 2.0 Part 3, 22.3); to
// all else it is TPM_RC_COMMAND_CODE.
func (t *TPM) answer(c []byte) []byte {
	be := binary.BigEndian
	head := func(tag uint16, code uint32, body []byte) []byte {
		b := be.AppendUint16(nil, tag)
		b = be.AppendUint32(b, uint32(10+len(body)))
		return append(be.AppendUint32(b, code), body...)
	}
	const noSessions, sessions, unknown = 0x8001, 0x8002, 0x143
	if t.Refuses != 0 {
		return head(noSessions, t.Refuses, nil)
	}
	if len(c) < 29 || be.Uint16(c) != sessions || int(be.Uint32(c[2:])) != len(c) || be.Uint32(c[6:]) != 0x13c ||
		be.Uint32(c[14:]) != 9 || be.Uint32(c[18:]) != 0x40000009 || string(c[22:27]) != "\x00\x00\x00\x00\x00" || int(be.Uint16(c[27:])) != len(c)-29 {
		return head(noSessions, unknown, nil)
	}
	register, text := be.Uint32(c[10:]), c[29:]
	if register > 15 {
		return head(noSessions, unknown, nil)
	}
	one, two := sha1.Sum(text), sha256.Sum256(text)
	t.SHA1[register] = sha1.Sum(append(t.SHA1[register][:], one[:]...))
	t.SHA256[register] = sha256.Sum256(append(t.SHA256[register][:], two[:]...))
	t.Events = append(t.Events, fmt.Sprintf("%d %s", register, text))
	digests := be.AppendUint32(nil, 2)
	digests = append(be.AppendUint16(digests, 0x04), one[:]...)
	digests = append(be.AppendUint16(digests, 0x0b), two[:]...)
	body := append(be.AppendUint32(nil, uint32(len(digests))), digests...)
	return head(sessions, 0, append(body, 0, 0, 1, 0, 0))
}

// ListDir implements machine.Handover: the directories of Files.
func (m *Machine) ListDir(dir string) ([]string, error) {
	var names []string
	for p := range m.Files {
		if rest, ok := strings.CutPrefix(p, path.Clean(dir)+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("open %s: %w", dir, fs.ErrNotExist)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// SetEnv implements machine.Handover.
func (m *Machine) SetEnv(name, value string) error {
	if m.Env == nil {
		m.Env = map[string]string{}
	}
	m.Env[name] = value
	return nil
}

// SetSysctl implements machine.Handover: a parameter is there where Files have it.
func (m *Machine) SetSysctl(p, value string) error {
	if _, ok := m.Files["/proc/sys/"+p]; !ok {
		return fmt.Errorf("open /proc/sys/%s: %w", p, fs.ErrNotExist)
	}
	m.Files["/proc/sys/"+p] = value
	return nil
}

// Written returns what is in a file below /run, "" where there is none.
func (m *Machine) Written(p string) string { return m.written[p] }
