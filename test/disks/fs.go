package disks

import (
	"fmt"
	"slices"
	"strings"
)

func (s FS) plan(p *planner) error {
	nodes, err := p.all(append([]string{s.On}, s.More...))
	if err != nil {
		return err
	}
	uuid := s.UUID
	if uuid == "" {
		uuid = p.layout.FSUUID(s.On)
	}
	label := func(option string) []string {
		if s.Label == "" {
			return nil
		}
		return []string{option, s.Label}
	}
	first := nodes[0]
	var argv []string
	switch s.Type {
	case "ext2", "ext3", "ext4":
		// No directory index seeds or times of its own choice beyond the UUID.
		argv = append([]string{"mke2fs", "-q", "-F", "-t", s.Type, "-U", uuid, "-E", "hash_seed=" + uuid + ",lazy_itable_init=0,lazy_journal_init=0"}, label("-L")...)
	case "xfs":
		argv = append([]string{"mkfs.xfs", "-q", "-f", "-m", "uuid=" + uuid}, label("-L")...)
	case "btrfs":
		profile := s.Profile
		if profile == "" {
			profile = "single"
		}
		argv = append([]string{"mkfs.btrfs", "-q", "-f", "-U", uuid, "-d", profile, "-m", profile}, label("-L")...)
	case "vfat":
		argv = append([]string{"mkfs.vfat", "-i", strings.ReplaceAll(p.layout.VolumeID(s.On), "-", "")}, label("-n")...)
	case "squashfs", "erofs":
		return s.packed(p, first, uuid)
	default:
		return fmt.Errorf("no filesystem %q", s.Type)
	}
	p.do(append(append(argv, s.Options...), nodes...)...)
	if s.Content.empty() && s.Subvolume == "" {
		return nil
	}
	const dir = "/mnt/fs"
	for _, n := range nodes[1:] {
		p.do("btrfs", "device", "scan", n)
	}
	p.do("@mount", first, dir, s.Type)
	into := dir
	if s.Subvolume != "" {
		into = dir + "/" + s.Subvolume
		p.do("btrfs", "subvolume", "create", into)
	}
	if err := p.fill(into, s.Content); err != nil {
		return err
	}
	p.do("@umount", dir)
	return nil
}

// packed makes a filesystem that is written once, from a directory.
func (s FS) packed(p *planner, node, uuid string) error {
	const dir = "/tmp/pack"
	p.do("@mkdir", dir)
	if err := p.fill(dir, s.Content); err != nil {
		return err
	}
	if s.Type == "squashfs" {
		p.do(append([]string{"mksquashfs", dir, node, "-noappend", "-quiet", "-no-progress", "-all-time", "0", "-mkfs-time", "0"}, s.Options...)...)
	} else {
		p.do(append(append([]string{"mkfs.erofs", "-U", uuid, "-T", "0"}, s.Options...), node, dir)...)
	}
	p.do("@remove", dir)
	return nil
}

func (c Content) empty() bool { return c.Tree == "" && len(c.Files) == 0 }

// fill unpacks archives into a directory.
func (p *planner) fill(dir string, c Content) error {
	only, without := c.Only, c.Without
	if only == "" {
		only = "-"
	}
	if c.Tree != "" {
		tree, err := p.tree(c.Tree)
		if err != nil {
			return err
		}
		for _, tar := range tree {
			p.do("@untar", p.archive(tar), dir, only, without)
		}
	}
	if len(c.Files) > 0 {
		tar, err := archive(c.Files)
		if err != nil {
			return err
		}
		p.do("@untar", p.archive(tar), dir)
	}
	return nil
}

// archive returns what commands call an archive, adding it to those that the
// guest gets.
func (p *planner) archive(tar string) string {
	i := slices.Index(p.archives, tar)
	if i < 0 {
		i = len(p.archives)
		p.archives = append(p.archives, tar)
	}
	return fmt.Sprintf("{a%d}", i)
}
