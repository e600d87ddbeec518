package migrate

import (
	"path"
	"strings"
)

// Reasons that occur more than once.
const (
	found          = "what the machine needs is found out; firstlight detect shows it"
	always         = "every image has it"
	noHook         = "hooks of this tool are not run; say what it is for in a feature, or leave it"
	noShell        = "an image has no shell; /init does it by itself where it is needed"
	notNeeded      = "it has no counterpart, and none is needed"
	noSplash       = "there is no splash screen"
	elsewhere      = "it is an option of the command line: "
	keyboardLayout = "an image has the keyboard's layout and the font that the system has for its console"
	microcode      = "an image for this machine has the microcode for its processor"
	ownNetwork     = "the network is configured by the kernel command line"
)

// dracutModules are the modules of dracut: the feature that each is, or in
// brackets why none is needed, or after a "!" why it cannot be had.
var dracutModules = map[string]string{
	"base": "(" + always, "udev-rules": "(" + always, "rootfs-block": "(" + found, "kernel-modules": "(" + found,
	"kernel-modules-extra": "(" + found, "fs-lib": "(" + always, "terminfo": "(" + notNeeded, "shutdown": "(" + notNeeded,
	"systemd": "(" + notNeeded, "systemd-initrd": "(" + notNeeded, "dracut-systemd": "(" + notNeeded, "systemd-udevd": "(" + notNeeded,
	"systemd-journald": "(" + notNeeded, "systemd-ask-password": "(" + always, "systemd-cryptsetup": "luks", "systemd-repart": "!there is no repartitioning",
	"systemd-hostnamed": "(" + notNeeded, "systemd-modules-load": "(" + notNeeded, "systemd-sysctl": "sysctl",
	"systemd-veritysetup": "verity", "systemd-integritysetup": "integrity", "systemd-sysusers": "(" + notNeeded, "systemd-tmpfiles": "(" + notNeeded,
	"bash": "shell", "dash": "shell", "mksh": "shell", "busybox": "shell", "debug": "rescue", "rescue": "rescue",
	"dm": "dm", "crypt": "luks", "crypt-gpg": "!keys in OpenPGP files are not supported", "crypt-loop": "!keys in loop files are not supported",
	"lvm": "lvm", "lvmthinpool-monitor": "(the real system monitors", "lvmmerge": "(" + always, "mdraid": "md", "dmraid": "!fake RAID is assembled by mdadm (feature md-external)",
	"multipath": "multipath", "bcache": "bcache", "btrfs": "btrfs", "stratis": "!Stratis is not supported", "nvdimm": "nvdimm", "integrity": "integrity",
	"virtiofs": "virtiofs", "virtfs": "virtiofs", "qemu": "virtio", "hyperv": "hyperv", "overlayfs": "overlay", "overlay-root": "overlay-root",
	"resume": "resume", "usrmount": "usr", "fips": "!FIPS checks are not supported", "i18n": "(" + keyboardLayout,
	"plymouth": "!" + noSplash, "drm": "!" + noSplash, "warpclock": "(" + notNeeded, "biosdevname": "!interfaces have the names of udev's rules",
	"network": "network", "network-manager": "network", "network-legacy": "network", "systemd-networkd": "network", "net-lib": "network",
	"nfs": "nfs", "iscsi": "iscsi", "nbd": "nbd", "nvmf": "nvmf", "cifs": "cifs", "fcoe": "fcoe", "fcoe-uefi": "fcoe", "ssh-client": "!files are not fetched by ssh",
	"livenet": "live", "dmsquash-live": "live", "dmsquash-live-autooverlay": "live", "img-lib": "live", "url-lib": "live",
	"tpm2-tss": "!unlocking by the TPM is not supported", "fido2": "!unlocking by a FIDO2 token is not supported", "pkcs11": "!unlocking by a smart card is not supported",
	"sshd": sshServer, "crypt-ssh": sshServer, "clevis": "clevis", "clevis-pin-tang": "clevis", "clevis-pin-sss": "clevis", "clevis-pin-tpm2": "!unlocking by the TPM is not supported",
	"memstrack": "(" + notNeeded, "squash": "(" + notNeeded, "pollcdrom": "(" + always, "lunmask": "!LUN masks are not supported", "securityfs": "!IMA, EVM and SELinux are left to the real system",
	"selinux": "!IMA, EVM and SELinux are left to the real system", "masterkey": "!IMA, EVM and SELinux are left to the real system", "simpledrm": "!" + noSplash, "uefi-lib": "(" + notNeeded,
}

// translate puts a name into the configuration by a table.
func (m *migration) translate(table map[string]string, key, name, where string) {
	switch to, known := table[name]; {
	case !known:
		m.left(where, name, "Firstlight does not know it; "+noHook)
	case strings.HasPrefix(to, "("):
		m.done(where, name, to[1:])
	case strings.HasPrefix(to, "!"):
		m.left(where, name, to[1:])
	case key == "omit_features":
		m.omit(to, where, name)
	default:
		m.feature(to, where, name)
	}
}

func (m *migration) omit(name, where, what string) {
	for _, f := range m.features {
		if f == name {
			m.set("omit_features", name, where)
			return
		}
	}
	m.done(where, what, "images have nothing of the kind anyway")
}

