package build

import (
	"context"
	"fmt"
	"path/filepath"

	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
	"firstlight/internal/image/elf"
	"firstlight/internal/version"
)

// initProgram is the program for /init: the small one, unless a feature needs
// a handler that only the full one has.
func (b *builder) initProgram() (program string, full bool) {
	for _, f := range b.report.Features {
		if f.Init == feature.InitFull {
			return b.o.InitFull, true
		}
	}
	return b.o.Init, false
}

// helper adds a program of Firstlight's own that handlers start. It is beside
// the program for /init.
func (b *builder) helper(name, why string) error {
	source := filepath.Join(filepath.Dir(b.o.InitFull), name)
	if err := checkInit(source); err != nil {
		return fmt.Errorf("the helper %s: %w", name, err)
	}
	return b.tree.Add(image.Entry{Path: "usr/lib/firstlight/" + name, Mode: cpio.TypeRegular | 0o755, Source: source,
		From: "firstlight " + version.Version, Group: "programs", Why: why})
}

// checkInit refuses what cannot be PID 1 here: a program that needs an
// interpreter would leave a machine with "No working init found".
func checkInit(program string) error {
	files, err := elf.NewResolver("").Closure(absolute(program))
	if err != nil {
		return fmt.Errorf("the program for /init: %w", err)
	}
	n := 0
	for _, f := range files {
		if f.Target == "" {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("the program for /init: %s is not a static program", program)
	}
	return nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// initEntry is /init.
func initEntry(program string) image.Entry {
	return image.Entry{Path: "init", Mode: cpio.TypeRegular | 0o755, Source: program, From: "firstlight " + version.Version, Group: "init", Why: "PID 1"}
}

// nullEntry is /dev/null before /dev is mounted: on a machine without a console the
// kernel starts /init with no files open, and the runtime of its language opens this one
// in their places, or ends at once.
func nullEntry() image.Entry {
	return image.Entry{Path: "dev/null", Mode: cpio.TypeChar | 0o666, Major: 1, Minor: 3, Why: "what /init has open on a machine without a console"}
}

// PackInit compresses the program for /init as every image by default has it,
// and leaves it in the cache.
func PackInit(ctx context.Context, program string, cache *image.Cache) error {
	tree := image.NewTree()
	if err := tree.Add(initEntry(program)); err != nil {
		return fmt.Errorf("the program for /init: %w", err)
	}
	c, err := compress.New(ctx, initCompression())
	if err != nil {
		return err
	}
	_, err = image.Pack(ctx, tree, image.PackOptions{Compressor: c, Cache: cache})
	return err
}
