package migrate

import (
	"fmt"
	"path"
	"strings"
)

// initramfsTools reads a file of initramfs-tools: its settings, its list of
// modules, or the name of a hook or script.
func initramfsTools(m *migration, f File) {
	base := path.Base(f.Name)
	switch dir := path.Dir(f.Name); {
	case base == "modules" && !strings.Contains(dir, "hooks"):
		m.moduleList(f)
	case strings.Contains(dir, "/hooks"), strings.Contains(dir, "/scripts"):
		m.left(f.Name, base, noHook)
	default:
		for _, a := range assignments(m, f) {
			m.initramfsSetting(a)
		}
	}
}

// moduleList reads a list of modules, with their parameters after their names.
func (m *migration) moduleList(f File) {
	n := 0
	for line := range strings.Lines(f.Text) {
		n++
		text, _, _ := strings.Cut(line, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", f.Name, n)
		m.module("modules", words[0], where)
		if len(words) > 1 {
			m.set("cmdline", words[0]+"."+strings.Join(words[1:], " "+words[0]+"."), where)
		}
		m.done(where, strings.Join(words, " "), "it is in the image and loaded when a device asks for it; rd.driver.pre="+words[0]+" on the command line loads it in any case")
	}
}

func (m *migration) initramfsSetting(a assignment) {
	text, v := a.name+"="+a.value(), a.value()
	switch a.name {
	case "MODULES":
		switch v {
		case "most":
			m.set("mode", "generic", a.where)
		case "dep":
			m.done(a.where, text, "it is so without a setting")
		default:
			m.left(a.where, text, "there are images for this machine, for any, and for one that [root] describes")
		}
	case "COMPRESS":
		m.compression(v, a.where)
	case "COMPRESSLEVEL":
		m.level = v
	case "BUSYBOX":
		if v == "y" {
			m.feature("shell", a.where, text)
		} else {
			m.done(a.where, text, noShell)
		}
	case "RESUME":
		switch v {
		case "none":
			m.set("cmdline", "noresume", a.where)
		case "auto", "":
			m.done(a.where, text, found)
		default:
			m.set("cmdline", "resume="+v, a.where)
		}
	case "KEYMAP":
		if v == "y" {
			m.done(a.where, text, keyboardLayout)
		} else {
			m.done(a.where, text, notNeeded)
		}
	case "BOOT":
		if v == "local" || v == "" {
			m.done(a.where, text, "the root says it")
		} else {
			m.set("cmdline", "boot="+v, a.where)
		}
	case "NFSROOT":
		if v == "auto" || v == "" {
			m.done(a.where, text, notNeeded)
		} else {
			m.set("cmdline", "nfsroot="+v, a.where)
		}
	case "IP":
		if v != "" && v != "off" {
			m.set("cmdline", "ip="+v, a.where)
		}
	case "DEVICE":
		if v != "" {
			m.left(a.where, text, ownNetwork+" (ip=)")
		}
	case "ROOT":
		if v != "" {
			m.set("cmdline", "root="+v, a.where)
		}
	case "FSTYPE":
		if v == "auto" || v == "" {
			m.done(a.where, text, found)
		} else {
			for t := range strings.SplitSeq(v, ",") {
				m.feature(t, a.where, text)
			}
		}
	case "UMASK":
		m.done(a.where, text, "an image with secrets is readable for root alone")
	case "RUNSIZE":
		m.left(a.where, text, "it has no counterpart")
	case "update_initramfs":
		if v == "no" {
			m.left(a.where, text, "images are made whenever a package asks for it")
		} else {
			m.done(a.where, text, notNeeded)
		}
	case "backup_initramfs":
		m.done(a.where, text, "the last image that booted stays anyway; backup = false in [install] ends that")
	case "CRYPTSETUP", "KEYFILE_PATTERN", "ASKPASS":
		m.left(a.where, text, "the file that crypttab names is put into the image by [[file]], with secret = true")
	default:
		m.left(a.where, text, "it is no setting of initramfs-tools that is known")
	}
}

// mkinitcpioHooks are the hooks of mkinitcpio, as dracutModules has them.
var mkinitcpioHooks = map[string]string{
	"base": "(" + always, "udev": "(" + always, "systemd": "(" + notNeeded, "autodetect": "(" + found, "modconf": "(" + always, "block": "(" + found,
	"filesystems": "(" + found, "kms": "!" + noSplash, "keyboard": "keyboard", "keymap": "(" + keyboardLayout,
	"consolefont": "(" + keyboardLayout, "sd-vconsole": "(" + keyboardLayout,
	"fsck": "fsck", "encrypt": "luks", "sd-encrypt": "luks", "lvm2": "lvm", "sd-lvm2": "lvm", "mdadm_udev": "md", "mdadm": "md", "dmraid": "!fake RAID is assembled by mdadm (feature md-external)",
	"resume": "resume", "usr": "usr", "shutdown": "(" + notNeeded, "sd-shutdown": "(" + notNeeded, "sleep": "(nothing is waited for by time", "strip": "(" + notNeeded,
	"microcode": "(" + microcode, "acpi_override": "!name the tables with acpi_tables",
	"hostdata": "(" + notNeeded, "memdisk": "!memdisk is not supported", "net": "network", "plymouth": "!" + noSplash, "sd-plymouth": "!" + noSplash, "zfs": "zfs", "sd-zfs": "zfs",
	"btrfs": "btrfs", "bcachefs": "bcachefs", "bcache": "bcache", "multipath": "multipath", "sd-verity": "verity", "sd-volatile": "overlay-root", "virtiofs": "virtiofs",
	"dropbear": sshServer, "tinyssh": sshServer, "netconf": "network", "encryptssh": sshServer, "clevis": "clevis", "overlayfs": "overlay-root", "grub-btrfs-overlayfs": "overlay-root",
}

func mkinitcpio(m *migration, f File) {
	if dir := path.Dir(f.Name); strings.HasSuffix(dir, "/install") || strings.HasSuffix(dir, "/hooks") {
		m.left(f.Name, path.Base(f.Name), noHook)
		return
	}
	generic := true
	for _, a := range assignments(m, f) {
		text := a.name + "=(" + a.value() + ")"
		switch a.name {
		case "MODULES":
			for _, w := range a.words() {
				if name, optional := strings.CutSuffix(w, "?"); optional {
					m.module("try_modules", name, a.where)
				} else {
					m.module("modules", w, a.where)
				}
			}
		case "BINARIES":
			for _, w := range a.words() {
				m.set("programs", w, a.where)
			}
		case "FILES":
			for _, w := range a.words() {
				m.file(w, a.where, false)
			}
		case "HOOKS":
			for _, w := range a.words() {
				generic = generic && w != "autodetect"
				m.translate(mkinitcpioHooks, "features", w, a.where)
			}
			if generic {
				m.set("mode", "generic", a.where+", without the hook autodetect")
			}
		case "COMPRESSION":
			m.compression(path.Base(a.value()), a.where)
		case "COMPRESSION_OPTIONS":
			m.options(a)
		case "MODULES_DECOMPRESS":
			m.done(a.where, text, "modules are always unpacked: compressed once more they would be larger")
		default:
			m.left(a.where, text, "it is no setting of mkinitcpio that is known")
		}
	}
}

// options takes the level out of the options of a compressor.
func (m *migration) options(a assignment) {
	for _, w := range a.words() {
		switch level := strings.TrimLeft(w, "-"); {
		case level != "" && strings.Trim(level, "0123456789") == "":
			m.level = level
		case w == "-T0" || strings.HasPrefix(w, "--threads"):
			m.done(a.where, w, "all processors are used")
		default:
			m.left(a.where, w, "options of the compressor other than its level are not passed on")
		}
	}
}

// booster reads booster.yaml: keys, at most one below another, and lists.
func booster(m *migration, f File) {
	table := "" // the key that the lines are below
	n := 0
	for line := range strings.Lines(f.Text) {
		n++
		where := fmt.Sprintf("%s:%d", f.Name, n)
		text := strings.TrimRight(line, " \t\r\n")
		if i := strings.Index(text, " #"); i >= 0 {
			text = strings.TrimRight(text[:i], " \t")
		}
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || trimmed[0] == '#' || trimmed == "---" {
			continue
		}
		inside := text[0] == ' ' || text[0] == '\t' || trimmed[0] == '-'
		if item, ok := strings.CutPrefix(trimmed, "- "); ok && inside {
			m.boosterSetting(table, plain(item), where)
			continue
		}
		key, value, ok := strings.Cut(trimmed, ":")
		if !ok {
			m.left(where, trimmed, "it is no key with a value")
			continue
		}
		value = plain(value)
		if !inside {
			table = key
		} else {
			key = table + "." + key
		}
		if value != "" {
			m.boosterSetting(key, value, where)
		}
	}
}

// plain is a value without its quotes.
func plain(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = s[1 : len(s)-1]
	}
	return s
}

