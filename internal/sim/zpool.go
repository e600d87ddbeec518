package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/zfslabel"
)

// ZPool is what is in a ZFS pool. Its devices are disks with its labels.
type ZPool struct {
	Name     string
	GUID     uint64
	Bootfs   string
	Datasets []*Dataset // parents first
	// ByHand: a person has imported it before it is first asked for.
	ByHand bool

	imported *Imported
	keys     map[string]bool // encryption roots that are open
}

// Dataset is a filesystem in a pool.
type Dataset struct {
	Name       string // with the pool
	Mountpoint string
	Noauto     bool   // canmount is noauto
	Off        bool   // canmount is off
	KeyOf      string // its encryption root; "" is not encrypted
	Secret     string // of an encryption root: what opens it
	Location   string // of that: "prompt", "file:///…"
	Snapshots  []string
	Origin     string // the snapshot that it is a clone of
	Own        string // the property org.zol:mountpoint
	Files      map[string]string
}

// Imported is a pool that was imported.
type Imported struct {
	At       time.Duration
	Name     string
	Devices  []string // nodes
	ReadOnly bool
	Forced   bool
	Missing  int // devices that it has to do without
}

var zfsTools = map[string]bool{"/sbin/zpool": true, "/sbin/zfs": true, "/sbin/mount.zfs": true}

// zfs is ZFS's tools and what the kernel makes of their calls.
func (m *Machine) zfs(tool string, args []string, input []byte) machine.Exit {
	fail := func(format string, a ...any) machine.Exit {
		return machine.Exit{Code: 1, Output: fmt.Sprintf(format, a...) + "\n"}
	}
	if !slices.Contains(m.Loaded, "zfs") && !m.kmod.has("zfs") || m.fault(DriverMissing, "zfs") != nil {
		return fail("The ZFS modules are not loaded.")
	}
	if f := m.fault(OperationFails, tool+" "+strings.Join(args, " ")); f != nil {
		return fail("%v", f.err())
	}
	last := args[len(args)-1]
	name := last
	if tool == "mount.zfs" {
		name = args[len(args)-2]
	} else if args[0] == "clone" {
		name = args[len(args)-2]
	}
	if tool == "zpool" && args[0] == "import" {
		return m.importPool(args)
	}
	poolName, _, _ := strings.Cut(strings.ReplaceAll(name, "@", "/"), "/")
	i := slices.IndexFunc(m.ZPools, func(p *ZPool) bool { return p.imported != nil && p.Name == poolName })
	if i < 0 {
		return fail("cannot open '%s': no such pool", poolName)
	}
	p := m.ZPools[i]
	of, snap, isSnap := strings.Cut(name, "@")
	d := p.find(of)
	if tool == "zpool" && slices.Contains(args, "guid,readonly") {
		return machine.Exit{Output: fmt.Sprintf("%d\t%s\n", p.GUID, map[bool]string{true: "on", false: "off"}[p.imported.ReadOnly])}
	}
	if tool == "zpool" { // list -H -o bootfs
		if p.Bootfs == "" {
			return machine.Exit{Output: "-\n"}
		}
		return machine.Exit{Output: p.Bootfs + "\n"}
	}
	if d == nil || isSnap && !slices.Contains(d.Snapshots, snap) && args[0] != "snapshot" {
		return fail("cannot open '%s': dataset does not exist", name)
	}
	switch {
	case tool == "mount.zfs":
		return m.mountDataset(p, d, args, last)
	case args[0] == "list":
		return p.list(d, args)
	case args[0] == "get": // keylocation,keyformat
		return machine.Exit{Output: d.Location + "\npassphrase\n"}
	case args[0] == "load-key":
		return m.loadKey(p, d, slices.Contains(args, "prompt"), input)
	case p.imported.ReadOnly:
		return fail("cannot change '%s': pool is read-only", name)
	}
	m.writeTo(p, "ZFS, which was asked for "+args[0])
	switch args[0] {
	case "clone":
		c := &Dataset{Name: last, Mountpoint: "none", Noauto: true, KeyOf: d.KeyOf, Origin: name, Files: d.Files}
		for _, a := range args {
			if own, ok := strings.CutPrefix(a, "org.zol:mountpoint="); ok {
				c.Own = own
			}
		}
		if p.find(last) != nil {
			return fail("cannot create '%s': dataset already exists", last)
		}
		p.Datasets = append(p.Datasets, c)
	case "snapshot":
		d.Snapshots = append(d.Snapshots, snap)
	}
	return machine.Exit{}
}