func dracut(m *migration, f File) {
	for _, a := range assignments(m, f) {
		if !a.add {
			m.again(dracutKeys[a.name])
		}
		m.dracutSetting(a)
	}
}

// dracutKeys are the keys of ours that a setting of dracut's fills, so that it
// can be set anew.
var dracutKeys = map[string]string{"add_drivers": "modules", "omit_drivers": "omit_modules", "install_items": "file", "install_optional_items": "file?", "kernel_cmdline": "cmdline"}

// again forgets what a list held, because it is set anew.
func (m *migration) again(key string) {
	if key != "" {
		m.unset(key)
	}
}

func (m *migration) dracutSetting(a assignment) {
	each := func(f func(word string)) {
		for _, w := range a.words() {
			f(w)
		}
	}
	text := a.name + "=" + a.value()
	yes := strings.EqualFold(a.value(), "yes")
	switch a.name {
	case "add_dracutmodules", "force_add_dracutmodules", "dracutmodules":
		each(func(w string) { m.translate(dracutModules, "features", w, a.where) })
		if a.name == "dracutmodules" {
			m.left(a.where, text, "that nothing else comes along cannot be said: "+found)
		}
	case "omit_dracutmodules":
		each(func(w string) {
			if to := dracutModules[w]; to == "" || to[0] == '(' || to[0] == '!' {
				m.done(a.where, w, "images have nothing of the kind anyway, or need it")
				return
			}
			m.translate(dracutModules, "omit_features", w, a.where)
		})
	case "add_drivers", "force_drivers", "drivers", "filesystems":
		each(func(w string) { m.module("modules", w, a.where) })
		switch a.name {
		case "force_drivers":
			m.left(a.where, text, "the modules are in the image; that they are loaded early is said by rd.driver.pre= on the command line")
		case "drivers", "filesystems":
			m.left(a.where, text, "that no others come along cannot be said: "+found)
		}
	case "omit_drivers":
		each(func(w string) {
			if strings.ContainsAny(w, "^$+\\(|") || strings.Contains(w, ".*") {
				m.left(a.where, w, "a regular expression; omit_modules has names and patterns of paths")
				return
			}
			m.module("omit_modules", w, a.where)
		})
	case "install_items", "install_optional_items":
		each(func(w string) { m.file(w, a.where, a.name == "install_optional_items") })
	case "remove_items":
		m.left(a.where, text, "files are not taken out; leave out the feature that brings them")
	case "kernel_cmdline":
		m.set("cmdline", a.value(), a.where)
	case "compress":
		method, _, _ := strings.Cut(a.value(), " ")
		m.compression(path.Base(method), a.where)
		if method != a.value() {
			m.left(a.where, text, "arguments of the compressor; a level is said as in zstd:19")
		}
	case "compress_level_zstd", "compress_level_gzip", "compress_level_xz", "compress_level_lz4", "compress_level_bzip2", "compress_level_lzma", "compress_level_lzop":
		if strings.TrimPrefix(a.name, "compress_level_") == m.method {
			m.level = a.value()
		} else {
			m.left(a.where, text, "it is of another method than the one that is used")
		}
	case "hostonly":
		if yes || a.value() == "" {
			m.done(a.where, text, "it is so without a setting")
		} else {
			m.set("mode", "generic", a.where)
		}
	case "do_strip", "aggressive_strip":
		m.done(a.where, text, "programs and modules are taken as they are; strip = true takes the debug sections out of modules, and their signatures with them")
	case "fscks":
		m.done(a.where, text, found)
	case "nofscks":
		if yes {
			m.omit("fsck", a.where, text)
		}
	case "mdadmconf", "lvmconf", "use_fstab", "hostonly_cmdline", "hostonly_mode", "hostonly_nics", "reproducible", "do_hardlink", "persistent_policy", "machine_id", "kernel_only", "no_kernel", "ro_mnt", "parallel", "noimageifnotneeded":
		m.done(a.where, text, notNeeded)
	case "add_device", "add_fstab":
		m.left(a.where, text, "what the root does not need is not waited for; name it on the kernel command line")
	case "early_microcode":
		if yes {
			m.done(a.where, text, microcode)
		} else {
			m.omit("microcode", a.where, text)
		}
	case "i18n_vars", "i18n_install_all", "i18n_default_font":
		m.done(a.where, text, keyboardLayout)
	case "uefi", "ukify", "uefi_stub", "uefi_splash_image", "uefi_secureboot_cert", "uefi_secureboot_key", "uefi_secureboot_engine", "kernel_image", "sbat":
		m.left(a.where, text, "unified kernel images are made with install.layout = \"uki\" and the table [uki]")
	case "acpi_override":
		m.left(a.where, text, "name the tables with acpi_tables")
	case "acpi_table_dir":
		m.set("acpi_tables", strings.TrimSuffix(a.value(), "/")+"/*.aml", a.where)
	case "fw_dir", "libdirs", "drivers_dir", "tmpdir", "prefix", "logfile", "stdloglvl", "sysloglvl", "fileloglvl", "show_modules", "loginstall", "enhanced_cpio", "squash_compress", "sshkey",
		"initrdname", "dracut_rescue_image", "add_dlopen_features", "omit_dlopen_features":
		m.left(a.where, text, "it has no counterpart")
	default:
		m.left(a.where, text, "it is no setting of dracut that is known")
	}
}
