package disks

import "path"

// Forms of a root: live media whose changes are kept, or whose root is made of
// several images.

// images writes a disc with several images, each a squashfs or, by its name, an
// erofs, and other files.
type images struct {
	On, Label string
	Images    []imageOf
	Files     []File
}

// imageOf is one of them.
type imageOf struct {
	Path    string // on the disc
	Content Content
}

func (s images) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	const tree, top, iso = "/tmp/images-root", "/tmp/images-disc", "/tmp/images.iso"
	if err := p.fill(top, Content{Files: append([]File{{Path: "live", Dir: true}, {Path: "casper", Dir: true}, {Path: "LiveOS", Dir: true}}, s.Files...)}); err != nil {
		return err
	}
	for _, i := range s.Images {
		p.do("@mkdir", tree)
		if err := p.fill(tree, i.Content); err != nil {
			return err
		}
		if path.Ext(i.Path) == ".erofs" {
			p.do("mkfs.erofs", "-T", "0", "-U", p.layout.UUID(i.Path), top+i.Path, tree)
			p.do("@remove", tree)
			continue
		}
		p.do("mksquashfs", tree, top+i.Path, "-noappend", "-quiet", "-no-progress", "-all-time", "0", "-mkfs-time", "0")
		p.do("@remove", tree)
	}
	p.do("genisoimage", "-quiet", "-R", "-V", s.Label, "-o", iso, top)
	p.do("@copy", iso, node)
	p.do("@remove", top)
	p.do("@remove", iso)
	return nil
}

// The root of LiveLayers is two images, of which the upper one has /usr and with
// it the init. LiveCasper is the same as Ubuntu's media have it.
var (
	LiveLayers = Layout{Name: "live-layers", Disks: one(32), Steps: []Step{
		images{On: "d0", Label: "DEBIAN", Images: []imageOf{
			{"/live/base.squashfs", Content{Tree: "tiny", Without: "usr"}}, {"/live/extra.squashfs", Content{Tree: "tiny", Only: "usr"}}},
			Files: []File{{Path: "live/filesystem.module", Data: "base.squashfs\nextra.squashfs\n"}}},
	}}
	LiveCasper = Layout{Name: "live-casper", Disks: one(32), Steps: []Step{
		images{On: "d0", Label: "UBUNTU", Images: []imageOf{
			{"/casper/minimal.squashfs", Content{Tree: "tiny", Without: "usr"}}, {"/casper/minimal.standard.squashfs", Content{Tree: "tiny", Only: "usr"}}},
			Files: []File{{Path: ".disk/casper-uuid-generic", Data: CasperUUID + "\n"}}},
	}}
)

// CasperUUID is that of the medium.
const CasperUUID = "5a1f0e53-0001-4002-8003-aabbccddeeff"

// keeper is a disk of its own on which changes of a live root are kept.
func keeper(name, label string, files ...File) Layout {
	return Layout{Name: name, Disks: blank(64, "c0"), Steps: []Step{FS{On: "c0", Type: "ext4", Label: label, Content: Content{Files: files}}}}
}

// Keep keeps everything, KeepFilled has kept something already, KeepParts some directories in each way that there is,
// KeepCasper what Ubuntu keeps. In KeepLUKS a passphrase comes first, and
// KeepFile is a stick with a file in which everything is kept.
var (
	Keep       = keeper("keep", "persistence", File{Path: "persistence.conf", Data: "/ union\n"})
	KeepFilled = keeper("keep-filled", "persistence", File{Path: "persistence.conf", Data: "/ union\n"}, File{Path: "rw/etc/kept", Data: "kept\n"})
	KeepParts  = keeper("keep-parts", "persistence", File{Path: "persistence.conf", Data: "# some\n/home\n/etc union,source=config\n/mnt link,source=links\n"},
		File{Path: "links/deep/file", Data: "kept\n"})
	KeepCasper = keeper("keep-casper", "casper-rw", File{Path: "upper", Dir: true})
	KeepLUKS   = Layout{Name: "keep-luks", Disks: blank(64, "c0"), Steps: []Step{
		GPT{On: "c0", Parts: []Part{{Name: "part", Label: "persistence"}}},
		LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Label: "persistence", Content: Content{Files: []File{{Path: "persistence.conf", Data: "/ union\n"}}}},
	}}
	KeepFile = Layout{Name: "keep-file", Disks: blank(64, "c0"), Steps: []Step{
		FS{On: "c0", Type: "ext4", Label: "stick", Content: Content{Files: []File{{Path: "keep", Dir: true}}}},
		inFile{On: "c0", Path: "keep/persistence", Content: Content{Files: []File{{Path: "persistence.conf", Data: "/ union\n"}}}},
	}}
)