func (m *migration) boosterSetting(key, value, where string) {
	text := key + ": " + value
	list := func(f func(word string)) {
		for w := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
			if w = plain(w); w != "" {
				f(w)
			}
		}
	}
	on := value == "true"
	feature := func(name string) {
		if on {
			m.feature(name, where, text)
		} else {
			m.done(where, text, found)
		}
	}
	switch key {
	case "universal":
		if on {
			m.set("mode", "generic", where)
		} else {
			m.done(where, text, "it is so without a setting")
		}
	case "modules":
		list(func(w string) {
			switch name, minus := strings.CutPrefix(w, "-"); {
			case minus:
				m.module("omit_modules", strings.TrimSuffix(name, "/")+slashStars(name), where)
			case w == "*":
				m.set("mode", "generic", where)
			default:
				m.module("modules", strings.TrimSuffix(w, "/")+slashStars(w), where)
			}
		})
	case "modules_force_load":
		list(func(w string) {
			m.module("modules", w, where)
			m.set("cmdline", "rd.driver.pre="+w, where)
		})
	case "extra_files":
		list(func(w string) {
			switch {
			case w == "busybox" || path.Base(w) == "busybox":
				m.feature("shell", where, w)
			case strings.HasPrefix(path.Base(w), "fsck"):
				m.feature("fsck", where, w)
			default:
				m.file(w, where, false)
			}
		})
	case "compression":
		m.compression(value, where)
	case "mount_timeout":
		m.set("cmdline", "rd.timeout="+value, where)
	case "strip":
		m.done(where, text, "modules are taken as they are; strip = true destroys their signatures")
	case "crypttab_path":
		m.set("crypttab", value, where)
	case "enable_lvm":
		feature("lvm")
	case "enable_mdraid":
		feature("md")
	case "enable_zfs":
		feature("zfs")
	case "mdraid_config_path", "append_all_modaliases":
		m.done(where, text, notNeeded)
	case "vconsole":
		m.done(where, text, keyboardLayout)
	case "enable_plymouth":
		m.left(where, text, noSplash)
	case "emergency_shell_password":
		m.left(where, "emergency_shell_password", "put its hash, as in shadow(5), into /etc/firstlight/password of the image, by [[file]]")
	default:
		if strings.HasPrefix(key, "network.") {
			m.left(where, text, ownNetwork+" (ip=, nameserver=)")
			return
		}
		m.left(where, text, "it is no key of booster that has a counterpart")
	}
}

