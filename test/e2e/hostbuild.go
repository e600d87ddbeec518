package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// hostBuildArgs make a Debian run test/guest/hostbuild from the disk of tools,
// in place of what it would start otherwise.
const hostBuildArgs = ` systemd.default_device_timeout_sec=600 systemd.unit=kernel-command-line.target systemd.run="/bin/sh -c 'mount -o ro /dev/disk/by-id/virtio-tools /mnt && exec /mnt/bin/hostbuild'"`

// buildLimit is how long a guest may take to build an image: it compresses in
// an emulated machine.
const buildLimit = 15 * time.Minute

// outMiB is the room for an image on its way out of the guest.
const outMiB = 64

// buildDisks are the two disks of a guest that builds its own image: the tools
// with the kernel's modules, and one that takes the image.
func (r *Runner) buildDisks(ctx context.Context, k debian.Kernel, dir string) ([]vm.Disk, error) {
	tree := filepath.Join(dir, "tools")
	bin := filepath.Join(tree, "bin") // firstlight finds /init beside itself in one of that name
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	if _, err := host.GoBuild(ctx, "./test/guest/hostbuild", bin); err != nil {
		return nil, err
	}
	built, err := os.ReadDir(filepath.Dir(r.Firstlight))
	if err != nil {
		return nil, err
	}
	for _, p := range built {
		if !p.Type().IsRegular() {
			continue
		}
		if _, err := host.Run(ctx, "cp", filepath.Join(filepath.Dir(r.Firstlight), p.Name()), bin); err != nil {
			return nil, err
		}
	}
	if _, err := host.Run(ctx, "cp", "-a", k.Modules(), filepath.Join(tree, "modules")); err != nil {
		return nil, err
	}
	tools, out := filepath.Join(dir, "tools.img"), filepath.Join(dir, "out.img")
	if _, err := host.Run(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", tree, tools, "700M"); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(tree); err != nil {
		return nil, err
	}
	f, err := os.Create(out)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(outMiB << 20); err != nil {
		return nil, err
	}
	return []vm.Disk{{File: tools, Serial: "tools", ReadOnly: true}, {File: out, Serial: "out"}}, nil
}

// builtImage takes the image that the guest has built from its disk, and
// looks at what the guest found that it needs.
func builtImage(s Scenario, dir string) (string, error) {
	need, err := os.ReadFile(filepath.Join(dir, "detect.json0"))
	if err != nil {
		return "", err
	}
	for _, fact := range s.Detects {
		if !strings.Contains(string(need), `"`+fact+`"`) {
			return "", fmt.Errorf("the machine needs %s, which detect has not found:\n%s", fact, need)
		}
	}
	if trace, err := os.ReadFile(filepath.Join(dir, "trace.txt0")); err != nil || !strings.Contains(string(trace), "to the switch to the real system") {
		return "", fmt.Errorf("firstlight trace has not shown the boot (%v):\n%s", err, trace)
	}
	foretold, err := os.ReadFile(filepath.Join(dir, "check.json0"))
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(foretold), `"verdict": "would boot"`) {
		return "", fmt.Errorf("the machine boots, and firstlight check says there:\n%s", foretold)
	}
	if !strings.Contains(string(foretold), `"warnings": []`) {
		return "", fmt.Errorf("nothing is wrong with the machine, and firstlight check warns there:\n%s", foretold)
	}
	f, err := os.Open(filepath.Join(dir, "out.img"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	var length [8]byte
	if _, err := io.ReadFull(f, length[:]); err != nil {
		return "", err
	}
	size := binary.BigEndian.Uint64(length[:])
	if size == 0 || size > outMiB<<20-8 {
		return "", fmt.Errorf("the guest has left no image: %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return "", err
	}
	image := filepath.Join(dir, "host-image")
	return image, os.WriteFile(image, data, 0o600)
}

// hostBuilt are installed Debians that build an image for themselves, and then
// start with it.
func hostBuilt() []Scenario {
	plain, stack := disks.DebianPlain("bookworm"), disks.DebianStack("bookworm")
	boots := func(do []Action, w Want) []Boot {
		w.Debian = true
		return []Boot{
			{Limit: buildLimit, Do: do, Want: Want{Builds: true, Prompts: w.Prompts}},
			{Limit: 6 * time.Minute, Do: do, Want: w},
		}
	}
	return []Scenario{
		{Name: "host-build-plain", Layouts: on(plain), Memory: 1024, HostBuild: true, Detects: []string{"fstype:ext4"},
			Append: "ro " + uuid(plain.FSUUID("root")), Boots: boots(nil, Want{})},
		{Name: "host-build-stack", Layouts: on(stack), Memory: 1024, HostBuild: true,
			Detects: []string{"fstype:ext4", "layer:luks", "layer:lvm", "layer:md-raid1"},
			Append:  "ro rd.luks.name=" + stack.UUID("crypt") + "=cryptroot root=/dev/mapper/cryptroot",
			Boots: boots([]Action{{When: promptText, Type: disks.Passphrase + "\r"}},
				Want{Prompts: 1, Mapped: []string{"cryptroot", "vg-crypt"}})},
	}
}
