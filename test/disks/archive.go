package disks

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"firstlight/test/debian"
	"firstlight/test/host"
)

// archive writes files into a tar archive in the cache, named by its content.
func archive(files []File) (string, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	var dirs func(dir string) error
	dirs = func(dir string) error {
		if dir == "." || dir == "/" || made[dir] {
			return nil
		}
		if err := dirs(path.Dir(dir)); err != nil {
			return err
		}
		made[dir] = true
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX})
	}
	for _, f := range files {
		name := strings.Trim(f.Path, "/")
		if f.Dir {
			if err := dirs(name); err != nil {
				return "", err
			}
			continue
		}
		if err := dirs(path.Dir(name)); err != nil {
			return "", err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.Perm, Size: int64(len(f.Data)), ModTime: epoch, Format: tar.FormatPAX}
		if f.Perm == 0 {
			h.Mode = 0o644
		}
		switch {
		case f.Link != "":
			h.Typeflag, h.Linkname, h.Size, h.Mode = tar.TypeSymlink, f.Link, 0, 0o777
		}
		if err := w.WriteHeader(h); err != nil {
			return "", fmt.Errorf("archive %s: %w", name, err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(f.Data)); err != nil {
				return "", fmt.Errorf("archive %s: %w", name, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "archives", host.Hash(b.Bytes())+".tar")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), "part")
	if err != nil {
		return "", fmt.Errorf("archive: %w", err)
	}
	_, err = tmp.Write(b.Bytes())
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(tmp.Name(), out)
	}
	return out, err
}

// epoch is the time of every file that the harness itself makes.
var epoch = time.Unix(1700000000, 0)

// tree returns the archives that make up a whole root.
func tree(ctx context.Context, name string) ([]string, error) {
	switch name {
	case "tiny":
		return tinyTree(ctx)
	case "bench":
		return benchTree(ctx)
	case "tables":
		return tablesTree(ctx)
	case "flat":
		return flatTree(ctx)
	case "bookworm-paths":
		return pathsTree(ctx)
	case "bookworm-iscsi":
		return iscsiTree(ctx)
	case kerberosTree:
		return debianKerberos(ctx)
	case managedTree:
		return debianManaged(ctx)
	case "bookworm", "trixie":
		return debianTree(ctx, name)
	case "bookworm-asked":
		return askedTree(ctx, "bookworm")
	case "bookworm-asked-bcache":
		return askedTree(ctx, "bookworm", "bcache-tools")
	case "bookworm-asked-paths":
		return askedTree(ctx, "bookworm", multipathPackages...)
	case "zfs-bookworm-asked":
		return askedZFSTree(ctx, "bookworm")
	}
	return nil, fmt.Errorf("no tree is called %q", name)
}

// Tree returns the tar files that make up a tree, for who lays it elsewhere than
// on a disk. They are unpacked one over the other.
func Tree(ctx context.Context, name string) ([]string, error) { return tree(ctx, name) }

// tinyTree is the smallest root: one static program, which reports what it sees
// and powers off. It is laid out as distributions have it today, so that
// /sbin/init leads through links to /usr.
func tinyTree(ctx context.Context) ([]string, error) {
	init, err := guestProgram(ctx, "tinyinit")
	if err != nil {
		return nil, err
	}
	files := []File{
		{Path: "usr/lib/os-release", Data: "ID=firstlight-test\nNAME=\"Firstlight test root\"\n"},
		{Path: "usr/sbin/init", Data: init, Perm: 0o755},
		{Path: "etc/os-release", Link: "../usr/lib/os-release"},
		{Path: "sbin", Link: "usr/sbin"},
		{Path: "bin", Link: "usr/bin"},
		{Path: "lib", Link: "usr/lib"},
		{Path: "etc/fstab", Data: "# nothing beyond the root\n"},
	}
	for _, d := range []string{"usr/bin", "usr/lib", "dev", "proc", "sys", "run", "tmp", "var", "mnt", "home"} {
		files = append(files, File{Path: d, Dir: true})
	}
	a, err := archive(files)
	return []string{a}, err
}

// flatTree is a root for a filesystem that has no links.
func flatTree(ctx context.Context) ([]string, error) {
	init, err := guestProgram(ctx, "tinyinit")
	if err != nil {
		return nil, err
	}
	files := []File{{Path: "etc/os-release", Data: "ID=firstlight-test\n"}, {Path: "sbin/init", Data: init, Perm: 0o755}}
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp"} {
		files = append(files, File{Path: d, Dir: true})
	}
	a, err := archive(files)
	return []string{a}, err
}

