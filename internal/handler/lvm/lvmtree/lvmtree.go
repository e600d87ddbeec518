// Package lvmtree activates logical volumes that are made of other volumes, by
// Firstlight itself or by LVM's own tool. It is in the full /init alone.
package lvmtree

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/handler/lvm"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/machine"
)

// Kinds are those that package lvm is to be given.
func Kinds() *lvm.Kinds {
	return lvm.Kinds{Tree: (*lvmmeta.Group).Tree, Activate: activate, Tool: tool}.Complete()
}

// activate makes the devices of a tree.
func activate(m machine.Machine, tree *lvmmeta.Tree, id uint16) error {
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	err = devmapper.ActivateTree(mapper, tree.Nodes, id, func(node int, devs []devmapper.Devnum) error {
		for _, p := range tree.Pools {
			if p.Node == node {
				return pool(m, p, "/dev/dm-"+strconv.FormatUint(uint64(devs[p.Metadata].Minor), 10))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range tree.Pools {
		if err := healthy(mapper, tree.Nodes[p.Node], p); err != nil {
			return err
		}
	}
	return nil
}

// checker is the program that looks for damage in the metadata of a thin pool.
const checker = "/usr/sbin/thin_check"

// pool looks at the metadata of a thin pool before the pool is made. LVM has
// all of it checked each time; here that is done where the kernel asks for it.
func pool(m machine.Machine, p lvmmeta.Pool, node string) error {
	super, err := readSuper(m, node)
	if err != nil {
		return fmt.Errorf("thin pool %s: %w", p.Name, err)
	}
	if super.Transaction != p.Transaction {
		return fmt.Errorf("thin pool %s: its metadata is of transaction %d, the volume group's of %d: they do not belong together; repair the pool (lvconvert --repair) in a rescue system",
			p.Name, super.Transaction, p.Transaction)
	}
	if !super.NeedsCheck {
		return nil
	}
	if !m.HasProgram(checker) {
		return fmt.Errorf("thin pool %s: its metadata needs a check, and thin_check is not in this image: rebuild it with --feature lvm-tool, or run thin_check in a rescue system", p.Name)
	}
	exit, err := m.Run(machine.Program{Path: checker, Args: []string{"-q", "--clear-needs-check-flag", node}})
	if err != nil {
		return fmt.Errorf("thin pool %s: %w", p.Name, err)
	}
	if exit.Code != 0 {
		return fmt.Errorf("thin pool %s: thin_check found damage in its metadata (exit code %d): %s; repair the pool (lvconvert --repair) in a rescue system",
			p.Name, exit.Code, line(exit.Output))
	}
	return nil
}

func readSuper(m machine.Machine, node string) (lvmmeta.ThinSuper, error) {
	b, err := m.OpenBlock(node)
	if err != nil {
		return lvmmeta.ThinSuper{}, err
	}
	defer b.Close()
	buf := make([]byte, lvmmeta.ThinSuperSize)
	if _, err := b.ReadAt(buf, 0); err != nil && err != io.EOF {
		return lvmmeta.ThinSuper{}, fmt.Errorf("read its metadata: %w", err)
	}
	return lvmmeta.ParseThinSuper(buf)
}

// healthy says whether the kernel can use a pool, by the status of its target
// (Documentation/admin-guide/device-mapper/thin-provisioning.rst).
func healthy(mapper devmapper.Mapper, n devmapper.Node, p lvmmeta.Pool) error {
	list, err := mapper.Status(devmapper.ByUUID(n.UUID))
	if err != nil {
		return err
	}
	for _, t := range list {
		if f := strings.Fields(string(t.Params)); len(f) > 0 && (f[0] == "Fail" || f[0] == "Error") {
			return fmt.Errorf("thin pool %s: the kernel cannot read its metadata; repair the pool (lvconvert --repair) in a rescue system", p.Name)
		}
	}
	return nil
}

// program is LVM's tool.
const program = "/usr/sbin/lvm"

// settings are for a place without udevd and without a second process that
// could use the disks: the tool makes its own nodes, waits for nobody, and
// leaves nothing behind.
const settings = "activation{udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 retry_deactivation=0} " +
	"global{event_activation=0 use_lvmpolld=0} devices{obtain_device_list_from_udev=0 external_device_info_source=\"none\" hints=\"none\" scan_lvs=0} " +
	"backup{backup=0 archive=0} log{indent=0}"

// drivers are those that a volume may need which is left to the tool: it would
// have modprobe load them, which is not there.
var drivers = [...]string{"dm-mod", "dm-cache", "dm-cache-smq", "dm-writecache", "dm-integrity", "dm-raid", "raid1", "raid10", "raid456", "raid0",
	"dm-mirror", "dm-snapshot", "dm-thin-pool", "kvdo", "dm-vdo"}

// tool has LVM's own tool activate a volume.
func tool(m machine.Machine, volume string, degraded bool) error {
	if !m.HasProgram(program) {
		return errors.New("the image has no " + program)
	}
	for _, d := range drivers {
		if err := m.Load(d); err != nil && !errors.Is(err, machine.ErrNoModule) {
			return err
		}
	}
	mode := "complete"
	if degraded {
		mode = "degraded"
	}
	exit, err := m.Run(machine.Program{Path: program, Args: []string{"lvchange", "-ay", "-y", "-K", "--sysinit",
		"--activationmode", mode, "--config", settings, volume}})
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("lvm lvchange ended with exit code %d: %s", exit.Code, line(exit.Output))
	}
	return nil
}

// line makes one line of a program's output.
func line(output string) string {
	return strings.Join(strings.Fields(output), " ")
}
