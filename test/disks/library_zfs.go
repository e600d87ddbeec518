package disks

import (
	"fmt"

	"firstlight/test/guest/plan"
)

// Pool makes a ZFS pool.
type Pool struct {
	Name string
	// Devices are what zpool create is given: names of devices, and its own words
	// (mirror, raidz1, log …).
	Devices []string
	// HostID is who the machine is that makes it, 0 for nobody; where Open is
	// set it does not put the pool away.
	HostID uint32
	Open   bool
}

// zpoolWords are those of zpool create that are no devices.
var zpoolWords = map[string]bool{"mirror": true, "raidz1": true, "raidz2": true, "draid1:2d:4c:1s": true, "log": true, "cache": true, "spare": true}

func (s Pool) plan(p *planner) error {
	argv := []string{"zpool", "create", "-f", "-o", "ashift=12", "-o", "cachefile=none", "-O", "mountpoint=none", "-O", "canmount=off", "-O", "compression=lz4", s.Name}
	for _, d := range s.Devices {
		if !zpoolWords[d] {
			node, err := p.node(d)
			if err != nil {
				return err
			}
			d = node
		}
		argv = append(argv, d)
	}
	p.do("@echo", fmt.Sprint(s.HostID), "/sys/module/spl/parameters/spl_hostid")
	p.do(argv...)
	if s.Open {
		p.undo("zpool", "sync", s.Name)
	} else {
		p.undo("zpool", "export", s.Name)
	}
	return nil
}

// Dataset makes a filesystem in a pool and fills it.
type Dataset struct {
	Name       string   // with the pool
	Options    []string // of zfs create: "mountpoint=/"
	Passphrase string   // of an encrypted one whose key is asked for
	Key        string   // of one whose key is in KeyFile
	KeyFile    string
	Content    Content
}

func (s Dataset) plan(p *planner) error {
	argv := []string{"zfs", "create", "-u"}
	for _, o := range s.Options {
		argv = append(argv, "-o", o)
	}
	c := plan.Command{}
	switch {
	case s.Passphrase != "":
		argv = append(argv, "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=prompt", "-o", "pbkdf2iters=100000")
		c.Stdin = []byte(s.Passphrase + "\n")
	case s.Key != "":
		// It is read from standard input, and where it is later said afterwards.
		argv = append(argv, "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=prompt")
		c.Stdin = []byte(s.Key)
	}
	c.Argv = append(argv, s.Name)
	p.commands = append(p.commands, c)
	if s.Key != "" {
		p.do("zfs", "set", "keylocation=file://"+s.KeyFile, s.Name)
	}
	if s.Content.empty() {
		return nil
	}
	const dir = "/mnt/zfs"
	p.do("@mount", s.Name, dir, "zfs", "zfsutil")
	if err := p.fill(dir, s.Content); err != nil {
		return err
	}
	p.do("@umount", dir)
	return nil
}

// zfsPart is a partition for ZFS on a disk, all of it.
func zfsPart(on string) GPT {
	return GPT{On: on, Parts: []Part{{Name: on + "z", Type: "6A898CC3-1DD2-11B2-99A6-080020736631"}}}
}

// zroot are the steps of a small root in a pool on partitions of disks.
func zroot(pool Pool, disks []string, root Dataset) []Step {
	var steps []Step
	for _, d := range disks {
		steps = append(steps, zfsPart(d))
	}
	top := Dataset{Name: pool.Name + "/ROOT", Options: []string{"mountpoint=none", "canmount=off"}}
	root.Name = pool.Name + "/ROOT/fl"
	if root.Options == nil {
		root.Options = []string{"mountpoint=/", "canmount=noauto"}
	}
	if root.Content.empty() {
		root.Content = tiny
	}
	return append(steps, pool, top, root)
}

// zpoolOn is a pool with a small root on several disks.
func zpoolOn(name string, disks []string, devices ...string) Layout {
	return Layout{Name: name, ZFS: true, Disks: blank(128, disks...), Steps: zroot(Pool{Name: poolName(name), Devices: devices}, disks, Dataset{})}
}

// poolName is what the pool of a layout is called: no two may be in one guest.
func poolName(layout string) string { return "p" + layout[len("zfs-"):] }