// slashStars is what makes a directory of modules a pattern.
func slashStars(name string) string {
	if strings.HasSuffix(name, "/") {
		return "/**"
	}
	return ""
}

// makeInitrd reads a file of make-initrd: its assignments.
func makeInitrd(m *migration, f File) {
	text := strings.ReplaceAll(f.Text, "\\\n", " ")
	n := 0
	for line := range strings.Lines(text) {
		n++
		where := fmt.Sprintf("%s:%d", f.Name, n)
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(strings.TrimRight(name, ":+?"))
		if !ok || strings.ContainsAny(name, " \t$()") || strings.ContainsAny(value, "$`") {
			m.left(where, line, "it is a rule, or has to be computed: it was not run")
			continue
		}
		m.makeSetting(name, strings.TrimSpace(value), where)
	}
}

// makeFeatures are the features of make-initrd, as dracutModules has them.
var makeFeatures = map[string]string{
	"add-modules": "(" + found, "add-udev-rules": "(" + always, "bcache": "bcache", "bootchart": "(firstlight trace plot shows a boot", "bootconfig": "(" + notNeeded, "bootloader": "(" + notNeeded,
	"btrfs": "btrfs", "buildinfo": "(every image has a manifest", "cifsroot": "cifs", "cleanup": "(" + notNeeded, "compress": "(" + always, "debug": "rescue", "defrag": "(" + notNeeded,
	"depmod-image": "(" + always, "devmapper": "dm", "fsck": "fsck", "gpg": "!signatures are not checked", "iscsi": "iscsi", "kbd": "(" + keyboardLayout,
	"kdump": "!crash kernels are not supported", "kickstart": "!installations are not supported", "keyboard": "keyboard", "locales": "(" + notNeeded, "luks": "luks", "lvm": "lvm",
	"mdadm": "md", "multipath": "multipath", "network": "network", "nfsroot": "nfs", "nvmf": "nvmf", "pipeline": "live", "plymouth": "!" + noSplash, "ramdisk": "live", "raid": "md", "resume": "resume",
	"rootfs": "(" + found, "rdshell": "shell", "scsi": "scsi", "sshfsroot": "sshfs", "sshd": sshServer, "dropbear": sshServer, "clevis": "clevis", "syslog": "(" + notNeeded, "system-glibc": "(" + notNeeded, "system-libc": "(" + notNeeded,
	"system-musl": "(" + notNeeded, "ucode": "(" + microcode, "usb": "usb-storage", "wait-dev": "(nothing is waited for that the root does not need",
	"zfs": "zfs", "fullmodules": "(mode = \"generic\" has the drivers of any machine", "overlayroot": "overlay-root", "smart-card": "!unlocking by a smart card is not supported",
}

