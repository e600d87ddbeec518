package disks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firstlight/test/debian"
	"firstlight/test/guest/plan"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/initrd"
	"firstlight/test/vm"
)

// Made is the disks of a layout as files.
type Made struct {
	Layout Layout
	Files  map[string]string // name of a disk -> raw image
}

// perGuest bounds how many layouts one guest makes, atOnce how many guests there
// are at a time.
const perGuest, atOnce = 12, 2

// perLayout is how long a guest may take for each of its layouts.
const perLayout = 4 * time.Minute

// Make makes the disks of layouts, as far as the cache does not have them
// already. The layouts that could be made are returned even if others failed.
func Make(ctx context.Context, layouts ...Layout) (map[string]Made, error) {
	cache, err := host.Cache()
	if err != nil {
		return nil, err
	}
	trees := map[string][]string{}
	made := map[string]Made{}
	var errs []error
	var todo []job
	for _, l := range layouts {
		j, err := newJob(ctx, l, trees, cache)
		if err != nil {
			errs = append(errs, fmt.Errorf("layout %s: %w", l.Name, err))
			continue
		}
		todo = append(todo, j)
	}
	if len(todo) == 0 {
		return made, errors.Join(errs...)
	}
	if len(missing(todo)) > 0 {
		unlock, err := host.Lock(filepath.Join(cache, "disks", "lock"))
		if err != nil {
			return nil, err
		}
		defer unlock()
		// Looked at again: whoever had the lock may have made them.
		errs = append(errs, makeAll(ctx, missing(todo)))
	}
	for _, j := range todo {
		if _, err := os.Stat(j.dir); err == nil {
			made[j.layout.Name] = j.made()
		}
	}
	return made, errors.Join(errs...)
}

// makeAll makes the disks of all, in as many guests as that takes.
func makeAll(ctx context.Context, all []job) error {
	var guests errgroup.Group
	guests.SetLimit(atOnce)
	var mu sync.Mutex
	var errs []error
	for _, zfs := range []bool{false, true} {
		alike := slices.DeleteFunc(slices.Clone(all), func(j job) bool { return j.layout.ZFS != zfs })
		for jobs := range slices.Chunk(alike, perGuest) {
			guests.Go(func() error {
				if err := makeInGuest(ctx, jobs); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
				return nil
			})
		}
	}
	guests.Wait()
	return errors.Join(errs...)
}

// missing is what the cache does not have.
func missing(jobs []job) []job {
	var m []job
	for _, j := range jobs {
		if _, err := os.Stat(j.dir); err != nil {
			m = append(m, j)
		}
	}
	return m
}

// job is a layout with its plan.
type job struct {
	layout   Layout
	commands []plan.Command
	cleanup  []plan.Command
	archives []string
	dir      string // where it is cached
}

