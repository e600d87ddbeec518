package sim

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
)

// Share is a directory of the machine's host.
type Share struct {
	FSType string // virtiofs or 9p
	Files  map[string]string
	up     bool
}

// ShareUp announces the device by which a directory of the host is offered; from
// then on it can be mounted.
func (m *Machine) ShareUp(tag string) {
	m.Shares[tag].up = true
	m.Attach(&Device{Subsystem: "virtio", Name: "virtio-" + tag, Modalias: "virtio:d0000001Av00001AF4"})
}

// mountShare mounts a directory of the host, with the errors of fs/fuse/virtio_fs.c
// and net/9p/trans_virtio.c.
func (m *Machine) mountShare(mt machine.Mount) error {
	s := m.Shares[mt.Source]
	if s == nil || !s.up || s.FSType != mt.FSType {
		if mt.FSType == "9p" {
			return unix.ENOENT
		}
		return unix.EINVAL
	}
	m.Mounts = append(m.Mounts, mt)
	m.mounted[mt.Target] = mount{content: &Disk{Files: s.Files}, whole: true}
	m.tellMounts()
	return nil
}
