package bootcmd

import (
	"strconv"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/fstab"
)

// table is every parameter that has an effect, by the name that documents
// give it. To add one is to add a row. The functions capture nothing, so
// that the table is data of the program and costs nothing at its start.
var table = [...]struct {
	name string
	set  func(p *parser)
}{
	// The root, /usr and hibernation.
	{"root", func(p *parser) { p.root = p.arg; p.root.HasValue = true }},
	{"rootfstype", func(p *parser) { p.types(&p.c.Root.FSTypes) }},
	{"rootflags", func(p *parser) { p.c.Root.Flags = p.arg.Value }},
	{"readonly", func(p *parser) {
		if p.bool(&p.c.Root.ReadOnly) {
			p.c.Root.ReadOnlySet = true
		}
	}},
	{"zfs", func(p *parser) {
		if _, ok := p.value(); ok {
			p.zfs = p.arg // for internal/handler/zfs
		}
	}},
	{"boot", func(p *parser) {
		// Of handlers of the full /init: internal/handler/live, network, zfs.
		p.dataset = p.arg.Value == "zfs"
		if !hasWord("live casper local nfs zfs", p.arg.Value) && p.arg.Value != "" {
			p.notYet("boot scripts, FIPS")
		}
	}},
	{"rootonly", func(p *parser) { p.bool(&p.c.RootOnly) }},
	{"mount.usr", func(p *parser) { p.usr = p.arg; p.usr.HasValue = true }},
	{"mount.usrfstype", func(p *parser) { p.types(&p.c.Usr.FSTypes) }},
	{"mount.usrflags", func(p *parser) { p.c.Usr.Flags, p.usrFlags = p.arg.Value, true }},
	{"rd.fstab", func(p *parser) { p.bool(&p.c.UseFstab) }},
	{"rd.overlay", (*parser).overlay},
	{"rd.overlay.readonly", func(p *parser) { p.bool(&p.c.Overlay.ReadOnly) }},
	{"overlayroot", (*parser).overlayroot},
	{"rd.overlay.crypt", (*parser).overlayroot},
	{"systemd.volatile", (*parser).volatile},
	{"loop", (*parser).loopFile},
	{"loopfstype", func(p *parser) { p.types(&p.c.Loop.FSTypes) }},
	{"loopflags", func(p *parser) { p.c.Loop.Flags = p.arg.Value }},
	{"loopoffset", (*parser).loopOffset},
	{"resume", (*parser).resume},
	{"resume_offset", (*parser).resumeOffset},
	{"resumeflags", func(p *parser) {
		p.c.Resume.Wait, _ = fstab.DeviceTimeout(p.arg.Value)
	}},
	{"hibernate", func(p *parser) {
		if p.arg.Value == "noresume" || p.arg.Value == "no" {
			p.c.Resume.Disabled = true
		}
	}},

	// The real init.
	{"init", func(p *parser) {
		if v, ok := p.value(); ok && !strings.HasPrefix(v, "/") {
			p.malformed("not an absolute path")
		} else if ok {
			p.c.Init = v
		}
	}},

	// Encryption.
	{"rd.luks", func(p *parser) { p.bool(&p.c.Luks.Enabled) }},
	{"rd.luks.crypttab", func(p *parser) { p.bool(&p.c.Luks.Crypttab) }},
	{"rd.luks.uuid", (*parser).luksUUID},
	{"rd.luks.partuuid", func(p *parser) { p.luksBy(ByPartUUID) }},
	{"rd.luks.serial", func(p *parser) { p.luksBy(BySerial) }},
	{"rd.luks.name", (*parser).luksName},
	{"rd.luks.key", (*parser).luksKey},
	{"rd.luks.options", (*parser).luksOptions},
	{"rd.luks.data", (*parser).luksData},
	{"rd.luks.header", (*parser).luksHeader},
	{"rd.luks.allow-discards", (*parser).luksDiscards},
	{"rd.luks.timeout", func(p *parser) { p.seconds(&p.c.Luks.Timeout, true) }},
	{"rd.luks.key.tout", func(p *parser) { p.seconds(&p.c.Luks.KeyTimeout, false) }},
	{"cryptdevice", (*parser).cryptDevice},
	{"cryptkey", (*parser).cryptKey},
	{"cryptopts", (*parser).cryptOpts},
	{"luks-dev", (*parser).luksDev},
	{"luks-ignore", (*parser).luksIgnore},
	{"luks-discard", (*parser).luksDiscards},

	// Verified devices.
	{"roothash", func(p *parser) { p.rootHash(&p.c.Verity.Root) }},
	{"usrhash", func(p *parser) { p.rootHash(&p.c.Verity.Usr) }},
	{"rd.systemd.verity", func(p *parser) { p.bool(&p.c.Verity.Enabled) }},
	{"systemd.verity_root_data", func(p *parser) { p.block(&p.c.Verity.Root.Data) }},
	{"systemd.verity_root_hash", func(p *parser) { p.block(&p.c.Verity.Root.Hash) }},
	{"systemd.verity_root_options", func(p *parser) { p.c.Verity.Root.Options = p.arg.Value }},
	{"systemd.verity_usr_data", func(p *parser) { p.block(&p.c.Verity.Usr.Data) }},
	{"systemd.verity_usr_hash", func(p *parser) { p.block(&p.c.Verity.Usr.Hash) }},
	{"systemd.verity_usr_options", func(p *parser) { p.c.Verity.Usr.Options = p.arg.Value }},

	// Volume groups and arrays.
	{"rd.lvm", func(p *parser) { p.bool(&p.c.LVM.Enabled) }},
	{"rd.lvm.conf", func(p *parser) { p.bool(&p.c.LVM.Conf) }},
	{"rd.lvm.degraded", func(p *parser) { p.degraded(&p.c.LVM.Degraded) }},
	{"rd.lvm.vg", func(p *parser) {
		if v, ok := p.value(); ok && !devspec.ValidLVMName(v) {
			p.malformed("not the name of a volume group")
		} else if ok {
			p.c.LVM.VGs = append(p.c.LVM.VGs, v)
		}
	}},
	{"rd.lvm.lv", func(p *parser) {
		vg, lv, ok := strings.Cut(strings.TrimPrefix(p.arg.Value, "/dev/"), "/")
		if !ok || !devspec.ValidLVMName(vg) || !devspec.ValidLVMName(lv) {
			p.malformed("not of the form VG/LV")
			return
		}
		p.c.LVM.LVs = append(p.c.LVM.LVs, LogicalVolume{vg, lv})
	}},
	{"rd.md", func(p *parser) { p.bool(&p.c.MD.Enabled) }},
	{"rd.md.conf", func(p *parser) { p.bool(&p.c.MD.Conf) }},
	{"rd.md.waitclean", func(p *parser) { p.bool(&p.c.MD.WaitClean) }},
	{"rd.md.imsm", func(p *parser) { p.bool(&p.c.MD.IMSM) }},
	{"rd.md.ddf", func(p *parser) { p.bool(&p.c.MD.DDF) }},
	{"nodmraid", func(p *parser) { p.off(&p.c.MD.IMSM); p.off(&p.c.MD.DDF) }},
	{"rd.md.nojournal", func(p *parser) { p.bool(&p.c.MD.NoJournal) }},
	{"rd.btrfs.degraded", func(p *parser) { p.degraded(&p.c.BtrfsDegraded) }},
	{"rd.md.degraded", func(p *parser) { p.degraded(&p.c.MD.Degraded) }},
	{"rd.md.uuid", func(p *parser) {
		if u, ok := mdUUID(p.arg.Value); ok {
			p.c.MD.UUIDs = append(p.c.MD.UUIDs, u)
			return
		}
		p.malformed("not the UUID of an array, 32 hexadecimal digits")
	}},
	{"rd.auto", func(p *parser) { p.bool(&p.c.Auto) }},

	// Modules.
	{"rd.driver.blacklist", func(p *parser) { p.modules(&p.c.Modules.Blacklist) }},
	{"rd.driver.pre", func(p *parser) { p.modules(&p.c.Modules.Pre) }},
	{"rd.driver.post", func(p *parser) { p.modules(&p.c.Modules.Post) }},
	{"rd.modules_load", func(p *parser) { p.modules(&p.c.Modules.Load) }},

	// Filesystem checks. The last one said wins.
	{"fsck.mode", func(p *parser) {
		if i, ok := p.oneOf("auto force skip"); ok {
			p.c.Fsck.Mode = [...]FsckMode{FsckAuto, FsckForce, FsckSkip}[i]
		}
	}},
	{"fsck.repair", func(p *parser) {
		if on, ok := boolean(p.arg.Value); ok && on {
			p.c.Fsck.Repair = RepairYes
		} else if ok {
			p.c.Fsck.Repair = RepairNo
		} else if _, ok := p.oneOf("preen yes no"); ok {
			p.c.Fsck.Repair = RepairPreen
		}
	}},

	// Waiting.
	{"rd.timeout", func(p *parser) { p.wait(byTimeout) }},
	{"rd.retry", func(p *parser) { p.wait(byRetry) }},
	{"rootwait", func(p *parser) { p.wait(byRootwait) }},
	{"rootdelay", func(p *parser) { p.wait(byRootdelay) }},
	{"rd.firstlight.degraded", func(p *parser) { p.seconds(&p.c.Wait.Degraded, false) }},
	{"rd.firstlight.explain", func(p *parser) { p.seconds(&p.c.Wait.Explain, false) }},
	{"rd.firstlight.progress", func(p *parser) { p.seconds(&p.c.Wait.Progress, true) }},
	{"raid-member-delay", (*parser).memberDelay},
	{"btrfs-member-delay", (*parser).memberDelay},

	// What is said, and where.
	{"quiet", func(p *parser) { p.c.Log.Quiet = true }},
	{"rd.debug", func(p *parser) { p.bool(&p.c.Log.Debug) }},
	{"rd.info", func(p *parser) { p.bool(&p.c.Log.Info) }},
	{"rd.firstlight.journal", func(p *parser) { p.c.Log.Journal = p.arg.Value }},
	{"rd.log", (*parser).logTargets},
	{"rdlog", (*parser).logTargets},
	{"rd.udev.log_level", (*parser).udevLog},
	{"udev.log_level", (*parser).udevLog},
	{"console", (*parser).console},
	{"rd.ctty", func(p *parser) {
		p.text(&p.c.CTTY)
		p.c.CTTY = strings.TrimPrefix(p.c.CTTY, "/dev/")
	}},

	// When it stops or fails.
	{"rd.break", func(p *parser) { p.stops(StageSwitchRoot) }},
	{"break", func(p *parser) { p.stops(StagePreMount) }},
	{"rd.shell", func(p *parser) {
		if p.bool(&p.c.Failure.Shell) {
			p.c.Failure.ShellSet = true
		}
	}},
	{"rd.emergency", func(p *parser) {
		if !p.arg.HasValue { // systemd's sense: to the emergency shell at once
			p.c.Break = append(p.c.Break, StageCmdline)
		} else if i, ok := p.oneOf("reboot poweroff halt"); ok {
			p.c.Failure.Action = ActionReboot + Action(i)
		}
	}},
	{"rd.firstlight.save", (*parser).save},
	{"panic", (*parser).panic},

	{"rd.hostonly", func(p *parser) { p.bool(&p.c.HostOnly) }},
}

