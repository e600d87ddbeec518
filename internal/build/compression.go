package build

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/image/compress"
	"firstlight/internal/kernelimage"
)

// DefaultCompression is what is used unless told. The last tenth of the size is
// not worth twenty times the time, but for /init, which stays the same from
// image to image: see initCompression.
func DefaultCompression() compress.Spec {
	return compress.Spec{Method: compress.Zstd, Level: 9, Wide: true}
}

// initCompression is how /init is compressed unless told: as tightly as can be.
// It comes from the cache, or with the programs. What is small is compressed so too.
func initCompression() compress.Spec { return compress.Spec{Method: compress.Zstd, Level: 19} }

// fallbacks are used, in this order, for a kernel that cannot unpack what is
// the default: those first that need no program.
var fallbacks = [...]compress.Method{compress.Gzip, compress.LZ4, compress.XZ, compress.LZO, compress.LZMA, compress.Bzip2, compress.None}

// ErrKernel is wrapped by errors that say that the kernel cannot use the image.
var ErrKernel = errors.New("the kernel could not use the image")

// maxConfig and maxKernel bound what is read to ask a kernel, in bytes.
const (
	maxConfig = 16 << 20
	maxKernel = 512 << 20
)

// places are the files that tell what a kernel can unpack: its configuration,
// and itself.
func (b *builder) places() (configs, kernels []string) {
	modules := b.mods.Dir()
	boot := filepath.Join(modules, "../../../boot") // of the system that the modules are of
	if filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(modules)))) == "usr" {
		boot = filepath.Join(modules, "../../../../boot")
	}
	r := b.o.Kernel
	configs = []string{b.o.Sysroot.Host(path.Join("/boot", "config-"+r)), filepath.Join(modules, "config"), filepath.Join(modules, "build/.config"),
		filepath.Join(boot, "config-"+r)}
	if b.o.Sysroot == "" {
		if running, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil && strings.TrimSpace(string(running)) == r {
			configs = append(configs, "/proc/config.gz")
		}
	}
	for _, name := range []string{"vmlinuz-", "vmlinux-", "kernel-", "Image-"} {
		kernels = append(kernels, b.o.Sysroot.Host(path.Join("/boot", name+r)))
	}
	return configs, append(kernels, filepath.Join(modules, "vmlinuz"), filepath.Join(boot, "vmlinuz-"+r))
}

// initramfs finds out what the kernel can do with an image, and from which
// file. Without any such file the name is "".
func (b *builder) initramfs() (can kernelimage.Initramfs, name string, err error) {
	configs, kernels := b.places()
	for _, name := range configs {
		text, err := readBounded(name, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			can, err = kernelimage.OfConfig(string(text))
		}
		if err != nil {
			b.note("%s: %v; it is passed over", name, err)
			continue
		}
		return can, name, nil
	}
	for _, name := range kernels {
		kernel, err := readBounded(name, maxKernel)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			can, err = kernelimage.OfKernel(kernel)
		}
		if err != nil {
			b.note("%s: %v; it is passed over", name, err)
			continue
		}
		return can, name, nil
	}
	return can, "", nil
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errors.New("not a regular file"), err)
	}
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, err
}

// choose decides how the image is compressed, by what was asked for and what
// the kernel can unpack.
func (b *builder) choose() (compress.Spec, error) {
	can, from, err := b.initramfs()
	if err != nil {
		return compress.Spec{}, err
	}
	spec, asked := DefaultCompression(), b.o.Config.Compression != ""
	if asked {
		if spec, err = compress.ParseSpec(b.o.Config.Compression); err != nil {
			return compress.Spec{}, err
		}
	}
	switch {
	case from == "":
		b.note("whether kernel %s can unpack %s is not known: neither its configuration nor the kernel itself was found", b.o.Kernel, spec.Method)
		return spec, nil
	case !can.Supported:
		return compress.Spec{}, fmt.Errorf("kernel %s takes no initramfs: CONFIG_BLK_DEV_INITRD is not set, says %s: %w", b.o.Kernel, from, ErrKernel)
	case can.Can(spec.Method):
		return spec, nil
	case asked:
		return compress.Spec{}, fmt.Errorf("compression %s: kernel %s cannot unpack it, %s is not set, says %s; it can unpack %s: %w",
			spec, b.o.Kernel, kernelimage.Option(spec.Method), from, methodNames(can.Methods), ErrKernel)
	}
	for _, m := range fallbacks {
		if !can.Can(m) {
			continue
		}
		b.note("kernel %s cannot unpack %s, says %s; the image is compressed with %s", b.o.Kernel, spec.Method, from, m)
		return compress.Spec{Method: m}, nil
	}
	return compress.Spec{Method: compress.None}, nil // plain archives are always unpacked
}

func methodNames(list []compress.Method) string {
	var names []string
	for _, m := range list {
		names = append(names, string(m))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// compressors are those of the image, and of groups that have another.
func (b *builder) compressors(ctx context.Context) (*compress.Compressor, map[string]*compress.Compressor, error) {
	spec, err := b.choose()
	if err != nil {
		return nil, nil, err
	}
	groups := map[string]*compress.Compressor{}
	if spec == DefaultCompression() && b.o.Config.Compression == "" {
		tight, err := compress.New(ctx, initCompression())
		if err != nil {
			return nil, nil, err
		}
		// The tables and the manifest are small enough for it.
		groups["init"], groups["base"], groups["manifest"] = tight, tight, tight
	}
	c, err := compress.New(ctx, spec)
	return c, groups, err
}
