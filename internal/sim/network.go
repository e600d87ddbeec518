package sim

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/netup/netuptest"
)

// networkProgram is the helper for the network in an image.
const networkProgram = "/usr/lib/firstlight/network"

// Network is the machine's cards, the wire, and who serves on it. The helper is
// the real one's core.
type Network struct {
	netuptest.Net
	NFS []*NFS
	NBD []*Exporter
	// Web has files that are disks; nil: the image has no program for them.
	Web  *WebDisks
	AoE  *AoE
	FCoE *FCoE
	// Kerberos has tickets for NFS; nil: the image has no keytab.
	Kerberos *Kerberos
	// NVMe are targets: exports are subsystems, and the name of a discovery
	// controller is that of nobody.
	NVMe []*Exporter
	// SSH are servers that give directories by SSH.
	SSH []*SSHServer

	serving     *serving           // sshfs
	remotes     map[string]*remote // programs that connect disks, by name
	ISCSI       []*Exporter        // iSCSI portals, with their targets as exports
	ISCSIFiles  map[string]string  // files of the image that are about iSCSI
	iscsidRuns  bool               // iscsid can be asked
	sessions    int                // of iSCSI
	controllers int                // of NVMe that were connected
	spaces      map[*Disk]*Disk    // their disks, and what they are here
	lines       []string
	ended       bool
	waiter      *operation // listens to the helper
}

// NFS is a filesystem of an NFS server.
type NFS struct {
	Addr, Path string
	Versions   []string          // that it knows, "4.2", "3"
	Security   string            // that it wants: "krb5p"; "" for none
	Files      map[string]string // what is in it
	// Away are times during which the server is not there, from and to; its
	// machine refuses connections then.
	Away [][2]time.Duration
}

func (s *NFS) away(now time.Duration) bool {
	return slices.ContainsFunc(s.Away, func(a [2]time.Duration) bool { return now >= a[0] && now < a[1] })
}

// startNetwork starts the helper for the network, if the machine has one.
func (m *Machine) startNetwork(p machine.Program) error {
	n := m.Network
	if n == nil {
		return fmt.Errorf("execute %s: %w", p.Path, fs.ErrNotExist)
	}
	n.ended = m.fault(HelperCrashes, p.Path) != nil
	n.Schedule, n.Now = m.At, m.Now
	n.Report = func(r netreport.Report) {
		n.lines = append(n.lines, r.String())
		n.wake(m)
	}
	n.Write = func(name, text string) error { return m.WriteFile(name, []byte(text), 0o644) }
	if !n.ended {
		n.Start(string(p.Input))
	}
	return nil
}

// wake lets who listens to the helper go on.
func (n *Network) wake(m *Machine) {
	if o := n.waiter; o != nil && !o.woken {
		o.woken = true
		m.At(m.now, o.step)
	}
}

// listenNetwork hears the helper for the network.
func (m *Machine) listenNetwork() (machine.Said, error) {
	n := m.Network
	if len(n.lines) == 0 && !n.ended {
		n.waiter = m.current
		m.sleep(-1)
		n.waiter = nil
	}
	said := machine.Said{Lines: n.lines, Ended: n.ended}
	if n.ended {
		said.Code = 128 + 11
	}
	n.lines = nil
	return said, nil
}

// mountNFS is mount(2) of a filesystem of a server.
func (m *Machine) mountNFS(mt machine.Mount) error {
	_, dir, _ := strings.Cut(mt.Source, ":/")
	if m.Network == nil {
		return unix.ENETUNREACH
	}
	n := m.Network
	server, version := "", "" // the kernel looks no name up
	for o := range strings.SplitSeq(mt.Data, ",") {
		if v, ok := strings.CutPrefix(o, "addr="); ok {
			server = v
		} else if v, ok := strings.CutPrefix(o, "vers="); ok {
			version = v
		}
	}
	addr, _ := netip.ParseAddr(server)
	i := slices.IndexFunc(n.NFS, func(s *NFS) bool { return s.Addr == server })
	switch {
	case !n.Leads(addr):
		return unix.ENETUNREACH
	case i < 0:
		m.sleep(3 * time.Second) // nobody answers who has the address
		return unix.EHOSTUNREACH
	}
	s := n.NFS[i]
	switch {
	case s.away(m.now):
		return unix.ECONNREFUSED
	case !slices.Contains(s.Versions, version):
		return unix.EPROTONOSUPPORT
	case "/"+dir != s.Path:
		return unix.ENOENT
	case !m.admits(s, mt.Data):
		return unix.EACCES
	}
	m.Mounts = append(m.Mounts, mt)
	m.mounted[mt.Target] = mount{content: &Disk{Files: s.Files}, whole: true}
	m.tellMounts()
	return nil
}
