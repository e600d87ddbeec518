package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/guest/report"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// How long each system takes from "Run /init" to the real init with a root on a
// server of disks, in the same run:
//
//	FIRSTLIGHT_NET_FIGURES=3 go test ./test/e2e -run TestRootsOnServersOfDisksAreQuick -v
//
// The number is how often each boots, in turn; the medians are compared. Images of
// the others are kept in the cache; FIRSTLIGHT_NET_PEERS names those that are
// measured, with commas between them, all without it.
func TestRootsOnServersOfDisksAreQuick(t *testing.T) {
	runs, _ := strconv.Atoi(os.Getenv("FIRSTLIGHT_NET_FIGURES"))
	if runs < 1 {
		t.Skip("boots machines for many minutes: FIRSTLIGHT_NET_FIGURES=3")
	}
	ctx := t.Context()
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := host.Cache()
	if err != nil {
		t.Fatal(err)
	}
	k, err := debian.GetKernel(ctx, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &Runner{Firstlight: filepath.Join(checkout, "bin/firstlight"), Cache: filepath.Join(cache, "firstlight"), Dir: dir}
	if r.Made, err = disks.Make(ctx, disks.Whole); err != nil {
		t.Fatal(err)
	}
	const at = serverAddress
	for _, c := range []struct {
		what   string
		server Server
		// lines are the command lines by whose image boots.
		lines map[string]string
		need  string
	}{
		{"NBD", nbdServer(disks.Whole, "", ""), map[string]string{"": "ip=dhcp root=nbd:" + at + ":root:ext4", initramfsTools: "ip=dhcp root=/dev/nbd0 nbdroot=" + at + ",root,nbd0",
			dracut: "ip=dhcp rd.neednet=1 root=nbd:" + at + ":root:ext4"}, "nbd"},
		{"NVMe over TCP", nvmeServer(disks.Whole, 4420), map[string]string{"": "ip=dhcp root=LABEL=whole rd.nvmf.discover=tcp," + at + ",,4420",
			dracut: "ip=dhcp rd.neednet=1 root=LABEL=whole rd.nvmf.discover=tcp," + at + ",,4420"}, "nvmf"},
	} {
		if peers, ok := os.LookupEnv("FIRSTLIGHT_NET_PEERS"); ok {
			for by := range c.lines {
				if by != "" && !slices.Contains(strings.Split(peers, ","), by) {
					delete(c.lines, by)
				}
			}
		}
		if len(c.lines) < 2 {
			continue
		}
		took := map[string][]float64{}
		images := map[string]string{}
		for by := range c.lines {
			sub := filepath.Join(dir, c.need+by)
			if err := os.MkdirAll(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			if images[by], err = netImage(ctx, r, by, c.need, k, sub); err != nil {
				t.Fatalf("%s by %q: %v", c.what, by, err)
			}
		}
		for i := range runs {
			for by, line := range c.lines {
				seconds, err := netBoot(ctx, r, k, images[by], line, c.server, filepath.Join(dir, c.need+by+strconv.Itoa(i)))
				if err != nil {
					t.Errorf("%s by %q: %v", c.what, by, err)
					continue
				}
				took[by] = append(took[by], seconds)
			}
		}
		for by, list := range took {
			slices.Sort(list)
			name := by
			if by == "" {
				name = "Firstlight"
			}
			t.Logf("%s, %s: %.2f s (of %v)", c.what, name, list[len(list)/2], list)
		}
	}
}

// netImage makes the image of a system for a root that needs a feature.
func netImage(ctx context.Context, r *Runner, by, need string, k debian.Kernel, dir string) (string, error) {
	if by == "" {
		return r.build(ctx, Scenario{For: &Target{FS: "ext4", Needs: []string{need}, Modules: []string{"virtio_net"}}}, k, dir)
	}
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, "net-figures", need+"-"+by+"-"+k.Release)
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	if err := os.MkdirAll(filepath.Dir(image), 0o755); err != nil {
		return "", err
	}
	c, err := debian.Generators(ctx, k, "e2e-net-"+need+by, "nbd-client", "nvme-cli", "dracut-network", "isc-dhcp-client", "iproute2", "iputils-arping", "jq")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(c.Dir)
	modules := append(slices.Clone(peerModules), "virtio_net", "af_packet", "nbd", "nvme_tcp")
	argv := []string{"mkinitramfs", "-o", "/out/image", k.Release}
	if by == dracut {
		argv = []string{"dracut", "--force", "--kver", k.Release, "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode", "-m",
			strings.Join(append(slices.Clone(dracutModules), "network-legacy", need), " "), "--drivers", strings.Join(modules, " "), "/out/image"}
	}
	for name, text := range map[string]string{"etc/initramfs-tools/modules": strings.Join(modules, "\n") + "\n", "etc/initramfs-tools/conf.d/modules": "MODULES=most\nRESUME=none\n"} {
		if err := c.Write(name, text, 0o644); err != nil {
			return "", err
		}
	}
	if _, _, err := c.Run(ctx, k, argv...); err != nil {
		return "", err
	}
	_, err = host.Run(ctx, "mv", filepath.Join(c.Dir, "out/image"), image)
	return image, err
}

// netBoot boots once and returns the seconds from "Run /init" to the real init.
func netBoot(ctx context.Context, r *Runner, k debian.Kernel, image, line string, s Server, dir string) (float64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	w, nics, err := (&Net{NICs: []vm.NIC{{}}, Server: s}).start(ctx, r, dir)
	if err != nil {
		return 0, err
	}
	defer w.close()
	ctx, cancel := context.WithTimeout(ctx, defaultLimit)
	defer cancel()
	v, err := vm.Run(ctx, vm.Machine{Kernel: k.Image(), Initrd: image, Memory: 1024, NICs: nics, Append: "console=ttyS0 quiet panic=-1 no_timer_check ro fltest.kmsg " + line})
	if err != nil {
		return 0, err
	}
	defer v.Close()
	if err := v.Wait(ctx); err != nil {
		return 0, err
	}
	ms, err := report.Parse([]byte(v.Report.Text()))
	if err != nil {
		return 0, err
	}
	var from, to float64
	for l := range bytes.Lines(report.Files(ms)["kmsg"]) {
		head, text, _ := strings.Cut(string(l), ";")
		f := strings.Split(head, ",")
		if len(f) < 3 {
			continue
		}
		micros, _ := strconv.ParseFloat(f[2], 64)
		switch {
		case strings.HasPrefix(text, "Run /init"):
			from = micros / 1e6
		case strings.HasPrefix(text, "REAL-INIT") && to == 0:
			to = micros / 1e6
		}
	}
	if from == 0 || to == 0 {
		return 0, &os.PathError{Op: "find the real init in the log of", Path: dir, Err: os.ErrNotExist}
	}
	return to - from, nil
}
