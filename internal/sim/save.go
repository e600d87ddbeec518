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
	if p == "/dev/kmsg" {
		m.Saved[p] = append(append(m.Saved[p], data...), '\n')
		return nil
	}
	m.Saved[p] = bytes.Clone(data)
	return nil
}

// logAtEnd is where the kernel is told that its log goes to the store
// whenever the machine stops.
const logAtEnd = "/module/printk/parameters/always_kmsg_dump"

// storeFile is what the kernel says of its store.
func (m *Machine) storeFile(p string) (text string, ok bool) {
	switch {
	case !m.LogStore:
	case p == "/sys/module/pstore/parameters/backend":
		return "erst\n", true
	case p == "/sys"+logAtEnd && m.LogKept:
		return "Y\n", true
	case p == "/sys"+logAtEnd:
		return "N\n", true
	}
	return "", false
}
