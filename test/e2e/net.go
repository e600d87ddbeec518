package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/disks"
	"firstlight/test/lan"
	"firstlight/test/vm"
)

// What the matrix says of networks is package lan's.
type (
	Net    = lan.Net
	Server = lan.Server
)

const (
	serverAddress = lan.Address
	exported      = lan.Exported
	sumOf         = lan.SumOf
	rootHashOf    = lan.RootHashOf
	treeOf        = lan.TreeOf
	netbootDir    = lan.NetbootDir
	kernelTarget  = lan.KernelTarget

	subsystem = lan.Subsystem
	hostNQN   = lan.HostNQN

	iscsiTarget    = lan.ISCSITarget
	iscsiInitiator = lan.ISCSIInitiator
	chapSecret     = lan.ISCSISecret
	chapSecretIn   = lan.ISCSISecretIn
	tgtUnit        = lan.ISCSIUnit
)

// Servers of disks, with the first one of a layout.

func nbdServer(l disks.Layout, general, more string) Server { return lan.NBD(l, general, more) }
func nvmeServer(l disks.Layout, ports ...int) Server        { return lan.NVMe(l, ports...) }
func iscsiServer(l disks.Layout, chap bool, ports ...string) Server {
	return lan.ISCSI(l, chap, ports...)
}

// connect starts the scenario's network, if it has one, and connects the
// machine to it.
func (s Scenario) connect(ctx context.Context, r *Runner, m *vm.Machine, dir string) (*lan.Network, error) {
	if s.Net == nil {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	sums, wire := map[string]string{}, *s.Net
	if wire.Netboot && s.Unified != nil {
		wire.Server.Copies = map[string]string{netbootDir + "/boot.efi": m.Kernel}
		m.Kernel = ""
	} else if wire.Netboot {
		wire.Server.Copies = map[string]string{netbootDir + "/vmlinuz": m.Kernel, netbootDir + "/initrd.img": m.Initrd}
		wire.Server.Files = map[string]string{netbootDir + "/boot.ipxe": "#!ipxe\nkernel http://" + serverAddress + "/vmlinuz initrd=initrd.img " + m.Append +
			"\ninitrd http://" + serverAddress + "/initrd.img\nboot\n"}
		m.Kernel, m.Initrd, m.Append = "", "", ""
	}
	w, nics, err := wire.Start(ctx, r.Made, dir, sums)
	if err != nil {
		return nil, err
	}
	m.NICs = nics
	if s.Net.Table != nil {
		m.ACPI = filepath.Join(dir, "table")
		if err := os.WriteFile(m.ACPI, s.Net.Table, 0o644); err != nil {
			w.Close()
			return nil, err
		}
	}
	for file, sum := range sums {
		m.Append = strings.ReplaceAll(m.Append, sumOf+file, sum)
	}
	return w, nil
}
