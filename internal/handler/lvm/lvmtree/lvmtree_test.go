package lvmtree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/devmapper"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// guest is a machine whose device mapper makes whatever it is told, with the
// metadata of a thin pool on its first device.
type guest struct {
	machine.Machine
	super    []byte
	status   string
	programs []string
	exit     machine.Exit
	did      []string
	loaded   []string
}

func (g *guest) Mapper() (devmapper.Mapper, error) { return mapper{g: g}, nil }

type mapper struct {
	devmapper.Mapper
	g *guest
}

func (m mapper) Info(r devmapper.Ref) (devmapper.Info, error) { return devmapper.Info{}, unix.ENXIO }
func (m mapper) Create(name, _ string) (devmapper.Info, error) {
	m.g.did = append(m.g.did, "create "+name)
	return devmapper.Info{Name: name, Dev: devmapper.Devnum{Major: 253, Minor: uint32(len(m.g.did) - 1)}}, nil
}
func (m mapper) Load(devmapper.Ref, []devmapper.Target, devmapper.LoadOptions) (devmapper.Info, error) {
	return devmapper.Info{}, nil
}
func (m mapper) Resume(devmapper.Ref, devmapper.ResumeOptions) (devmapper.Info, error) {
	return devmapper.Info{}, nil
}
func (m mapper) Remove(r devmapper.Ref, _ devmapper.RemoveOptions) (devmapper.Info, error) {
	m.g.did = append(m.g.did, "remove "+r.Name)
	return devmapper.Info{}, nil
}
func (m mapper) Status(devmapper.Ref) ([]devmapper.Target, error) {
	return []devmapper.Target{{Params: []byte(m.g.status)}}, nil
}

type block struct{ *bytes.Reader }

func (block) Close() error    { return nil }
func (block) SectorSize() int { return 512 }

func (g *guest) OpenBlock(node string) (machine.Block, error) {
	if node != "/dev/dm-0" {
		return nil, fmt.Errorf("open %s: it is not the metadata", node)
	}
	return block{bytes.NewReader(g.super)}, nil
}
func (g *guest) Load(names ...string) error {
	g.loaded = append(g.loaded, names...)
	if names[0] == "kvdo" {
		return fmt.Errorf("kvdo: %w", machine.ErrNoModule)
	}
	return nil
}
func (g *guest) HasProgram(p string) bool { return slices.Contains(g.programs, p) }
func (g *guest) Run(p machine.Program) (machine.Exit, error) {
	g.did = append(g.did, strings.Join(append([]string{p.Path}, p.Args...), " "))
	return g.exit, nil
}

// superblock is one as the kernel writes it.
func superblock(transaction uint64, flags uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, lvmmeta.ThinSuperSize)
	le.PutUint32(b[4:], flags)
	le.PutUint64(b[32:], 27022010)
	le.PutUint32(b[40:], 2)
	le.PutUint64(b[48:], transaction)
	le.PutUint32(b, ^crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli))^160774)
	return b
}

func pools() *lvmmeta.Tree {
	return &lvmmeta.Tree{Nodes: []devmapper.Node{{Name: "vg-pool_tmeta", UUID: "a"}, {Name: "vg-pool-tpool", UUID: "b"}, {Name: "vg-thin", UUID: "c", Top: true}},
		Pools: []lvmmeta.Pool{{Name: "vg/pool", Node: 1, Metadata: 0, Transaction: 7}}}
}

func TestPoolsAreLookedAtBeforeTheyAreMade(t *testing.T) {
	broken := superblock(7, 0)
	broken[100] ^= 1
	const check = "/usr/sbin/thin_check -q --clear-needs-check-flag /dev/dm-0"
	for _, c := range []struct {
		name     string
		super    []byte
		programs []string
		exit     machine.Exit
		status   string
		err      string // "" for none
		ran      bool
	}{
		{name: "whole", super: superblock(7, 0), status: "7 11/1024 3/128 - rw discard_passdown queue_if_no_space - 1024"},
		{name: "other transaction", super: superblock(6, 0), err: "its metadata is of transaction 6, the volume group's of 7"},
		{name: "damaged", super: broken, err: "checksum"},
		{name: "never written", super: make([]byte, 4096), err: "no magic"},
		{name: "needs a check", super: superblock(7, 1), err: "thin_check is not in this image"},
		{name: "checked", super: superblock(7, 1), programs: []string{checker}, ran: true},
		{name: "checked and damaged", super: superblock(7, 1), programs: []string{checker}, exit: machine.Exit{Code: 1, Output: "bad\nbtree"}, err: "(exit code 1): bad btree", ran: true},
		{name: "failed in the kernel", super: superblock(7, 0), status: "Fail", err: "the kernel cannot read its metadata"},
	} {
		g := &guest{super: c.super, programs: c.programs, exit: c.exit, status: c.status}
		err := activate(g, pools(), 1)
		if (c.err == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "thin pool vg/pool")) {
			t.Errorf("%s: %v", c.name, err)
		}
		if slices.Contains(g.did, check) != c.ran {
			t.Errorf("%s: did %q", c.name, g.did)
		}
		if c.err != "" && c.status == "" && (slices.Contains(g.did, "create vg-pool-tpool") || !slices.Contains(g.did, "remove vg-pool_tmeta")) {
			t.Errorf("%s: did %q", c.name, g.did)
		}
	}
}

func TestToolIsAskedForOneVolume(t *testing.T) {
	g := &guest{}
	if err := tool(g, "vg/root", false); err == nil || len(g.did) != 0 {
		t.Errorf("without the tool: %v", err)
	}
	g.programs = []string{program}
	if err := tool(g, "vg/root", false); err != nil {
		t.Error(err)
	}
	if !slices.Contains(g.loaded, "dm-cache") || !slices.Contains(g.loaded, "dm-vdo") {
		t.Errorf("loaded %q", g.loaded)
	}
	if did := strings.Join(g.did, ""); !strings.HasPrefix(did, "/usr/sbin/lvm lvchange -ay -y -K --sysinit --activationmode complete --config ") || !strings.HasSuffix(did, " vg/root") {
		t.Error(did)
	}
	g.exit = machine.Exit{Code: 5, Output: "  Refusing\n  activation"}
	if err := tool(g, "vg/root", true); err == nil || !strings.Contains(err.Error(), "exit code 5: Refusing activation") || !strings.Contains(g.did[1], "--activationmode degraded") {
		t.Errorf("%v, %q", err, g.did)
	}
}
