package build

import (
	"fmt"
	"path"
	"strings"

	"firstlight/internal/uki/measure"
)

// LayoutUKI is the layout in which the boot loader is given unified kernel images.
const LayoutUKI = "uki"

// UKI says what unified kernel images are made of besides the kernel and the
// initramfs. Files are those of the system that the images are for.
type UKI struct {
	Stub        string   `toml:"stub"`       // systemd-stub; "" is where its package has it
	Cmdline     string   `toml:"cmdline"`    // "" is what the system has for it
	OSRelease   string   `toml:"os_release"` // a file
	Splash      string   `toml:"splash"`     // a BMP
	Microcode   string   `toml:"microcode"`
	DeviceTree  string   `toml:"devicetree"`
	DeviceTrees []string `toml:"devicetrees"` // of which the stub chooses
	HWIDs       string   `toml:"hwids"`       // a directory
	SBAT        string   `toml:"sbat"`        // a file, instead of our own line

	Key         string `toml:"key"`         // for Secure Boot, PEM
	Certificate string `toml:"certificate"` // its own and those that lead from it, PEM

	PCRKeys   []string `toml:"pcr_keys"` // PEM
	PCRPhases []string `toml:"pcr_phases"`
	PCRBanks  []string `toml:"pcr_banks"`

	Profiles []UKIProfile `toml:"profile"`
}

// UKIProfile is another way to start the image.
type UKIProfile struct {
	ID      string `toml:"id"`
	Title   string `toml:"title"`
	Cmdline string `toml:"cmdline"`
}

func (u *UKI) check() error {
	for _, f := range append([]string{u.Stub, u.OSRelease, u.Splash, u.Microcode, u.DeviceTree, u.HWIDs, u.SBAT, u.Key, u.Certificate}, append(u.DeviceTrees, u.PCRKeys...)...) {
		if f != "" && !path.IsAbs(f) {
			return fmt.Errorf("uki: the path %q must be absolute", f)
		}
	}
	if (u.Key == "") != (u.Certificate == "") {
		return fmt.Errorf("uki.key and uki.certificate belong together: only one of them is there")
	}
	if _, err := measure.FindBanks(u.PCRBanks); err != nil {
		return fmt.Errorf("uki.pcr_banks: %w", err)
	}
	if _, err := measure.ParsePaths(strings.Join(u.PCRPhases, ",")); err != nil {
		return fmt.Errorf("uki.pcr_phases: %w", err)
	}
	if strings.ContainsAny(u.Cmdline, "\n\x00") {
		return fmt.Errorf("uki.cmdline holds more than one line")
	}
	for _, p := range u.Profiles {
		if p.ID == "" || strings.ContainsAny(p.ID+p.Title+p.Cmdline, "\n\x00") {
			return fmt.Errorf("uki.profile %q: it needs an id, and each value is one line", p.ID)
		}
	}
	return nil
}

func ukiKeys() []Key {
	return []Key{
		{"uki.stub", "path", "/usr/lib/systemd/boot/efi/linux….efi.stub", "The systemd-stub that unified kernel images begin with.", `stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"`},
		{"uki.cmdline", "kernel command line", "/etc/kernel/cmdline, /usr/lib/kernel/cmdline, or the one of the running kernel", "The command line in the image.", `cmdline = "root=UUID=… ro"`},
		{"uki.os_release", "path", "/etc/os-release", "The file by which boot loaders name the image.", `os_release = "/etc/os-release"`},
		{"uki.splash", "path", "none", "A picture (BMP) that the stub shows.", `splash = "/usr/share/splash.bmp"`},
		{"uki.microcode", "path", "none", "An archive with microcode that the kernel looks into before the initramfs.", `microcode = "/boot/amd-ucode.img"`},
		{"uki.devicetree", "path", "none", "A device tree for any machine.", `devicetree = "/usr/lib/board.dtb"`},
		{"uki.devicetrees", "list of paths", "none", "Device trees of which the stub chooses by the machine.", `devicetrees = ["/usr/lib/a.dtb"]`},
		{"uki.hwids", "path", "none", "A directory with descriptions of machines (*.json) by which it chooses.", `hwids = "/usr/lib/hwids"`},
		{"uki.sbat", "path", "a line for the image itself", "A table for SBAT that is added to those of stub and kernel.", `sbat = "/etc/kernel/sbat.csv"`},
		{"uki.key", "path", "none", "The RSA key, in PEM, that images are signed with for Secure Boot.", `key = "/etc/kernel/secure-boot.key"`},
		{"uki.certificate", "path", "none", "Its certificate, in PEM, and those that lead from it to one that the firmware has.", `certificate = "/etc/kernel/secure-boot.crt"`},
		{"uki.pcr_keys", "list of paths", "none", "RSA keys, in PEM, that sign what PCR 11 of a TPM will be.", `pcr_keys = ["/etc/kernel/pcr.key"]`},
		{"uki.pcr_phases", "list of phases with colons between", "those that there are with this initramfs, to ready", "The points of the boot that are signed for.", `pcr_phases = ["sysinit", "sysinit:ready"]`},
		{"uki.pcr_banks", "list of sha1, sha256, sha384, sha512", "all", "The banks of the TPM that are signed for.", `pcr_banks = ["sha256"]`},
		{"uki.profile.id", "word", "", "Another way to start the image. [[uki.profile]] begins each.", `id = "rescue"`},
		{"uki.profile.title", "text", "none", "Its name in the boot loader's menu.", `title = "Rescue"`},
		{"uki.profile.cmdline", "kernel command line", "that of the image", "Its command line.", `cmdline = "root=UUID=… rd.break"`},
	}
}
