package debian

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"firstlight/test/host"
)

// Kernel is an unpacked kernel package.
type Kernel struct {
	Suite   string // "bookworm", "trixie"
	Root    string // holds boot/ and lib/modules/
	Release string // what uname -r says under it
}

// Image is the path of the kernel itself.
func (k Kernel) Image() string { return filepath.Join(k.Root, "boot", "vmlinuz-"+k.Release) }

// Modules is the directory that holds modules.dep.
func (k Kernel) Modules() string { return filepath.Join(k.Root, "lib/modules", k.Release) }

// FindKernel returns the kernel of a suite if it is unpacked already.
func FindKernel(suite string) (Kernel, error) {
	cache, err := host.Cache()
	if err != nil {
		return Kernel{}, err
	}
	k := Kernel{Suite: suite, Root: filepath.Join(cache, "kernels", suite)}
	b, err := os.ReadFile(filepath.Join(k.Root, "release"))
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel of %s is not unpacked (make kernels): %w", suite, err)
	}
	k.Release = strings.TrimSpace(string(b))
	return k, nil
}

// GetKernel returns the kernel that linux-image-amd64 of a suite depends on.
// It is fetched, unpacked and given its module indexes unless the cache has
// one; it is never installed.
func GetKernel(ctx context.Context, suite string) (Kernel, error) {
	if k, err := FindKernel(suite); err == nil {
		return k, nil
	}
	return fetchKernel(ctx, suite, "", suite)
}

// ForeignKernel is GetKernel for another architecture, by Debian's name.
func ForeignKernel(ctx context.Context, suite, arch string) (Kernel, error) {
	name := suite + "-" + arch
	if k, err := FindKernel(name); err == nil {
		return k, nil
	}
	return fetchKernel(ctx, suite, arch, name)
}

// fetchKernel fetches the kernel of a suite and architecture, "" for the
// machine's own, and keeps it in the cache by a name.
func fetchKernel(ctx context.Context, suite, arch, name string) (Kernel, error) {
	cache, err := host.Cache()
	if err != nil {
		return Kernel{}, err
	}
	apt, err := NewAptFor(ctx, suite, arch)
	if err != nil {
		return Kernel{}, err
	}
	meta := "linux-image-" + cmp.Or(arch, "amd64")
	if _, err := apt.Run(ctx, "", "apt-get", "update"); err != nil {
		return Kernel{}, err
	}
	out, err := apt.Run(ctx, "", "apt-cache", "show", "--no-all-versions", meta)
	if err != nil {
		return Kernel{}, err
	}
	pkg := ""
	for line := range strings.Lines(out) {
		if deps, ok := strings.CutPrefix(line, "Depends:"); ok {
			for dep := range strings.SplitSeq(deps, ",") {
				if f := strings.Fields(dep); len(f) > 0 && strings.HasPrefix(f[0], "linux-image-") {
					pkg = f[0]
				}
			}
		}
	}
	release, ok := strings.CutPrefix(pkg, "linux-image-")
	if !ok {
		return Kernel{}, fmt.Errorf("kernel of %s: %s depends on no kernel package", suite, meta)
	}
	dir := filepath.Join(cache, "kernels", name)
	err = host.Once(dir, func(tmp string) error {
		download := filepath.Join(cache, "dl", name)
		if err := os.MkdirAll(download, 0o755); err != nil {
			return fmt.Errorf("kernel of %s: %w", suite, err)
		}
		if _, err := apt.Run(ctx, download, "apt-get", "download", pkg); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(download, pkg+"_*.deb"))
		if err != nil || len(debs) == 0 {
			return fmt.Errorf("kernel of %s: apt-get download left no %s in %s", suite, pkg, download)
		}
		if _, err := host.Run(ctx, "dpkg-deb", "-x", debs[len(debs)-1], tmp); err != nil {
			return err
		}
		// From trixie on the package has its modules below /usr.
		if _, err := os.Stat(filepath.Join(tmp, "lib/modules")); err != nil {
			if err := os.Mkdir(filepath.Join(tmp, "lib"), 0o755); err != nil {
				return fmt.Errorf("kernel of %s: %w", suite, err)
			}
			if err := os.Rename(filepath.Join(tmp, "usr/lib/modules"), filepath.Join(tmp, "lib/modules")); err != nil {
				return fmt.Errorf("kernel of %s: %w", suite, err)
			}
		}
		if _, err := host.Run(ctx, "depmod", "-b", tmp, release); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, "release"), []byte(release+"\n"), 0o644)
	})
	if err != nil {
		return Kernel{}, err
	}
	return FindKernel(name)
}

// ForeignFiles returns a directory with what packages of another architecture hold,
// without installing them, under a name of the cache.
func ForeignFiles(ctx context.Context, suite, arch, name string, packages ...string) (string, error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Join(cache, "roots", name+"-"+suite+"-"+arch+"-"+host.Hash([]byte(strings.Join(packages, ",")))))
	if err != nil {
		return "", err
	}
	return dir, host.Once(dir, func(tmp string) error {
		apt, err := NewAptFor(ctx, suite, arch)
		if err != nil {
			return err
		}
		if _, err := apt.Run(ctx, "", "apt-get", "update"); err != nil {
			return err
		}
		download := filepath.Join(tmp, "deb")
		if err := os.MkdirAll(download, 0o755); err != nil {
			return err
		}
		if _, err := apt.Run(ctx, download, append([]string{"apt-get", "download"}, packages...)...); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(download, "*.deb"))
		if err != nil || len(debs) != len(packages) {
			return fmt.Errorf("packages %v of %s: %d were fetched, %v", packages, suite, len(debs), err)
		}
		for _, d := range debs {
			if _, err := host.Run(ctx, "dpkg-deb", "-x", d, tmp); err != nil {
				return err
			}
		}
		return os.RemoveAll(download)
	})
}