// inFile writes an ext4 as a file into the ext4 On.
type inFile struct {
	On, Path string
	Content  Content
}

func (s inFile) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	const tree, image = "/tmp/in-file", "/tmp/in-file.img"
	p.do("@mkdir", tree)
	if err := p.fill(tree, s.Content); err != nil {
		return err
	}
	uuid := p.layout.UUID(s.Path)
	p.do("mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-E", "hash_seed="+uuid+",lazy_itable_init=0,lazy_journal_init=0", "-d", tree, image, "24M")
	p.do("debugfs", "-w", "-R", "write "+image+" "+s.Path, node)
	p.do("@remove", tree)
	p.do("@remove", image)
	return nil
}

// Scratch is an empty disk, for changes that are encrypted. OverlayConf is a
// root that says itself that it is to be covered, with dracut's table of mounts
// for the image beside it, and Extra what such a table names.
var (
	Scratch     = Layout{Name: "scratch", Disks: blank(64, "c0")}
	OverlayConf = Layout{Name: "overlay-conf", Disks: one(96), Steps: []Step{
		FS{On: "d0", Type: "ext4", Label: "conf", Content: Content{Tree: "tiny", Files: []File{
			{Path: "etc/overlayroot.conf", Data: "overlayroot_cfgdisk=\"disabled\"\noverlayroot=\"\"\n"},
			{Path: "etc/overlayroot.local.conf", Data: "overlayroot=\"tmpfs:recurse=0\"\n"},
			{Path: "media", Dir: true}}}},
	}}
	Extra = Layout{Name: "extra", Disks: blank(64, "c0"), Steps: []Step{
		FS{On: "c0", Type: "ext4", Label: "extra", Content: Content{Files: []File{{Path: "in", Dir: true}}}},
	}}
)

// BtrfsSprout is a seed of btrfs and what grew from it: the seed's UUID is on
// its own disk alone, the root's on the other.
var BtrfsSprout = Layout{Name: "btrfs-sprout", Disks: blank(256, "d0", "d1"), Steps: []Step{
	FS{On: "d0", Type: "btrfs", Label: "seed", Content: tiny},
	Tool{Argv: []string{"btrfstune", "-S", "1", "{d0}"}},
	sprout{Seed: "d0", On: "d1"},
}}

// sprout adds a device to a mounted seed, which makes another filesystem of both.
type sprout struct{ Seed, On string }

func (s sprout) plan(p *planner) error {
	seed, err := p.node(s.Seed)
	if err != nil {
		return err
	}
	on, err := p.node(s.On)
	if err != nil {
		return err
	}
	const dir = "/mnt/sprout"
	p.do("@mount", seed, dir, "btrfs", "ro") // as every seed is
	p.do("btrfs", "device", "add", "-f", on, dir)
	p.do("@umount", dir)
	return nil
}

// ForceFsck is a root that asks to be checked.
var ForceFsck = Layout{Name: "force-fsck", Disks: one(96), Steps: []Step{
	FS{On: "d0", Type: "ext4", Label: "force", Content: Content{Tree: "tiny", Files: []File{{Path: "forcefsck", Data: "\n"}}}},
}}

// LiveErofs is dracut's medium with the other filesystem that is written once.
var LiveErofs = Layout{Name: "live-erofs", Disks: one(32), Steps: []Step{
	images{On: "d0", Label: "LIVE", Images: []imageOf{{"/LiveOS/root.erofs", tiny}}},
}}