// save reads where a failure is kept; "no" is nowhere.
func (p *parser) save() {
	var places Places
	for _, word := range strings.Split(p.arg.Value, ",") {
		switch word {
		case "pstore":
			places |= SavePstore
		case "efi":
			places |= SaveEFI
		case "esp":
			places |= SaveESP
		case "no":
		default:
			p.malformed("not pstore, efi, esp or no")
			return
		}
	}
	p.c.Failure.Save = places
}

func (p *parser) resume() {
	if v := p.arg.Value; v == "" || v == "none" || v == "no" {
		p.c.Resume.Disabled = p.c.Resume.Disabled || v != ""
		p.c.Resume.Device = devspec.Spec{}
		return
	}
	if s, ok := p.blockSpec(p.arg.Value); ok {
		p.c.Resume.Device = s
	}
}

// resumeOffset reads pages, as the kernel does with any base.
func (p *parser) resumeOffset() {
	n, err := strconv.ParseUint(p.arg.Value, 0, 64)
	if err != nil || strings.Contains(p.arg.Value, "_") {
		p.malformed("not a number of pages")
		return
	}
	p.c.Resume.Offset, p.c.Resume.OffsetSet = n, true
}

// memberDelay is make-initrd's: there 0 means never.
func (p *parser) memberDelay() { p.seconds(&p.c.Wait.Degraded, true) }

