package e2e

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"firstlight/test/debian"
	"firstlight/test/host"
	"firstlight/test/signing"
	"firstlight/test/vm"
)

// Unified says what the unified images of a scenario are made with.
type Unified struct {
	New   bool   // the stub of systemd 257, not that of 252
	Addon string // a command line that an addon adds
	// Sealed has policies for PCR 11 signed, by the same key.
	Sealed bool
	Files  []Include // beside the image on its disk
}

// tampering is what was done to an image after it was signed.
type tampering string

// What can be done: the signature taken off, a letter of the command line changed.
const (
	unsigned tampering = "unsigned"
	changed  tampering = "changed"
)

// partition is the size of the disk with the images, in MiB.
const partition = 128

// unify makes the disk that the firmware starts the image from, or the file that it
// fetches from the server: a unified image of what QEMU would have been told.
func (r *Runner) unify(ctx context.Context, s Scenario, k debian.Kernel, how tampering, dir string, m *vm.Machine) error {
	key, cert, err := signingFiles(dir)
	if err != nil {
		return err
	}
	linux, addon, err := stubs(ctx, s.Unified.New)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "uki.toml") // so that this machine's counts for nothing
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		return err
	}
	image := filepath.Join(dir, "unified.efi")
	argv := []string{r.Firstlight, "uki", "build", "--config", config, "--stub", linux, "--linux", k.Image(), "--initrd", m.Initrd, "--cmdline", m.Append, "--output", image}
	if how != unsigned {
		argv = append(argv, "--key", key, "--certificate", cert)
	}
	if s.Unified.Sealed {
		argv = append(argv, "--pcr-key", key, "--pcr-banks", "sha256")
	}
	if _, err := host.Run(ctx, argv...); err != nil {
		return err
	}
	if how == changed {
		if err := change(image); err != nil {
			return err
		}
	}
	if s.Net != nil && s.Net.Netboot {
		m.Kernel, m.Initrd, m.Append = image, "", ""
		return nil
	}
	files := map[string]string{"EFI/BOOT/BOOTX64.EFI": image}
	if s.Unified.Addon != "" {
		file := filepath.Join(dir, "extra.addon.efi")
		if _, err := host.Run(ctx, r.Firstlight, "uki", "build", "--config", config, "--addon", "--stub", addon, "--cmdline", s.Unified.Addon, "--key", key, "--certificate", cert, "--output", file); err != nil {
			return err
		}
		files["EFI/BOOT/BOOTX64.EFI.extra.d/extra.addon.efi"] = file
	}
	for i, f := range s.Unified.Files {
		file := filepath.Join(dir, fmt.Sprintf("extra%d", i))
		if err := os.WriteFile(file, []byte(f.Data), 0o644); err != nil {
			return err
		}
		files[f.Path] = file
	}
	disk := filepath.Join(dir, "esp.img")
	if err := fat(ctx, disk, files); err != nil {
		return err
	}
	m.Kernel, m.Initrd, m.Append = "", "", ""
	m.Disks = append(slices.Clone(m.Disks), vm.Disk{File: disk, Serial: "esp", Boots: true, ReadOnly: true})
	return nil
}

// stubs are systemd's for images and for addons.
func stubs(ctx context.Context, newer bool) (linux, addon string, err error) {
	const dir = "/usr/lib/systemd/boot/efi"
	if !newer {
		return dir + "/linuxx64.efi.stub", "", nil
	}
	tools, err := debian.UKITools(ctx)
	return filepath.Join(tools.Dir, dir, "linuxx64.efi.stub"), filepath.Join(tools.Dir, dir, "addonx64.efi.stub"), err
}

// signingFiles writes the key that signs, and its certificate.
func signingFiles(dir string) (key, cert string, err error) {
	key, cert = filepath.Join(dir, "db.key"), filepath.Join(dir, "db.crt")
	der, err := signing.Certificate()
	if err == nil {
		err = os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	}
	if err == nil {
		err = os.WriteFile(key, []byte(signing.PEM()), 0o600)
	}
	return key, cert, err
}

// change changes a letter of an image's command line.
func change(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	at := bytes.LastIndex(b, []byte(" quiet "))
	if at < 0 {
		return errors.New("the image has no command line with quiet in it")
	}
	b[at+1] = 'Q'
	return os.WriteFile(name, b, 0o644)
}

// fat makes a disk with a FAT filesystem and files in it, by their paths.
func fat(ctx context.Context, disk string, files map[string]string) error {
	if err := os.Remove(disk); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.Create(disk)
	if err == nil {
		err = errors.Join(f.Truncate(partition<<20), f.Close())
	}
	if err == nil {
		_, err = host.Run(ctx, "mkfs.vfat", "-F", "32", "-n", "ESP", disk)
	}
	if err != nil {
		return err
	}
	made := map[string]bool{".": true}
	for path, from := range files {
		var dirs []string
		for d := filepath.Dir(path); !made[d]; d = filepath.Dir(d) {
			dirs = append(dirs, "::/"+d)
			made[d] = true
		}
		slices.Reverse(dirs)
		if len(dirs) > 0 {
			if _, err := host.Run(ctx, append([]string{"mmd", "-i", disk}, dirs...)...); err != nil {
				return err
			}
		}
		if _, err := host.Run(ctx, "mcopy", "-i", disk, from, "::/"+path); err != nil {
			return err
		}
	}
	return nil
}