func newJob(ctx context.Context, l Layout, trees map[string][]string, cache string) (job, error) {
	p := planner{layout: l, nodes: map[string]string{}, tree: func(name string) ([]string, error) {
		if trees[name] == nil {
			t, err := tree(ctx, name)
			if err != nil {
				return nil, err
			}
			trees[name] = t
		}
		return trees[name], nil
	}}
	sizes := []int{}
	for i, d := range l.Disks {
		sizes = append(sizes, d.MiB)
		if err := p.name(d.Name, fmt.Sprintf("{%d}", i)); err != nil {
			return job{}, err
		}
	}
	for i, s := range l.Steps {
		if err := s.plan(&p); err != nil {
			return job{}, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	// Archives are named by their content, so their paths stand for it.
	k, err := key([]any{plan.Format, sizes, p.commands, p.archives})
	if err != nil {
		return job{}, err
	}
	return job{layout: l, commands: p.commands, cleanup: p.cleanup, archives: p.archives,
		dir: filepath.Join(cache, "disks", l.Name+"-"+k)}, nil
}

func (j job) made() Made {
	m := Made{Layout: j.layout, Files: map[string]string{}}
	for _, d := range j.layout.Disks {
		m.Files[d.Name] = filepath.Join(j.dir, d.Name+".img")
	}
	return m
}

// programs are the tools of the guest; libraries what some of them open
// without saying so (pthread_cancel needs libgcc_s).
var (
	programs = []string{"mke2fs", "e2fsck", "debugfs", "tune2fs", "resize2fs", "mkfs.xfs", "mkfs.btrfs", "btrfs", "btrfstune", "mkfs.vfat",
		"mkfs.erofs", "mksquashfs", "mkswap", "sfdisk", "sgdisk", "wipefs", "mdadm", "mdmon", "lvm", "cryptsetup", "veritysetup", "integritysetup", "dmsetup", "tcplay", "make-bcache",
		"genisoimage", "implantisomd5"}
	libraries = []string{"libgcc_s.so.1"}
	modules   = []string{"virtio_pci", "virtio_scsi", "sd_mod", "ext4", "crc32c_generic", "crc32c_intel", "xfs", "btrfs", "vfat",
		"nls_cp437", "nls_ascii", "nls_iso8859_1", "dm_mod", "dm_crypt", "dm_mirror", "dm_raid", "dm_thin_pool", "dm_snapshot", "dm_cache", "dm_cache_smq", "dm_writecache", "raid0", "raid1", "raid10", "raid456", "linear",
		"xts", "aesni_intel", "sha256_generic", "sha256_ssse3", "essiv", "cbc", "ecb", "algif_skcipher", "algif_hash", "algif_aead", "loop",
		"bcache", "dm_integrity", "dm_verity", "authenc", "hmac", "gcm", "ccm", "ctr", "ghash_generic", "aegis128", "chacha20poly1305", "chacha_generic", "poly1305_generic",
		"serpent_generic", "twofish_generic", "camellia_generic", "cast6_generic", "adiantum", "nhpoly1305", "crypto_null", "sha512_generic", "seqiv"}
)

// zfsPrograms and zfsModules are what the guest has besides that makes layouts
// with ZFS.
var (
	zfsPrograms = []string{"usr/sbin/zpool", "usr/sbin/zfs", "usr/sbin/zdb"}
	zfsModules  = []string{"spl", "zfs"}
)

// makeInGuest makes the disks of several layouts in one run of a guest. All or
// none of them need ZFS.
func makeInGuest(ctx context.Context, jobs []job) error {
	k, err := debian.GetKernel(ctx, "bookworm")
	if err != nil {
		return err
	}
	tools := ""
	if jobs[0].layout.ZFS {
		if k, err = debian.ZFSKernel(ctx, k); err != nil {
			return err
		}
		dir, err := debian.ZFSRoot(ctx, "bookworm")
		if err != nil {
			return err
		}
		tools = filepath.Join(dir, "root")
	}
	work, err := os.MkdirTemp(filepath.Dir(jobs[0].dir), "part")
	if err != nil {
		return fmt.Errorf("make disks: %w", err)
	}
	defer os.RemoveAll(work)
	p := plan.Plan{}
	var attached []vm.Disk
	attach := func(d vm.Disk) int {
		d.Bus = vm.VirtioSCSI
		attached = append(attached, d)
		return len(attached) - 1
	}
	luns := map[string]int{}
	for _, j := range jobs {
		l := plan.Layout{Name: j.layout.Name, Commands: j.commands, Cleanup: j.cleanup}
		if err := os.Mkdir(filepath.Join(work, j.layout.Name), 0o755); err != nil {
			return fmt.Errorf("make disks: %w", err)
		}
		for _, d := range j.layout.Disks {
			file := filepath.Join(work, j.layout.Name, d.Name+".img")
			if err := sparse(file, int64(d.MiB)<<20); err != nil {
				return err
			}
			l.Disks = append(l.Disks, attach(vm.Disk{File: file, Serial: d.Name}))
		}
		for _, a := range j.archives {
			if _, ok := luns[a]; !ok {
				luns[a] = attach(vm.Disk{File: a, ReadOnly: true})
			}
			l.Archives = append(l.Archives, luns[a])
		}
		p.Layouts = append(p.Layouts, l)
	}
	image := filepath.Join(work, "initrd")
	if err := guestImage(ctx, k, p, image, tools); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(jobs)+1)*perLayout)
	defer cancel()
	kernel, err := k.Unpacked()
	if err != nil {
		return err
	}
	v, err := vm.Run(ctx, vm.Machine{Kernel: kernel, Initrd: image, Append: "console=ttyS0 panic=-1 quiet no_timer_check IMSM_NO_PLATFORM=1", Memory: 1536, Disks: attached})
	if err != nil {
		return err
	}
	defer v.Close()
	waited := v.Wait(ctx)
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		return err
	}
	if err := errors.Join(waited, finished(ms)); err != nil {
		return fmt.Errorf("make disks: %w\n%s", err, host.Tail(v.Console.Text(), 20))
	}
	return keep(jobs, ms, work)
}