// PoolName is what the pool of a layout is called.
func (l Layout) PoolName() string { return poolName(l.Name) }

// RawKey is the key of the dataset that has a file for it.
const RawKey = "0123456789abcdef\x00\x01\n\xff456789abcdef"

// ZFSKeyFile is where that file is.
const ZFSKeyFile = "/etc/keys/zfs.key"

// Roots on ZFS.
var (
	ZFSPlain  = withBootfs(zpoolOn("zfs-plain", []string{"d0"}, "d0z"))
	ZFSMirror = zpoolOn("zfs-mirror", []string{"d0", "d1"}, "mirror", "d0z", "d1z")
	ZFSRAIDZ  = zpoolOn("zfs-raidz", []string{"d0", "d1", "d2"}, "raidz1", "d0z", "d1z", "d2z")
	ZFSStripe = zpoolOn("zfs-stripe", []string{"d0", "d1"}, "d0z", "d1z")
	ZFSLog    = zpoolOn("zfs-log", []string{"d0", "d1"}, "d0z", "log", "d1z")
	// ZFSCrypt is opened by a passphrase, ZFSKey by a file of the image.
	ZFSCrypt = Layout{Name: "zfs-crypt", ZFS: true, Disks: one(128), Steps: zroot(Pool{Name: "pcrypt", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{Passphrase: Passphrase})}
	ZFSKey   = Layout{Name: "zfs-key", ZFS: true, Disks: one(128), Steps: zroot(Pool{Name: "pkey", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{Key: RawKey, KeyFile: ZFSKeyFile})}
	// ZFSOnLUKS has its pool in an encrypted volume.
	ZFSOnLUKS = Layout{Name: "zfs-luks", ZFS: true, Disks: one(160), Steps: append([]Step{
		LUKS{Name: "crypt", On: "d0", Version: 2, Passphrase: Passphrase, KDF: "cheap"}},
		zroot(Pool{Name: "pluks", Devices: []string{"crypt"}}, nil, Dataset{})...)}
	// ZFSForeign was used by another machine, and not put away.
	ZFSForeign = Layout{Name: "zfs-foreign", ZFS: true, Disks: one(128),
		Steps: zroot(Pool{Name: "pforeign", Devices: []string{"d0z"}, HostID: 0x00bab10c, Open: true}, []string{"d0"}, Dataset{})}
	// ZFSTree has datasets below the root, a snapshot of all, and one with a
	// mountpoint that fstab is to say.
	ZFSTree = Layout{Name: "zfs-tree", ZFS: true, Disks: one(128), Steps: append(zroot(Pool{Name: "ptree", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{}),
		Dataset{Name: "ptree/ROOT/fl/home", Options: []string{"mountpoint=/home"}, Content: Content{Files: []File{{Path: "here", Data: "1"}}}},
		Dataset{Name: "ptree/ROOT/fl/off", Options: []string{"mountpoint=/var", "canmount=off"}},
		Dataset{Name: "ptree/ROOT/fl/old", Options: []string{"mountpoint=legacy"}},
		Tool{Argv: []string{"zfs", "snapshot", "-r", "ptree/ROOT/fl@before"}})}
	// ZFSTwice has a copy of its disk.
	ZFSTwice = Layout{Name: "zfs-twice", ZFS: true, Disks: blank(128, "d0", "e0"),
		Steps: append(zroot(Pool{Name: "ptwice", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{}),
			Tool{Argv: []string{"zpool", "sync", "ptwice"}}, Tool{Argv: []string{"@copy", "{d0}", "{e0}"}})}
)

func withBootfs(l Layout) Layout {
	pool := l.PoolName()
	l.Steps = append(l.Steps, Tool{Argv: []string{"zpool", "set", "bootfs=" + pool + "/ROOT/fl", pool}})
	return l
}

// ZFS are the layouts with a small root.
var ZFS = []Layout{ZFSPlain, ZFSMirror, ZFSRAIDZ, ZFSStripe, ZFSLog, ZFSCrypt, ZFSKey, ZFSOnLUKS, ZFSForeign, ZFSTree, ZFSTwice, ZFSDraid, ZFSSplit, ZFSCheckpoint}
