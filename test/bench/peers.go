package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/floor"
	"firstlight/test/host"
	"firstlight/test/lan"
)

// cost is what making an image took.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // of the largest of the processes, in KiB; 0 where that was not measured
}

// remoteCard are the drivers of the card of a machine whose root is on a server.
var remoteCard = []string{"virtio_pci", "virtio_net"}

// peer is one way to make an image.
type peer struct {
	name   string
	only   string // the one row it can do; "" is all
	append func(r row) string
	build  func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error)
	// again makes the same image with what the first time has left behind; nil
	// where nothing is left.
	again func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error)
}

var peers = []peer{
	{"floor", "a", func(r row) string { return rootOnly(r, "floor") }, buildFloor, nil},
	{"firstlight", "", firstlightArgs, fresh(buildHost), buildHost},
	{"fl-stripped", "", firstlightArgs, fresh(buildStripped), buildStripped},
	{"fl-generic", "", firstlightArgs, fresh(buildGeneric), buildGeneric},
	{"irt-dep", "", irtArgs, func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
		return buildInitramfsTools(ctx, k, r, image, "dep")
	}, nil},
	{"irt-most", "", irtArgs, func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
		return buildInitramfsTools(ctx, k, r, image, "most")
	}, nil},
	{"dracut", "", dracutArgs, buildDracut, nil},
}

// keyPath is where the key of the encrypted rows lies in an image.
const keyPath = "/etc/keys/root.key"

func rootOnly(r row, peer string) string { return "root=" + r.rootFor(peer) }

func irtArgs(r row) string { return rootOnly(r, "irt") + r.argsFor("irt") }

func firstlightArgs(r row) string {
	args := rootOnly(r, "firstlight") + r.argsFor("firstlight")
	if r.has("luks") {
		id := r.layout.UUID("crypt")
		args += " rd.luks.name=" + id + "=root_x rd.luks.key=" + id + "=" + keyPath
	}
	return args
}

func dracutArgs(r row) string {
	args := rootOnly(r, "dracut") + r.argsFor("dracut")
	if r.has("luks") {
		args += " rd.luks.uuid=" + r.layout.UUID("crypt")
	}
	if a := r.array(); a != "" {
		args += " rd.md.uuid=" + r.layout.MDUUID(a)
	}
	return args
}

// buildFloor makes the floor's image, packed as tightly as it goes.
func buildFloor(ctx context.Context, k debian.Kernel, _ row, image string) (cost, error) {
	return timed(func() error {
		raw := image + ".cpio"
		defer os.Remove(raw)
		if err := floor.Build(ctx, k, "vda1", raw, true); err != nil {
			return err
		}
		_, err := host.Run(ctx, "zstd", "-q", "-f", "-19", raw, "-o", image)
		return err
	})
}

// buildHost makes the image that --host would make on a machine like the
// guest, which it is told about in a configuration file.
func buildHost(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
	return buildTarget(ctx, k, r, image, "")
}

// buildStripped is buildHost with modules as the floor has them: without debug
// sections, and so without the signatures, whose check is most of what the
// kernel does with a module. It is not what anybody is advised to use.
func buildStripped(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
	return buildTarget(ctx, k, r, image, "strip = true\n")
}

func buildTarget(ctx context.Context, k debian.Kernel, r row, image, options string) (cost, error) {
	quoted := func(list []string) string {
		var q []string
		for _, l := range list {
			q = append(q, strconv.Quote(l))
		}
		return "[" + strings.Join(q, ", ") + "]"
	}
	config := image + ".toml"
	text := options + fmt.Sprintf("[root]\nbus = %q\nfstype = %q\nlayers = %s\n", r.bus(), r.fstype(), quoted(r.layers))
	if r.remote() {
		// The drivers of its card, as detection finds them.
		text = options + fmt.Sprintf("modules = %s\n[root]\nfstype = %q\nneeds = %s\n", quoted(remoteCard), r.fstype(), quoted(r.needs))
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return cost{}, err
	}
	return buildFirstlight(ctx, k, r, image, "--config", config)
}

func buildGeneric(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
	args := []string{"--generic"}
	for _, need := range r.needs {
		args = append(args, "--feature", need)
	}
	if r.fstype() == "nfs" {
		args = append(args, "--feature", "nfs")
	}
	return buildFirstlight(ctx, k, r, image, args...)
}

func buildFirstlight(ctx context.Context, k debian.Kernel, r row, image string, args ...string) (cost, error) {
	checkout, err := host.Checkout()
	if err != nil {
		return cost{}, err
	}
	argv := append([]string{filepath.Join(checkout, "bin/firstlight"), "build", "--kernel", k.Release, "--modules-dir", k.Modules(),
		"--cache-dir", cacheOf(image), "--output", image}, args...)
	if r.has("luks") {
		key := image + ".key"
		if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
			return cost{}, err
		}
		argv = append(argv, "--include", key+":"+keyPath)
	}
	if r.paths {
		wwids := image + ".wwids"
		if err := os.WriteFile(wwids, []byte(disks.WWIDs("d0")), 0o644); err != nil {
			return cost{}, err
		}
		argv = append(argv, "--include", wwids+":/etc/multipath/wwids")
	}
	if r.layout.ZFS {
		root, err := debian.ZFSRoot(ctx, k.Suite)
		if err != nil {
			return cost{}, err
		}
		argv = append(argv, "--sysroot", filepath.Join(root, "root"))
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, host.Tail(string(out), 20))
	}
	c := cost{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = used.Maxrss // of it and what it has waited for
	}
	return c, nil
}

