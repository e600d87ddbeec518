package build

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
)

// maxFirmware bounds one file, unpacked, in bytes.
const maxFirmware = 256 << 20

// firmwareDirs are the places where the kernel looks, in its order.
func (b *builder) firmwareDirs() []string {
	return []string{"/lib/firmware/updates/" + b.o.Kernel, "/lib/firmware/updates", "/lib/firmware/" + b.o.Kernel, "/lib/firmware"}
}

// firmware adds the files that the modules name, and those of features and
// configuration. What the modules name but the system lacks is only noted:
// most drivers name far more than one machine needs.
func (b *builder) firmware(names map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n, err := b.addFirmware(name, names[name])
		if err != nil {
			return err
		}
		if n == 0 {
			b.report.Missing = append(b.report.Missing, name)
		}
	}
	for _, f := range b.report.Features {
		for _, name := range f.Firmware {
			if _, err := b.addFirmware(name, "feature "+f.Name); err != nil {
				return err
			}
		}
	}
	for _, name := range b.o.Config.Firmware {
		n, err := b.addFirmware(name, "configuration")
		if err == nil && n == 0 {
			err = fmt.Errorf("firmware %s: %w in %s", name, fs.ErrNotExist, b.o.Sysroot.Host("/lib/firmware"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addFirmware adds the files that a name or pattern stands for. Compressed
// ones are stored unpacked: not every kernel reads them, and the image is
// compressed as a whole.
func (b *builder) addFirmware(name, why string) (int, error) {
	if path.Clean("/" + name)[1:] != name {
		return 0, fmt.Errorf("firmware %q: the name is not a path below /lib/firmware", name)
	}
	done := map[string]bool{}
	for _, dir := range b.firmwareDirs() {
		for _, ext := range []string{"", ".zst", ".xz", ".gz"} {
			list, err := b.o.Sysroot.Glob(path.Join(dir, name) + ext)
			if err != nil {
				return 0, err
			}
			for _, p := range list {
				to := strings.TrimSuffix(strings.TrimPrefix(p, dir+"/"), ext)
				if done[to] {
					continue
				}
				st, err := b.o.Sysroot.Stat(p)
				if err != nil || !st.Mode().IsRegular() {
					continue
				}
				if err := b.oneFirmware(p, path.Join("/lib/firmware", to), ext, why); err != nil {
					return 0, fmt.Errorf("firmware %s: %w", b.o.Sysroot.Host(p), err)
				}
				done[to] = true
				b.report.Firmware = append(b.report.Firmware, to)
			}
		}
	}
	return len(done), nil
}

func (b *builder) oneFirmware(p, to, ext, why string) error {
	src, err := b.o.Sysroot.Source(p)
	if err != nil {
		return err
	}
	e := image.Entry{Path: to, Mode: cpio.TypeRegular | 0o644, Group: "firmware", Source: src, From: p, Why: why}
	if ext != "" {
		e.Source = ""
		if e.Data, err = unpackFile(src, ext); err != nil {
			return err
		}
	}
	return b.tree.Add(e)
}

func unpackFile(name, ext string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader
	switch ext {
	case ".zst":
		d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	case ".xz":
		if r, err = xz.NewReader(f, 0); err != nil {
			return nil, err
		}
	default:
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxFirmware+1))
	if err == nil && len(data) > maxFirmware {
		err = errors.New("unpacks to more than 256 MiB")
	}
	return data, err
}
