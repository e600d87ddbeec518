package disks

// summed is a btrfs with another checksum than crc32c. It is filled without being
// mounted: the kernel that makes disks has no driver of the checksum.
type summed struct{ On, Sum string }

func (s summed) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	const tree = "/tmp/summed-root"
	p.do("@mkdir", tree)
	if err := p.fill(tree, tiny); err != nil {
		return err
	}
	p.do("mkfs.btrfs", "-q", "-U", p.layout.FSUUID(s.On), "--csum", s.Sum, "--rootdir", tree, node)
	p.do("@remove", tree)
	return nil
}

// Filesystems of btrfs whose checksum the kernel has to be given.
var (
	BtrfsXXHash = Layout{Name: "btrfs-xxhash", Disks: one(256), Steps: []Step{summed{On: "d0", Sum: "xxhash"}}}
	BtrfsBlake2 = Layout{Name: "btrfs-blake2", Disks: one(256), Steps: []Step{summed{On: "d0", Sum: "blake2"}}}
)
