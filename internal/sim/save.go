package sim

import (
	"bytes"
	"fmt"
	"io/fs"
)

// WriteOnce implements machine.Files: the machine's store keeps what is
// written.
func (m *Machine) WriteOnce(p string, data []byte) error {
	if p == "/dev/pmsg0" && m.NoStore {
		return fmt.Errorf("write %s: %w", p, fs.ErrNotExist)
	}
	if m.Saved == nil {
		m.Saved = map[string][]byte{}
	}
	m.Saved[p] = bytes.Clone(data)
	return nil
}