// panic reads seconds. What is no number is 0 to initramfs-tools: nobody
// shall get a shell, and nothing reboots. That is kept, and said.
func (p *parser) panic() {
	n, err := strconv.ParseInt(p.arg.Value, 10, 32)
	if err != nil {
		p.malformed("not a number of seconds; taken for 0: no shell, no reboot")
		n = 0
	}
	p.c.Failure.Panic, p.c.Failure.PanicSet = int(n), true
}

func (p *parser) udevLog() {
	v, ok := p.value()
	if !ok {
		return
	}
	const names = " emerg alert crit err warning notice info debug "
	if len(v) == 1 && v[0] >= '0' && v[0] <= '7' {
		p.c.Log.UdevDebug = v == "7"
	} else if strings.Contains(names, " "+v+" ") {
		p.c.Log.UdevDebug = v == "debug"
	} else {
		p.malformed("not a level:" + names[:len(names)-1])
	}
}

// alias is another spelling of a parameter.
type alias struct {
	old, name string
	// value is what the bare old name stands for ("0" for rd_NO_LUKS), or
	// "": the value is handed on. A '!' before it says that using the name is
	// reported.
	value string
}

// aliases are other spellings. systemd honours luks.* in the initrd as well
// as rd.luks.*; make-initrd and others have names of their own; what dracut
// deprecates is reported.
var aliases = [...]alias{
	{"luks", "rd.luks", ""},
	{"luks.uuid", "rd.luks.uuid", ""},
	{"luks.name", "rd.luks.name", ""},
	{"luks.key", "rd.luks.key", ""},
	{"luks.options", "rd.luks.options", ""},
	{"luks.data", "rd.luks.data", ""},
	{"luks.header", "rd.luks.header", ""},
	{"luks.crypttab", "rd.luks.crypttab", ""},
	{"luks-key", "rd.luks.key", ""},
	{"luks-crypttab", "rd.luks.crypttab", ""},
	{"usr", "mount.usr", ""},
	{"usrfstype", "mount.usrfstype", ""},
	{"usrflags", "mount.usrflags", ""},
	{"resume-offset", "resume_offset", ""},
	{"rd.overlayfs", "rd.overlay", ""},
	{"rd.live.overlay", "rd.overlay", "!"},
	{"rd.live.overlay.overlayfs", "rd.overlay", "!"},
	{"rd.live.overlay.readonly", "rd.overlay.readonly", "!"},
	{"rd.live.overlay.reset", "rd.overlay.reset", "!"},
	{"readonly_overlay", "rd.overlay.readonly", "!"},
	{"reset_overlay", "rd.overlay.reset", "!"},
	{"modprobe.blacklist", "rd.driver.blacklist", ""},
	{"module_blacklist", "rd.driver.blacklist", ""},
	{"blacklist", "rd.driver.blacklist", ""},
	{"earlymodules", "rd.driver.pre", ""},
	{"modules_load", "rd.modules_load", ""},
	{"rd.modules_force_load", "rd.modules_load", ""},
	{"systemd.verity", "rd.systemd.verity", ""},
	{"no-fsck", "fsck.mode", "skip"},
	{"fastboot", "fsck.mode", "skip"},
	{"booster.debug", "rd.debug", ""},
	{"rd.rescue", "rd.break", "pre-mount"},
	{"fsckfix", "fsck.repair", "yes"},
	{"forcefsck", "fsck.mode", "force"},
	{"rd.skipfsck", "fsck.mode", "skip"},
	{"no-luks", "rd.luks", "0"},
	{"noiswmd", "rd.md.imsm", "0"},
	{"rd-debug-udev", "rd.udev.log_level", "debug"},
	{"ro", "readonly", "1"},
	{"rw", "readonly", "0"},
	{"noresume", "resume", "none"},
	{"debug", "rd.debug", "1"},
	{"booster.log", "rd.log", ""},
	{"rddebug", "rd.debug", ""},
	{"rdpanic", "panic", ""},

	{"rd_NO_LUKS", "rd.luks", "!0"},
	{"rd_LUKS_UUID", "rd.luks.uuid", "!"},
	{"rd_NO_CRYPTTAB", "rd.luks.crypttab", "!0"},
	{"rd_NO_LVM", "rd.lvm", "!0"},
	{"rd_NO_LVMCONF", "rd.lvm.conf", "!0"},
	{"rd_LVM_VG", "rd.lvm.vg", "!"},
	{"rd_LVM_LV", "rd.lvm.lv", "!"},
	{"rd_NO_MD", "rd.md", "!0"},
	{"rd_NO_MDIMSM", "rd.md.imsm", "!0"},
	{"rd_NO_MDDDF", "rd.md.ddf", "!0"},
	{"rd_NO_MDADMCONF", "rd.md.conf", "!0"},
	{"rd_MD_UUID", "rd.md.uuid", "!"},
	{"rd_NO_DM", "rd.dm", "!0"},
	{"rd_DM_UUID", "rd.dm.uuid", "!"},
	{"rd_NO_FSTAB", "rd.fstab", "!0"},
	{"rd_retry", "rd.retry", "!"},
	{"rdretry", "rd.retry", "!"},
	{"rdshell", "rd.shell", "!"},
	{"rdbreak", "rd.break", "!"},
	{"rdinfo", "rd.info", "!"},
	{"rdinitdebug", "rd.debug", "!"},
	{"rdnetdebug", "rd.debug", "!"},
	{"rdblacklist", "rd.driver.blacklist", "!"},
	{"rdloaddriver", "rd.driver.pre", "!"},
	{"rdinsmodpost", "rd.driver.post", "!"},
	{"rdudevdebug", "rd.udev.log_level", "!debug"},
	{"rdudevinfo", "rd.udev.log_level", "!info"},
	{"rd.udev.debug", "rd.udev.log_level", "!debug"},
	{"rd.udev.info", "rd.udev.log_level", "!info"},
	{"rd.udev.log_priority", "rd.udev.log_level", "!"},
	{"udev.log_priority", "udev.log_level", "!"},
	{"rd.udev.udev_log", "rd.udev.log_level", "!"},
	{"rd_NO_MULTIPATH", "rd.multipath", "!0"},
	{"rd_NO_PLYMOUTH", "rd.plymouth", "!0"},
	{"rd_NO_SPLASH", "rd.plymouth", "!0"},
	{"rd_NO_ZFCPCONF", "rd.zfcp.conf", "!0"},
	{"rd_DASD", "rd.dasd", "!"},
	{"rd_DASD_MOD", "rd.dasd", "!"},
	{"rd_ZFCP", "rd.zfcp", "!"},
	{"rd_ZNET", "rd.znet", "!"},
	{"rd_CCW", "rd.znet", "!"},
	{"rd.ccw", "rd.znet", "!"},
	{"rd_NFS_DOMAIN", "rd.nfs.domain", "!"},
	{"rd.nofcoe", "rd.fcoe", "0"},
}