// benchTree is the tiny root with a marker in front of its init.
func benchTree(ctx context.Context) ([]string, error) {
	base, err := tinyTree(ctx)
	if err != nil {
		return nil, err
	}
	checkout, err := host.Checkout()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "flmarker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "marker")
	if _, err := host.Run(ctx, "gcc", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O2",
		"-Wl,--build-id=none", "-s", "-o", out, filepath.Join(checkout, "test/guest/marker/marker.c")); err != nil {
		return nil, err
	}
	marker, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	init, err := guestProgram(ctx, "tinyinit")
	if err != nil {
		return nil, err
	}
	a, err := archive([]File{
		{Path: "usr/sbin/init", Data: string(marker), Perm: 0o755},
		{Path: "usr/sbin/report-init", Data: init, Perm: 0o755},
	})
	return append(base, a), err
}

// guestProgram builds one of the programs in test/guest.
func guestProgram(ctx context.Context, name string) (string, error) {
	dir, err := os.MkdirTemp("", "flguest")
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	file, err := host.GoBuild(ctx, "./test/guest/"+name, dir)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	return string(b), err
}

// moduleDirs are the kernel modules that a Debian root gets: what its own
// stack of devices and systemd itself may load.
var moduleDirs = []string{"arch/x86/crypto", "crypto", "fs", "lib", "drivers/md", "drivers/block", "drivers/virtio",
	"drivers/nvme", "drivers/ata", "drivers/scsi", "drivers/input", "drivers/char"}

// reportUnit starts the program that reports on a real system. It is not
// ordered after what it waits for, or it would wait for itself.
const reportUnit = `[Unit]
Description=Report to the test harness
DefaultDependencies=no
[Service]
Type=exec
ExecStart=/usr/lib/fltest/debreport
StandardOutput=journal
[Install]
WantedBy=multi-user.target
`

// debianTree is a Debian root with modules for its kernel and the reporting
// program.
func debianTree(ctx context.Context, suite string) ([]string, error) {
	root, err := debian.Root(ctx, suite)
	if err != nil {
		return nil, err
	}
	k, err := debian.GetKernel(ctx, suite)
	if err != nil {
		return nil, err
	}
	return reporting(ctx, root, k)
}

// zfsTree is a Debian root with ZFS, as debianTree.
func zfsTree(ctx context.Context, suite string) ([]string, error) {
	dir, err := debian.ZFSRoot(ctx, suite)
	if err != nil {
		return nil, err
	}
	k, err := debian.GetKernel(ctx, suite)
	if err != nil {
		return nil, err
	}
	if k, err = debian.ZFSKernel(ctx, k); err != nil {
		return nil, err
	}
	return reporting(ctx, filepath.Join(dir, "root.tar"), k)
}

// reporting adds to a root the modules of a kernel, and what reports.
func reporting(ctx context.Context, root string, k debian.Kernel) ([]string, error) {
	program, err := guestProgram(ctx, "debreport")
	if err != nil {
		return nil, err
	}
	own, err := archive([]File{
		{Path: "usr/lib/fltest/debreport", Data: program, Perm: 0o755},
		{Path: "etc/systemd/system/fltest-report.service", Data: reportUnit},
		{Path: "etc/systemd/system/multi-user.target.wants/fltest-report.service", Link: "../fltest-report.service"},
		{Path: "etc/systemd/system/default.target", Link: "/usr/lib/systemd/system/multi-user.target"},
		{Path: "etc/systemd/system/serial-getty@ttyS1.service", Link: "/dev/null"},
	})
	if err != nil {
		return nil, err
	}
	modules, err := moduleArchive(k)
	return []string{root, modules, own}, err
}

func moduleArchive(k debian.Kernel) (string, error) {
	var names []string
	dirs := []string{"updates"}
	for _, d := range moduleDirs {
		dirs = append(dirs, "kernel/"+d)
	}
	for _, d := range dirs {
		err := filepath.WalkDir(filepath.Join(k.Modules(), d), func(p string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				names = append(names, p)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			return "", fmt.Errorf("modules of %s: %w", k.Release, err)
		}
	}
	indexes, err := filepath.Glob(filepath.Join(k.Modules(), "modules.*"))
	if err != nil {
		return "", err
	}
	names = append(names, indexes...)
	sort.Strings(names)
	var files []File
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			return "", fmt.Errorf("modules of %s: %w", k.Release, err)
		}
		rel, err := filepath.Rel(k.Root, n)
		if err != nil {
			return "", err
		}
		files = append(files, File{Path: "usr/" + rel, Data: string(b)})
	}
	return archive(files)
}

// key is what a description of disks is cached under.
func key(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return host.Hash(b), nil
}
