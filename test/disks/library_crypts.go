package disks

import (
	"context"
	"fmt"
	"os"

	"firstlight/test/debian"
)

// Copied is what a disk has from a file of a source package of Debian: what no
// tool of Debian's makes.
type Copied struct {
	On      string
	Package string // of bookworm
	Archive string // in its orig tarball
	File    string // in the archive
}

func (s Copied) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	file, err := debian.SourceFile(context.Background(), "bookworm", s.Package, s.Archive, s.File)
	if err != nil {
		return err
	}
	p.do("@copy", p.archive(file), node)
	return nil
}

// What is known of the BitLocker volumes in the tests of cryptsetup: the
// passphrase of the first and the recovery key of the second.
const (
	BitLockerPassphrase = "anaconda"
	BitLockerRecovery   = "618871-562507-462814-555324-264660-562727-105171-668195"
	bitlockerImages     = "tests/bitlk-images.tar.xz"
)

// BitLocker are three volumes that Windows has made: one with a passphrase, one
// of which the recovery key is used, and one with a startup key.
var BitLocker = Layout{Name: "bitlocker", Disks: []Disk{{"b0", 100}, {"b1", 128}, {"b2", 100}}, Steps: []Step{
	Copied{On: "b0", Package: "cryptsetup", Archive: bitlockerImages, File: "bitlk-images/bitlk-aes-xts-128.img"},
	Copied{On: "b1", Package: "cryptsetup", Archive: bitlockerImages, File: "bitlk-images/bitlk-aes-cbc-elephant-256.img"},
	Copied{On: "b2", Package: "cryptsetup", Archive: bitlockerImages, File: "bitlk-images/bitlk-aes-xts-128-startup-key.img"},
}}

// BitLockerStartupKey is the startup key of the third of them.
func BitLockerStartupKey() (string, error) {
	file, err := debian.SourceFile(context.Background(), "bookworm", "cryptsetup", bitlockerImages, "bitlk-images/4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("startup key: %w", err)
	}
	return string(b), nil
}

// VeritySigned is an erofs that a hash tree proves, whose root hash is signed on
// a partition beside it.
var VeritySigned = func() Layout {
	const hash = "/tmp/verity.hash"
	return Layout{Name: "verity-signed", Disks: one(64), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "data", MiB: 32, Type: rootType}, {Name: "tree", MiB: 16, Type: verityType}, {Name: "sig", MiB: 1, Type: "41092B05-9FC8-4523-994F-2DEF0408B176"}}},
		FS{On: "data", Type: "erofs", Content: Content{Tree: "tables"}},
		Tool{Argv: []string{"veritysetup", "format", "--root-hash-file", hash, "--uuid", UUID("verity-signed", "verity"), "{data}", "{tree}"}},
		Tool{Argv: []string{"@halves", "{d0}", "1", "2", hash}},
		Tool{Argv: []string{"@sign", "{sig}", hash}},
	}}
}()

// SwapDisk is a disk with nothing but swap space, in which nothing is
// hibernated: what a boot waits for that is to resume from it.
var SwapDisk = Layout{Name: "swap-disk", Disks: blank(32, "s0"), Steps: []Step{
	Swap{On: "s0"},
}}