func (p *ZPool) find(name string) *Dataset {
	for _, d := range p.Datasets {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// importPool is zpool import with devices and the number of a pool. What the real
// one refuses, and what nobody may ask of it, it refuses.
func (m *Machine) importPool(args []string) machine.Exit {
	refuse := func(format string, a ...any) machine.Exit {
		return machine.Exit{Code: 1, Output: "cannot import: " + fmt.Sprintf(format, a...) + "\n"}
	}
	guid, err := strconv.ParseUint(args[len(args)-1], 10, 64)
	if err != nil {
		return refuse("no such pool available")
	}
	i := slices.IndexFunc(m.ZPools, func(p *ZPool) bool { return p.GUID == guid })
	if i < 0 {
		return refuse("no such pool available")
	}
	p := m.ZPools[i]
	got := &Imported{At: m.now, Name: p.Name, ReadOnly: slices.Contains(args, "readonly=on"), Forced: slices.Contains(args, "-f")}
	var disks []*Disk
	var members []zfslabel.Member
	for i, a := range args {
		if a != "-d" {
			continue
		}
		node := args[i+1]
		if to, ok := m.Links()[node]; ok {
			node = "/dev/" + strings.TrimLeft(to, "./")
		}
		d := m.disks[node]
		if d == nil || m.readFails(d) {
			continue // as one that is not there
		}
		l, err := zfslabel.Read(reader{d}, uint64(d.size()))
		if err != nil || l.PoolGUID != guid {
			continue
		}
		if d.holder != "" {
			return refuse("%s is busy", node)
		}
		disks, members = append(disks, d), append(members, zfslabel.Member{Node: node, Label: l})
		got.Devices = append(got.Devices, node)
	}
	if len(members) == 0 {
		return refuse("no such pool available")
	}
	all := zfslabel.Assemble(members)
	got.Missing = len(all.Missing)
	switch {
	case len(all.Lacking)+len(all.Unknown) > 0:
		return refuse("one or more devices is currently unavailable")
	case len(all.LacksLog) > 0:
		return refuse("one or more log devices is missing, use '-m'")
	case all.Label.State == zfslabel.Active && all.Label.HostID != 0 && !got.Forced && m.Files["/etc/hostid"] != hostID(all.Label.HostID):
		return refuse("pool was previously in use from another system")
	case p.imported != nil:
		return refuse("a pool with that name already exists")
	}
	p.imported, p.keys = got, map[string]bool{}
	if p.ByHand {
		return refuse("a pool with that name already exists")
	}
	m.Imported = append(m.Imported, *got)
	for _, d := range disks {
		m.claim(d, "zfs")
		if !got.ReadOnly {
			m.wrote(d, d, "a pool that is imported")
			m.writeBelow(d, "a pool that is imported")
		}
	}
	return machine.Exit{}
}

// hostID is the content of /etc/hostid.
func hostID(v uint64) string {
	return string([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

// writeTo notes a write to a pool.
func (m *Machine) writeTo(p *ZPool, by string) {
	for _, node := range p.imported.Devices {
		m.Wrote(node, by)
	}
}

// list is zfs list: of filesystems at and below one, or of their snapshots.
func (p *ZPool) list(top *Dataset, args []string) machine.Exit {
	columns := args[slices.Index(args, "-o")+1]
	recursive, snapshots := slices.Contains(args, "-r"), slices.Contains(args, "snapshot")
	out := ""
	for _, d := range p.Datasets {
		if d != top && (!recursive || !strings.HasPrefix(d.Name, top.Name+"/")) {
			continue
		}
		if snapshots {
			for _, s := range d.Snapshots {
				out += d.Name + "@" + s + "\n"
			}
			continue
		}
		var row []string
		for c := range strings.SplitSeq(columns, ",") {
			row = append(row, p.property(d, c))
		}
		out += strings.Join(row, "\t") + "\n"
	}
	return machine.Exit{Output: out}
}

func (p *ZPool) property(d *Dataset, name string) string {
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	switch name {
	case "name":
		return d.Name
	case "mountpoint":
		return or(d.Mountpoint, "none")
	case "canmount":
		switch {
		case d.Off:
			return "off"
		case d.Noauto:
			return "noauto"
		}
		return "on"
	case "encryptionroot":
		return or(d.KeyOf, "-")
	case "keystatus":
		switch {
		case d.KeyOf == "":
			return "-"
		case p.keys[d.KeyOf]:
			return "available"
		}
		return "unavailable"
	case "keylocation":
		return or(d.Location, "none")
	case "keyformat":
		return "passphrase"
	case "origin":
		return or(d.Origin, "-")
	case "org.zol:mountpoint":
		return or(d.Own, "-")
	}
	return "-"
}

func (m *Machine) loadKey(p *ZPool, d *Dataset, prompt bool, input []byte) machine.Exit {
	given := strings.TrimSuffix(string(input), "\n")
	if !prompt {
		given = m.Files[strings.TrimPrefix(d.Location, "file://")]
	}
	if given == "" || given != d.Secret {
		return machine.Exit{Code: 255, Output: "Key load error: Incorrect key provided for '" + d.Name + "'.\n"}
	}
	p.keys[d.Name] = true
	return machine.Exit{}
}

// mountDataset is mount.zfs.
func (m *Machine) mountDataset(p *ZPool, d *Dataset, args []string, target string) machine.Exit {
	if d.KeyOf != "" && !p.keys[d.KeyOf] {
		return machine.Exit{Code: 32, Output: "filesystem '" + d.Name + "' cannot be mounted: encryption key not loaded\n"}
	}
	mt := machine.Mount{Source: args[len(args)-2], Target: target, FSType: "zfs"}
	if args[0] == "-o" {
		mt.Data = args[1]
	}
	if p.imported.ReadOnly && !slices.Contains(strings.Split(mt.Data, ","), "ro") {
		return machine.Exit{Code: 32, Output: "the pool is read-only\n"}
	}
	if !p.imported.ReadOnly {
		m.writeTo(p, "a dataset that is mounted")
	}
	m.Mounts = append(m.Mounts, mt)
	whole := true
	for _, node := range p.imported.Devices {
		whole = whole && m.disks[node] != nil
	}
	m.mounted[target] = mount{content: &Disk{Files: d.Files}, whole: whole}
	m.tellMounts()
	return machine.Exit{}
}
