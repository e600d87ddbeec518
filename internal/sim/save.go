package sim

import "bytes"

// WriteOnce implements machine.Files: the machine's store keeps what is
// written.
func (m *Machine) WriteOnce(p string, data []byte) error {
	if m.Saved == nil {
		m.Saved = map[string][]byte{}
	}
	m.Saved[p] = bytes.Clone(data)
	return nil
}
