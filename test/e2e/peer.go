package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// Whose image a boot may have in place of Firstlight's.
const (
	initramfsTools = "initramfs-tools"
	dracut         = "dracut"
)

// peerModules are in the image of another system whatever it finds out of the
// machine that it is built on, which is not the one that it is for.
var peerModules = []string{"virtio_pci", "virtio_blk", "ext4", "btrfs", "crc32c_generic", "raid1", "raid456", "raid10", "dm_mod", "dm_crypt", "dm_raid",
	"dm_thin_pool", "dm_snapshot", "dm_mirror", "dm_verity", "dm_integrity", "bcache", "aes_generic", "aesni_intel", "xts", "sha256_generic", "algif_skcipher"}

// dracutModules are its parts for the stacks that initramfs-tools do not know.
var dracutModules = []string{"systemd", "systemd-initrd", "dracut-systemd", "systemd-udevd", "systemd-veritysetup", "systemd-integritysetup", "dm", "kernel-modules", "base", "udev-rules",
	"rootfs-block", "fs-lib"}

// peer gives a machine the image of another system.
func peer(ctx context.Context, s Scenario, by string, k debian.Kernel, dir string, m *vm.Machine) error {
	if s.zfs() {
		image, err := debian.ZFSImage(ctx, k)
		m.Initrd = image
		return err
	}
	m.Initrd = filepath.Join(dir, "peer-"+by)
	if _, err := os.Stat(m.Initrd); err == nil {
		return nil
	}
	return peerImage(ctx, by, k, s.Layouts[0], s.PeerPackages, m.Initrd)
}

// peerImage makes the image of another system for a layout, with the
// configuration that is in the layout's root, and with more packages.
func peerImage(ctx context.Context, by string, k debian.Kernel, l disks.Layout, more []string, image string) error {
	packages := []string{"btrfs-progs", "thin-provisioning-tools", "bcache-tools", "systemd"}
	c, err := debian.Generators(ctx, k, "e2e-"+l.Name, slices.Concat(packages, more)...)
	if err != nil {
		return err
	}
	defer os.RemoveAll(c.Dir)
	files := map[string]string{
		"etc/crypttab": "", "etc/mdadm/mdadm.conf": "HOMEHOST <ignore>\n", "etc/initramfs-tools/modules": strings.Join(peerModules, "\n") + "\n",
		"etc/initramfs-tools/conf.d/modules": "MODULES=most\nRESUME=none\n",
	}
	for _, s := range l.Steps {
		fs, ok := s.(disks.FS)
		if !ok {
			continue
		}
		for _, f := range fs.Content.Files {
			if strings.HasPrefix(f.Path, "etc/") && f.Link == "" {
				files[f.Path] = f.Data
			}
		}
	}
	// Its hook takes those that it finds below the root that it runs in, and
	// those that say so.
	files["etc/crypttab"] = strings.ReplaceAll(files["etc/crypttab"], ",x-initrd.attach", ",initramfs")
	for name, text := range files {
		if err := c.Write(name, text, 0o644); err != nil {
			return err
		}
	}
	argv := []string{"mkinitramfs", "-o", "/out/image", k.Release}
	if by == dracut {
		argv = []string{"dracut", "--force", "--kver", k.Release, "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode",
			"-m", strings.Join(dracutModules, " "), "--drivers", strings.Join(peerModules, " ")}
		if files["etc/integritytab"] != "" {
			argv = append(argv, "--include", "/etc/integritytab", "/etc/integritytab")
		}
		argv = append(argv, "/out/image")
	}
	if _, _, err := c.Run(ctx, k, argv...); err != nil {
		return err
	}
	_, err = host.Run(ctx, "mv", filepath.Join(c.Dir, "out/image"), image)
	return err
}

// fewestLines is below what the tools say of any machine.
const fewestLines = 60

// sameAnswers compares what the field's tools said in two boots of the same
// disks, of which theirs had another system's image. differs are expressions of
// lines that may be in one of them alone.
func sameAnswers(dir, theirs string, differs []string) []string {
	var said [2]string
	for i := range said {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("asked%d", i)))
		if err != nil {
			return []string{err.Error()}
		}
		said[i] = string(b)
	}
	return differences(said[0], said[1], theirs, differs)
}

// differences are the lines of two answers that are in one of them alone and
// that no expression allows.
func differences(ours, others, theirs string, differs []string) []string {
	a, b := answers(ours), answers(others)
	var problems []string
	for who, lines := range map[string][]string{"Firstlight": a, theirs: b} {
		if len(lines) < fewestLines {
			problems = append(problems, fmt.Sprintf("after a boot with %s the tools have said only %d lines", who, len(lines)))
		}
	}
	only := func(who string, have, other []string) {
		left := slices.Clone(other)
		for _, line := range have {
			if i := slices.Index(left, line); i >= 0 {
				left = slices.Delete(left, i, i+1)
				continue
			}
			if !slices.ContainsFunc(differs, func(p string) bool { return full(p).MatchString(line) }) {
				problems = append(problems, "only after a boot with "+who+": "+line)
			}
		}
	}
	only("Firstlight", a, b)
	only(theirs, b, a)
	slices.Sort(problems)
	return problems
}

var blanks = regexp.MustCompile(`\s+`)

// answers are the lines of what was answered, each behind the name of the
// question.
func answers(text string) []string {
	var list []string
	question := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(blanks.ReplaceAllString(line, " "))
		if q, ok := strings.CutPrefix(line, "# "); ok {
			question = q
		} else if line != "" {
			// The program that asks gives a mapped device's kernel name so.
			if question == "mounts" {
				line = strings.Replace(line, " /dev/dm:", " /dev/mapper/", 1)
			}
			list = append(list, question+": "+line)
		}
	}
	return list
}
