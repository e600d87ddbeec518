package disks

import (
	"context"
	"fmt"
	"os"
	"strings"

	"firstlight/test/debian"
)

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

// tcryptImages are the volumes in the tests of cryptsetup.
const tcryptImages = "tests/tcrypt-images.tar.xz"

// What opens them.
const (
	TCryptPassphrase = "aaaaaaaaaaaa"
	TCryptHidden     = "bbbbbbbbbbbb"
	VeraCryptPIM     = "1234"
)

// TCryptForms are volumes that TrueCrypt and VeraCrypt have made: one with
// another one hidden in it, one with two key files, and one with a number of
// iterations of its own.
var TCryptForms = Layout{Name: "tcrypt-forms", Disks: []Disk{{"t0", 1}, {"t1", 1}, {"t2", 1}}, Steps: []Step{
	Copied{On: "t0", Package: "cryptsetup", Archive: tcryptImages, File: "tcrypt-images/tc_5-sha512-xts-aes-hidden"},
	Copied{On: "t1", Package: "cryptsetup", Archive: tcryptImages, File: "tcrypt-images/tck_5-sha512-xts-aes"},
	Copied{On: "t2", Package: "cryptsetup", Archive: tcryptImages, File: "tcrypt-images/vcpim_1-sha256-xts-aes"},
}}

// TCryptKeyFile is a key file of the second of them, "keyfile1" or "keyfile2".
func TCryptKeyFile(name string) (string, error) {
	file, err := debian.SourceFile(context.Background(), "bookworm", "cryptsetup", tcryptImages, "tcrypt-images/"+name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	return string(b), nil
}

// LiveWithin is a disc that begins a mebibyte into a disk, and LiveTarget has room
// for what is on one.
var (
	LiveWithin = Layout{Name: "live-within", Disks: one(40), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "disc"}}},
		disc{On: "disc", Label: "DEBIAN", Image: "/live/filesystem.squashfs"},
	}}
	LiveTarget = Layout{Name: "live-target", Disks: blank(64, "e0"), Steps: []Step{
		FS{On: "e0", Type: "ext4", Label: "target", Content: Content{Files: []File{{Path: "kept", Dir: true}}}},
	}}
)
