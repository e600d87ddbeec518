package disks

import "strings"

// What some parameter of the command line is for.

// filled is a filesystem that another step has made, with what it holds. Options
// are those with which it is mounted, "{NAME}" in them the node of a device.
type filled struct {
	On, Type, Options string
	Content           Content
}

func (s filled) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	options := s.Options
	for name, n := range p.nodes {
		options = strings.ReplaceAll(options, "{"+name+"}", n)
	}
	const dir = "/mnt/fs"
	p.do("@mount", node, dir, s.Type, options)
	if err := p.fill(dir, s.Content); err != nil {
		return err
	}
	p.do("@umount", dir)
	return nil
}

// JournalExt4 and JournalXFS have their root on one disk and its journal on
// another one. The number that the first disk's superblock has for the second is
// another one wherever a disk comes before them.
var (
	JournalExt4 = Layout{Name: "journal-ext4", Disks: []Disk{{"d0", 96}, {"j0", 32}}, Steps: []Step{
		Tool{Argv: []string{"mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", "-U", UUID("journal-ext4", "j0"), "-L", "thelog", "{j0}"}},
		Tool{Argv: []string{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-U", FSUUID("journal-ext4", "d0"), "-L", "apart", "-J", "device={j0}", "{d0}"}},
		filled{On: "d0", Type: "ext4", Content: tiny},
	}}
	JournalXFS = Layout{Name: "journal-xfs", Disks: []Disk{{"d0", 320}, {"l0", 64}}, Steps: []Step{
		Tool{Argv: []string{"mkfs.xfs", "-q", "-f", "-m", "uuid=" + FSUUID("journal-xfs", "d0"), "-L", "apart", "-l", "logdev={l0}", "{d0}"}},
		filled{On: "d0", Type: "xfs", Content: tiny, Options: "logdev={l0}"},
	}}
)
