package disks

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// Live media: a root in an image on a disc.

// disc writes a disc with an image on it, in which a whole root is.
type disc struct {
	On    string
	Label string
	Image string // where the image is on the disc
	// Nested: the image has an ext4 in it, LiveOS/rootfs.img, and not the root.
	Nested bool
	// Tree is the root; "" is the tiny one.
	Tree string
	// File is where on the ext4 On the disc is written as a file; "" is On
	// itself.
	File string
}

func (s disc) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	const tree, top, outer, iso = "/tmp/live-root", "/tmp/live-disc", "/tmp/live-outer", "/tmp/live.iso"
	p.do("@mkdir", tree)
	p.do("@mkdir", top+path.Dir(s.Image))
	if err := p.fill(tree, s.content()); err != nil {
		return err
	}
	packed := tree
	if s.Nested {
		uuid := p.layout.UUID("rootfs.img")
		p.do("@mkdir", outer+"/LiveOS")
		p.do("mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-E", "hash_seed="+uuid+",lazy_itable_init=0,lazy_journal_init=0", "-d", tree, outer+"/LiveOS/rootfs.img", "24M")
		packed = outer
	}
	argv := []string{"mksquashfs", packed, top + s.Image, "-noappend", "-quiet", "-no-progress", "-all-time", "0", "-mkfs-time", "0"}
	if s.Tree != "" { // an emulated machine takes minutes for what is smaller
		argv = append(argv, "-comp", "lz4")
	}
	p.do(argv...)
	p.do("genisoimage", "-quiet", "-R", "-V", s.Label, "-o", iso, top)
	p.do("implantisomd5", "--force", iso)
	if s.File == "" {
		p.do("@copy", iso, node)
	} else {
		p.do("debugfs", "-w", "-R", "write "+iso+" "+s.File, node)
	}
	for _, d := range []string{tree, top, outer, iso} {
		p.do("@remove", d)
	}
	return nil
}

// content is what the image holds.
func (s disc) content() Content {
	if s.Tree == "" {
		return tiny
	}
	return Content{Tree: s.Tree}
}

// LiveDisc has its root in a squashfs, LiveNested in an ext4 in one, as dracut's
// live media have it; LiveDamaged is the first with a byte that is not what it
// was.
var (
	LiveDisc = Layout{Name: "live-disc", Disks: one(32), Steps: []Step{
		disc{On: "d0", Label: "LIVE", Image: "/LiveOS/squashfs.img"},
	}}
	LiveNested = Layout{Name: "live-nested", Disks: one(48), Steps: []Step{
		disc{On: "d0", Label: "LIVE", Image: "/LiveOS/squashfs.img", Nested: true},
	}}
	LiveDamaged = Layout{Name: "live-damaged", Disks: one(32), Steps: []Step{
		disc{On: "d0", Label: "LIVE", Image: "/LiveOS/squashfs.img"},
		Poke{On: "d0", Offset: 1 << 20, Hex: "5a5a5a5a"},
	}}
)

// LiveBoot is laid out as Debian's live media are.
var LiveBoot = Layout{Name: "live-boot", Disks: one(32), Steps: []Step{
	disc{On: "d0", Label: "DEBIAN", Image: "/live/filesystem.squashfs"},
}}

// LiveDebian is the same with a whole Debian of a suite.
func LiveDebian(suite string) Layout {
	return Layout{Name: suite + "-live", Disks: one(400), Steps: []Step{
		disc{On: "d0", Label: "DEBIAN", Image: "/live/filesystem.squashfs", Tree: suite},
	}}
}

// LiveFile is a disk with a disc in a file, beside another one that is none.
var LiveFile = Layout{Name: "live-file", Disks: []Disk{{"e0", 32}, {"e1", 64}}, Steps: []Step{
	FS{On: "e0", Type: "ext4", Label: "other", Content: Content{Files: []File{{Path: "isos", Dir: true}}}},
	FS{On: "e1", Type: "ext4", Label: "stick", Content: Content{Files: []File{{Path: "isos", Dir: true}}}},
	disc{On: "e1", Label: "LIVE", Image: "/LiveOS/squashfs.img", File: "isos/live.iso"},
}}

// Kept has what an overlay has kept, an init that leads nowhere.
var Kept = Layout{Name: "kept", Disks: blank(64, "c0"), Steps: []Step{
	FS{On: "c0", Type: "ext4", Label: "KEPT", Content: Content{Files: []File{{Path: "overlayfs/usr/sbin/init", Link: "/nowhere"}, {Path: "ovlwork", Dir: true}}}},
}}

// Packed makes a file with a whole root in it, with tools of the host: an
// "ext4", a "squashfs", a "tar.zst", or an image of layers, "oci.tar"; "oci" makes a
// directory of the latter.
func Packed(ctx context.Context, format, file string) error {
	tars, err := tree(ctx, "tiny")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "packed")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, t := range tars {
		if _, err := host.Run(ctx, "tar", "-C", dir, "-xf", t); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	var argv []string
	switch format {
	case "ext4":
		argv = []string{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", dir, file, "14M"}
	case "squashfs":
		argv = []string{"mksquashfs", dir, file, "-noappend", "-quiet", "-no-progress", "-all-time", "0", "-mkfs-time", "0"}
	case "verity": // see Verify
		argv = []string{"mksquashfs", dir, file, "-noappend", "-quiet", "-no-progress", "-all-time", "0", "-mkfs-time", "0"}
	case "tar.zst":
		argv = []string{"tar", "-C", dir, "--zstd", "-cf", file, "."}
	case "oci": // the file is a directory
		return layers(ctx, dir, file)
	case "oci.tar":
		layout := file + ".d"
		defer os.RemoveAll(layout)
		if err := layers(ctx, dir, layout); err != nil {
			return err
		}
		argv = []string{"tar", "-C", layout, "-cf", file, "."}
	case "iso":
		disc, err := os.MkdirTemp(filepath.Dir(file), "disc")
		if err != nil {
			return err
		}
		defer os.RemoveAll(disc)
		if err := os.Mkdir(filepath.Join(disc, "LiveOS"), 0o755); err != nil {
			return err
		}
		if _, err := host.Run(ctx, "mksquashfs", dir, filepath.Join(disc, "LiveOS/squashfs.img"), "-noappend", "-quiet", "-no-progress"); err != nil {
			return err
		}
		argv = []string{"genisoimage", "-quiet", "-R", "-V", "LIVE", "-o", file, disc}
	default:
		return fmt.Errorf("no way to pack a root as %q", strings.ToUpper(format))
	}
	_, err = host.Run(ctx, argv...)
	return err
}

// Verify appends the hash tree of dm-verity to a file, and returns where it begins, in
// bytes, and the root hash.
func Verify(ctx context.Context, file string) (offset int64, root string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, "", err
	}
	const block = 4096
	offset = (info.Size() + block - 1) / block * block
	out, err := host.Run(ctx, "veritysetup", "format", "--hash-offset", fmt.Sprint(offset), "--data-blocks", fmt.Sprint(offset/block),
		"--salt", strings.Repeat("5a", 32), "--uuid", UUID("packed", "verity"), file, file)
	if err != nil {
		return 0, "", err
	}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == "Root hash" {
			return offset, strings.TrimSpace(value), nil
		}
	}
	return 0, "", fmt.Errorf("veritysetup says no root hash: %s", out)
}