// cacheOf is where the builds of an image keep what they may use again.
func cacheOf(image string) string { return image + ".cache" }

// fresh is a build that finds nothing of an earlier one.
func fresh(build func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error)) func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
	return func(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
		if err := os.RemoveAll(cacheOf(image)); err != nil {
			return cost{}, err
		}
		return build(ctx, k, r, image)
	}
}

// configure writes what an installation on the row's disks would have in
// /etc, and takes away what belongs to other rows.
func configure(c debian.Chroot, r row) error {
	files := map[string]string{"etc/fstab": "UUID=" + r.fsUUID() + " / " + r.fstype() + " ro 0 1\n", "etc/crypttab": "", "etc/mdadm/mdadm.conf": "HOMEHOST <ignore>\n"}
	files["etc/initramfs-tools/modules"] = strings.Join(r.allModules(), "\n") + "\n"
	files["etc/cryptsetup-initramfs/conf-hook"] = "KEYFILE_PATTERN=\"/etc/keys/*.key\"\nUMASK=0077\n"
	if r.has("luks") {
		files["etc/crypttab"] = "root_x UUID=" + r.layout.UUID("crypt") + " " + keyPath + " luks,initramfs\n"
	}
	if a := r.array(); a != "" {
		files["etc/mdadm/mdadm.conf"] += "ARRAY /dev/md/" + a + " metadata=1.2 UUID=" + r.layout.MDUUID(a) + "\n"
	}
	if r.paths {
		files["etc/multipath.conf"], files["etc/multipath/wwids"] = "defaults {\n}\n", disks.WWIDs("d0")
	}
	if slices.Contains(r.needs, "iscsi") {
		files["etc/iscsi/iscsi.initramfs"], files["etc/iscsi/initiatorname.iscsi"] = "", "InitiatorName="+lan.ISCSIInitiator+"\n"
	}
	if r.remote() {
		files["etc/fstab"] = "# the root is on a server\n"
	}
	for name, text := range files {
		if err := c.Write(name, text, 0o644); err != nil {
			return err
		}
	}
	if r.has("luks") {
		if err := c.Write(strings.TrimPrefix(keyPath, "/"), "secret", 0o600); err != nil {
			return err
		}
	}
	for layer, names := range map[string][]string{"luks": {"crypt*"}, "lvm": {"lvm*"}, "lvm-thin": {"thin-provisioning*"}, "md-": {"mdadm*"}, "btrfs": {"btrfs*"}, "bcache": {"bcache*"}, "multipath": {"multipath*"},
		"iscsi": {"iscsi"}, "nbd": {"nbd*"}} {
		if r.has(layer) || slices.Contains(r.needs, layer) {
			continue
		}
		for _, n := range names {
			for _, dir := range []string{"usr/share/initramfs-tools/hooks/", "usr/share/initramfs-tools/scripts/*/"} {
				if err := c.Remove(dir + n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func buildInitramfsTools(ctx context.Context, k debian.Kernel, r row, image, modules string) (cost, error) {
	if r.layout.ZFS {
		return timed(func() error {
			made, err := debian.ZFSImage(ctx, k)
			if err == nil {
				_, err = host.Run(ctx, "cp", made, image)
			}
			return err
		})
	}
	c, err := debian.Generators(ctx, k, "bench-"+r.name, r.packages...)
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(c.Dir)
	if err := configure(c, r); err != nil {
		return cost{}, err
	}
	if err := c.Write("etc/initramfs-tools/conf.d/modules", "MODULES="+modules+"\nRESUME=none\n", 0o644); err != nil {
		return cost{}, err
	}
	wall, cpu, err := c.Run(ctx, k, "mkinitramfs", "-o", "/out/image", k.Release)
	if err != nil {
		return cost{}, err
	}
	return cost{wall: wall, cpu: cpu}, moveImage(ctx, c, image)
}

func buildDracut(ctx context.Context, k debian.Kernel, r row, image string) (cost, error) {
	c, err := debian.Generators(ctx, k, "bench-"+r.name, r.packages...)
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(c.Dir)
	if err := configure(c, r); err != nil {
		return cost{}, err
	}
	modules := append([]string{"dash", "kernel-modules", "base", "udev-rules", "rootfs-block", "fs-lib"}, r.dracut...)
	argv := []string{"dracut", "--force", "--kver", k.Release, "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode",
		"-m", strings.Join(modules, " "), "--drivers", strings.Join(r.allModules(), " ")}
	if r.has("luks") {
		argv = append(argv, "--include", keyPath, keyPath, "--include", "/etc/crypttab", "/etc/crypttab")
	}
	wall, cpu, err := c.Run(ctx, k, append(argv, "/out/image")...)
	if err != nil {
		return cost{}, err
	}
	return cost{wall: wall, cpu: cpu}, moveImage(ctx, c, image)
}

func moveImage(ctx context.Context, c debian.Chroot, image string) error {
	_, err := host.Run(ctx, "mv", filepath.Join(c.Dir, "out/image"), image)
	return err
}

// timed is how long something took, and the processor time of the programs
// that it ran.
func timed(do func() error) (cost, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before); err != nil {
		return cost{}, err
	}
	start := time.Now()
	if err := do(); err != nil {
		return cost{}, err
	}
	c := cost{wall: time.Since(start)}
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after); err != nil {
		return cost{}, err
	}
	c.cpu = time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return c, nil
}