func (m *migration) makeSetting(name, value, where string) {
	text := name + "=" + value
	words := strings.Fields(value)
	switch name {
	case "FEATURES":
		for _, w := range words {
			m.translate(makeFeatures, "features", w, where)
		}
	case "DISABLE_FEATURES":
		for _, w := range words {
			if to := makeFeatures[w]; to != "" && to[0] != '(' && to[0] != '!' {
				m.omit(to, where, w)
			}
		}
	case "AUTODETECT":
		if value == "" {
			m.set("mode", "generic", where)
		} else {
			m.done(where, text, found)
		}
	case "MODULES_ADD", "MODULES_LOAD", "MODULES_PRELOAD":
		for _, w := range words {
			m.module("modules", w, where)
		}
		if name != "MODULES_ADD" {
			m.done(where, text, "a module is loaded when a device asks for it; rd.driver.pre= on the command line loads it in any case")
		}
	case "MODULES_TRY_ADD":
		for _, w := range words {
			m.module("try_modules", w, where)
		}
	case "BLACKLIST_MODULES":
		for _, w := range words {
			m.module("omit_modules", w, where)
		}
	case "PUT_FILES", "PUT_DIRS":
		for _, w := range words {
			m.file(w, where, false)
		}
	case "PUT_PROGS":
		for _, w := range words {
			m.set("programs", w, where)
		}
	case "COMPRESS":
		m.compression(value, where)
	case "SSHFS_KEY", "SSHFS_KEYS":
		for _, w := range words {
			if strings.HasSuffix(w, ".pub") {
				m.done(where, w, "a certificate is taken with its key, and the rest of a key's public half is not needed")
				continue
			}
			m.set("sshfs.keys", w, where)
		}
	case "SSHFS_KNOWN_HOSTS":
		for _, w := range words {
			m.set("sshfs.known_hosts", w, where)
		}
	case "SSHFS_CONFIG":
		if value != "" {
			m.set("sshfs.config", value, where)
		}
	case "IMAGEFILE":
		if strings.Contains(value, "/") {
			m.left(where, text, "the place of an image is install.image, with %v for the kernel's release")
		}
	default:
		m.left(where, text, "it is no variable of make-initrd that has a counterpart")
	}
}