// finished says whether the guest came to the end of its plan.
func finished(ms []report.Message) error {
	for _, m := range ms {
		if m.Note == "done" {
			return nil
		}
	}
	if n := len(ms); n > 0 && ms[n-1].Step != nil {
		s := ms[n-1].Step
		return fmt.Errorf("the guest ended early, after %q %s", s.Argv, s.Error)
	}
	return errors.New("the guest ended without a report")
}

// keep moves the disks of layouts that went well into the cache, each with a
// log of how it was made.
func keep(jobs []job, ms []report.Message, work string) error {
	var errs []error
	for _, j := range jobs {
		var log bytes.Buffer
		var failed error
		for _, m := range ms {
			if s := m.Step; s != nil && s.Layout == j.layout.Name {
				fmt.Fprintf(&log, "$ %s\n%s", s.Argv, s.Output)
				if s.Error != "" && failed == nil {
					failed = fmt.Errorf("layout %s: %s: %s\n%s", j.layout.Name, s.Argv, s.Error, strings.TrimSpace(s.Output))
				}
			}
		}
		if failed != nil {
			errs = append(errs, failed)
			continue
		}
		dir := filepath.Join(work, j.layout.Name)
		if err := os.WriteFile(filepath.Join(dir, "log"), log.Bytes(), 0o644); err != nil {
			return fmt.Errorf("make disks: %w", err)
		}
		if err := os.Rename(dir, j.dir); err != nil {
			return fmt.Errorf("make disks: %w", err)
		}
	}
	return errors.Join(errs...)
}

// guestImage writes the image of the guest. tools is a Debian root with ZFS's
// tools, "" for a guest without.
func guestImage(ctx context.Context, k debian.Kernel, p plan.Plan, file, tools string) error {
	m := initrd.New()
	if err := m.Program(ctx, programs...); err != nil {
		return err
	}
	for _, l := range libraries {
		if err := m.Library(ctx, l); err != nil {
			return err
		}
	}
	drivers := modules
	if tools != "" {
		if err := m.ProgramFrom(ctx, tools, zfsPrograms...); err != nil {
			return err
		}
		drivers = slices.Concat(modules, zfsModules)
	}
	var err error
	if p.Modules, err = m.Modules(k, drivers...); err != nil {
		return err
	}
	init, err := guestProgram(ctx, "builder")
	if err != nil {
		return err
	}
	m.File("init", 0o755, []byte(init))
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	m.File("plan.json", 0o644, b)
	m.Copy("/etc/mke2fs.conf", "etc/mke2fs.conf", 0o644) // mke2fs has defaults without it
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp", "etc", "usr/sbin", "sbin"} {
		m.Dir(d)
	}
	return m.WriteFile(file)
}

func sparse(file string, size int64) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("make disks: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("make disks: %w", err)
	}
	return nil
}
