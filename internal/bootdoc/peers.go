package bootdoc

import (
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
)

// The systems whose parameters are walked over.
const (
	systemDracut    = "dracut"
	systemSystemd   = "systemd"
	systemTools     = "initramfs-tools" // with Debian's packages: cryptsetup-initramfs, live-boot, casper, overlayroot, zfs-initramfs
	systemCPIO      = "mkinitcpio"
	systemMake      = "make-initrd"
	systemBooster   = "booster"
	systemTiny      = "tinyramfs"
	systemDracutOld = "dracut, old"
)

// peers are the parameters of those systems that are about local storage and what
// becomes of the boot, each with a value that its documentation allows. What is
// about the network is in docs/network.md.
var peers = []struct{ subject, system, params string }{
	{"The root", systemDracut, "init=/sbin/init root=LABEL=Root root=UUID=19e9dda3-5a38-484d-a9b0-fa6b067d0331 root=/dev/vda1 root=PARTUUID=3f5ad593-4546-4a94-a374-bcfb68aa11f7 root=PARTLABEL=root rootfstype=ext3 rootflags=rw,noload ro rw rootfallback=/dev/sdb1 root.journaldev=/dev/sdc1 rd.fstab=0 rd.convertfs rd.driver.export=force"},
	{"The root", systemSystemd, "root=gpt-auto root=gpt-auto-force root=tmpfs root=bind:/run/x root=dissect root=dissect-force root=fstab root=off rootfstype=ext4 rootflags=x-systemd.device-timeout=9 mount.usr=/dev/sda2 mount.usrfstype=ext4 mount.usrflags=ro rd.systemd.gpt_auto=1 systemd.volatile=overlay rd.systemd.unit=x systemd.debug_shell"},
	{"The root", systemTools, "root=8:1 root=0801 root=/dev/nfs boot=local boot=casper boot=live ubi.mtd=3 drop_capabilities=x initramfs.runsize=20% initramfs.clear all_generic_ide loop=/a.img loopfstype=ext4 loopflags=ro loopoffset=512"},
	{"The root", systemMake, "root=pipeline root=ZFS=a/b root=SOURCE=x rootonly readonly=0 pipeline=a,b getimage=x mountfs=x mountfs-opts=x overlayfs=x waitdev=x ping=x pipe-retry=3 pipe-verify-sign=x ksfile=x noksfile"},
	{"The root", systemBooster, "zfs=a/b root=HWPATH=pci-0000:00:03.0 root=WWID=nvme-eui.1"},
	{"Filesystem checks", systemDracut, "rd.skipfsck forcefsck fastboot"},
	{"Filesystem checks", systemSystemd, "fsck.mode=skip fsck.repair=no"},
	{"Filesystem checks", systemTools, "fastboot forcefsck fsckfix fsck.mode=force fsck.repair=yes"},
	{"Filesystem checks", systemMake, "no-fsck fastboot"},
	{"Hibernation", systemDracut, "resume=UUID=19e9dda3-5a38-484d-a9b0-fa6b067d0331 noresume"},
	{"Hibernation", systemSystemd, "resume=/dev/sda2 resumeflags=x-systemd.device-timeout=9 resume_offset=4096 noresume hibernate=noresume"},
	{"Hibernation", systemMake, "resume=/dev/sda2 resume-offset=4096 noresume"},
	{"Hibernation", systemCPIO, "resume=/dev/sda2 noresume sleeptime=5 sleepdevice=/dev/sda"},
	{"Encrypted devices", systemDracut, "rd.luks=0 rd.luks.uuid=luks-0a1b2c3d rd.luks.uuid=keysource:0a1b2c3d rd.luks.partuuid=1234abcd-01 rd.luks.serial=QM1 rd.luks.name=0a1b2c3d-0001-4002-8003-aabbccddeeff=root rd.luks.allow-discards rd.luks.allow-discards=0a1b2c3d rd.luks.crypttab=0 rd.luks.timeout=10 rd.luks.key=/foo/bar.key:LABEL=keys:/dev/sda2 rd.luks.key.tout=5 rd.luks.smartcard=1"},
	{"Encrypted devices", systemDracutOld, "rd_NO_LUKS rd_LUKS_UUID=0a1b2c3d rd_NO_CRYPTTAB rd_LUKS_KEYDEV_UUID=x rd_LUKS_KEYPATH=/k"},
	{"Encrypted devices", systemSystemd, "luks=no luks.uuid=0a1b2c3d luks.name=0a1b2c3d=x luks.options=discard luks.key=/k luks.crypttab=no luks.data=0a1b2c3d-0001-4002-8003-aabbccddeeff=/dev/sdb luks.header=0a1b2c3d=/h rd.luks.options=discard rd.luks.data=0a1b2c3d-0001-4002-8003-aabbccddeeff=/dev/sdb roothash=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a usrhash=0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b systemd.verity=0 rd.systemd.verity=0 systemd.verity_root_data=/dev/sda2 systemd.verity_root_hash=/dev/sda3 systemd.verity_root_options=panic-on-corruption systemd.verity_usr_data=/dev/sda2 systemd.verity_usr_hash=/dev/sda3 systemd.verity_usr_options=superblock=no"},
	{"Encrypted devices", systemTools, "cryptopts=target=r,source=/dev/sda2"},
	{"Encrypted devices", systemCPIO, "cryptdevice=/dev/sda2:root:allow-discards cryptkey=rootfs:/k crypto=a:b:c:d:e"},
	{"Encrypted devices", systemMake, "no-luks luks-key=/k:UUID=44EF-C1A0 luks-key-format=raw luks-dev=/dev/sda2 luks-ignore=/dev/sda2 luks-discard=/dev/sda2 luks-crypttab=0"},
	{"Encrypted devices", systemBooster, "rd.luks.header=0a1b2c3d=/h:UUID=44EF-C1A0 rd.luks.key=/k"},
	{"Volumes and arrays", systemDracut, "rd.auto rd.lvm=0 rd.lvm.vg=vg0 rd.lvm.lv=vg0/root rd.lvm.conf=0 rd.lvm.mergetags=a rd.lvm.snapshot=x rd.lvm.snapsize=x rd.md=0 rd.md.imsm=0 rd.md.ddf=0 rd.md.conf=0 rd.md.waitclean rd.md.uuid=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f rd.dm=1 rd.dm.uuid=isw_abc rd.multipath=default"},
	{"Volumes and arrays", systemDracutOld, "rd_NO_LVM rd_NO_LVMCONF rd_LVM_VG=a rd_LVM_LV=a/b rd_NO_MD rd_NO_MDADMCONF rd_NO_MDIMSM rd_NO_MDDDF rd_MD_UUID=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f rd_DM_UUID=x rd_NO_FSTAB rd_NO_MULTIPATH rd_LVM_SNAPSHOT=x rd_LVM_SNAPSIZE=x"},
	{"Volumes and arrays", systemMake, "raid-member-delay=20 btrfs-member-delay=20 nodmraid noiswmd zfs-force spl-hostid=1"},
	{"Volumes and arrays", systemTools, "rpool=a bootfs=a/b zfsforce rollback multipath=off nompath"},
	{"Live media and overlays", systemDracut, "rd.overlay rd.overlay=tmpfs:size=1g rd.overlay.readonly rd.overlay.reset rd.overlay.crypt=/dev/sda1 rd.live.image root=live:/dev/sda1 rd.live.dir=/x rd.live.squashimg=a rd.live.ram rd.live.debug rd.live.check rd.live.overlay.cowfs=ext4 rd.live.overlay.size=1024 rd.live.overlay.thin rd.live.overlay.readonly rd.live.overlay.reset rd.live.overlay.overlayfs rd.live.overlay.nouserconfirmprompt rd.writable.fsimg rd.minmem=1024 iso-scan/filename=/a.iso updates=u live.updates=u"},
	{"Live media and overlays", systemTools, "findiso=/a.iso fromiso=/dev/sda1/a.iso isofrom=/dev/sda1/a.iso live-media=/dev/sda1 live-media-path=/x live-media-timeout=9 live-media-offset=512 module=x toram todisk=/dev/sdb1 plainroot exposedroot skipunion overlay-size=30% persistence persistence-label=x persistence-storage=file persistence-path=/x persistence-media=removable persistence-encryption=luks persistence-read-only nopersistence persistent layerfs-path=a.squashfs ignore_uuid overlayroot=tmpfs"},
	{"Waiting", systemDracut, "rd.retry=200 rd.timeout=20"},
	{"Waiting", systemTools, "rootdelay=200"},
	{"Waiting", systemMake, "rootdelay=200 rduevent-timeout=1"},
	{"Waiting", systemTiny, "rootwait rootdelay=200"},
	{"Shells and failures", systemDracut, "rd.break rd.break=cmdline rd.break=pre-udev rd.break=pre-trigger rd.break=initqueue rd.break=pre-mount rd.break=mount rd.break=pre-pivot rd.break=cleanup rd.break=pre-shutdown rd.shell=0 rd.emergency=poweroff rd.ctty=tty1 rd.cmdline=ask rd.hostonly=0 rd.shutdown.timeout.umount=90 SYSTEMD_SULOGIN_FORCE=1"},
	{"Shells and failures", systemDracutOld, "rdshell rdbreak=mount rd_retry=3"},
	{"Shells and failures", systemSystemd, "rd.emergency rd.rescue"},
	{"Shells and failures", systemTools, "break break=top break=modules break=premount break=mount break=mountroot break=bottom break=init panic=0"},
	{"Shells and failures", systemCPIO, "break=postmount break=y disablehooks=a"},
	{"Shells and failures", systemMake, "stop=all rescue-modules=a panic=0"},
	{"Shells and failures", systemTiny, "rdpanic rdbreak=mount"},
	{"What is said", systemDracut, "quiet rd.info rd.debug rd.udev.log_level=debug rd.memdebug=4 syslogserver=1.2.3.4 sysloglevel=1 syslogtype=x"},
	{"What is said", systemDracutOld, "rdinfo rdinitdebug rdnetdebug rdudevdebug rdudevinfo rd.udev.debug rd.udev.info rd.udev.log-priority=debug"},
	{"What is said", systemSystemd, "udev.log_level=debug rd.udev.children_max=3 rd.udev.exec_delay=3 rd.udev.event_timeout=3 rd.udev.timeout_signal=SIGKILL rd.udev.blockdev_read_only"},
	{"What is said", systemTools, "debug=vc quiet"},
	{"What is said", systemCPIO, "rd.log=file|console rd.debug"},
	{"What is said", systemMake, "rdlog=console debug quiet rd-debug-udev"},
	{"What is said", systemBooster, "booster.log=debug,console booster.debug"},
	{"What is said", systemTiny, "rddebug"},
	{"Modules", systemDracut, "rd.driver.blacklist=a,b rd.driver.pre=a rd.driver.post=a"},
	{"Modules", systemDracutOld, "rdblacklist=a rdloaddriver=a rdinsmodpost=a"},
	{"Modules", systemSystemd, "rd.modules_load=a modules_load=a"},
	{"Modules", systemTools, "blacklist=a,b"},
	{"Modules", systemCPIO, "earlymodules=a,b"},
	{"Modules", systemMake, "rd-depmod rd-preload-modules=0 nolkrg noearlylkrg"},
	{"Modules", systemBooster, "rd.modules_force_load=a"},
	{"Modules", "the kernel", "modprobe.blacklist=a module_blacklist=a i915.enable_psr=0"},
	{"Policy", systemDracut, "rd.fips rd.fips.skipkernel rd.caps rd.caps.initdrop=x rd.caps.disablemodules=1 rd.caps.disablekexec=1 selinux=0 enforcing=0 masterkey=/k masterkeytype=trusted evmkey=/k evmx509=/k ecryptfskey=/k rd.plymouth=0"},
}

// reasons say of a parameter that is reported, or needs nothing done, why that is
// so: of one parameter, or of all of a subject of bootcmd.
var reasons = map[string]string{
	"root=pipeline":                    "make-initrd's pipelines: name the layers with root=live:, loop= and rd.overlay=",
	"root=SOURCE":                      "write it with rootfstype=virtiofs or rootfstype=9p, or as root=virtiofs:TAG",
	"rd.live.overlay.cowfs":            "no disk is partitioned or formatted for what is kept: make a filesystem, and name it with rd.overlay=",
	"rd.live.debug":                    "rd.debug says everything of a live root too",
	"updates":                          "drivers are put into the image when it is built: --include, --module",
	"live.updates":                     "drivers are put into the image when it is built: --include, --module",
	"rd.lvm.mergetags":                 "lvconvert --merge in the real system merges a snapshot at the next activation",
	"rd.lvm.snapshot":                  "dracut has dropped it",
	"LVM snapshots":                    "dracut has dropped it",
	"rd.lvm.snapsize":                  "dracut has dropped it",
	"rd.dm":                            "firmware RAID is assembled by mdadm: rd.md.imsm, rd.md.ddf",
	"rd.dm.uuid":                       "firmware RAID is assembled by mdadm: rd.md.uuid=",
	"rd.cmdline":                       "the boot loader's editor, or a file of the image (firstlight build --cmdline); what is typed later the real system would not see",
	"rd.driver.export":                 "the image has the modules that a boot needs and no others: the real root needs its own",
	"rd.convertfs":                     "distributions have a tool for that (usrmerge)",
	"rd.shutdown.timeout.umount":       "nothing of the image is left to run at the shutdown but what storage needs (mdmon …)",
	"rd.break=pre-shutdown":            "nothing of the image is left to run at the shutdown but what storage needs (mdmon …)",
	"SYSTEMD_SULOGIN_FORCE":            "whether the shell asks for a password is decided when the image is built (feature emergency)",
	"rd.memdebug":                      "firstlight trace has the operations and their times; the kernel's own tracing has the memory",
	"ubi.mtd":                          "roots on raw flash (UBI) are not supported",
	"drop_capabilities":                "systemd does it (CapabilityBoundingSet= of system.conf)",
	"crypto":                           "mkinitcpio's plain volumes: a line of /etc/crypttab with plain, cipher=, size= and hash=",
	"luks-key-format":                  "the type of a key is known from where it is: luks-key=PATH, or a token of the header",
	"rd.luks.smartcard":                "keys on smart cards and in GPG files are not supported yet",
	"stop":                             "rd.break=STAGE stops before any step",
	"rescue-modules":                   "rd.driver.post=MODULE",
	"disablehooks":                     "there are no hooks: features are chosen when the image is built",
	"sleeptime":                        "a device is waited for until it comes, without a pause",
	"sleepdevice":                      "a device is waited for until it comes: resume= by itself",
	"image pipelines":                  "make-initrd's pipelines: name the layers with root=live:, loop= and rd.overlay=",
	"FIPS mode":                        "the kernel's fips=1 counts; that the kernel is the right one is Secure Boot's to say",
	"capabilities":                     "systemd does it (CapabilityBoundingSet= of system.conf)",
	"remote logs":                      "the real system has the journal of the boot, and sends it",
	"kernel keys":                      "what uses them (EVM, eCryptfs) starts in the real system",
	"key files by GPG and smart cards": "key devices by their UUID: rd.luks.key=PATH:UUID=…; keys by GPG are not supported yet",
	"systemd":                          "for the real system's systemd, which sees it too; the initramfs has no units",
	"initramfs":                        "initramfs-tools' own: the size of /run, and what is left in it",
	"all_generic_ide":                  "for drivers that kernels of today have not",
	"selinux":                          "the kernel and the real init read it",
	"enforcing":                        "the kernel and the real init read it",
	"rd.plymouth":                      "there is no splash before the real system's",
	"rd-depmod":                        "the index of modules is made when the image is built",
	"rd-preload-modules":               "no modules are loaded but those that devices or the command line ask for",
	"rduevent-timeout":                 "nothing reads it in make-initrd either",
	"nolkrg":                           "the module is not loaded by the image",
	"noearlylkrg":                      "the module is not loaded by the image",
	"rd.udev.children_max":             "there is no udevd: no processes are started for devices",
	"rd.udev.exec_delay":               "there is no udevd: no processes are started for devices",
	"rd.udev.event_timeout":            "a device that does not answer holds up nothing but what needs it",
	"rd.udev.timeout_signal":           "there is no udevd: no processes are started for devices",
	"rd.udev.blockdev_read_only":       "no device is written to before the root is mounted",
	"rd.systemd.gpt_auto":              "for the real system's systemd; here root=gpt-auto, or no root=, asks for the search",
}

// here says what Firstlight does of a parameter with a value, and whether that is
// nothing that the parameter asks for.
func here(text string) (verdict string, no bool) {
	name, value, _ := strings.Cut(text, "=")
	because := func(keys ...string) string {
		for _, k := range keys {
			if r := reasons[k]; r != "" {
				return r
			}
		}
		return ""
	}
	kind, _, _ := strings.Cut(strings.SplitN(value, "=", 2)[0], ":")
	_, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: text})
	for _, p := range problems {
		if p.Kind != bootcmd.NotYet {
			continue
		}
		if p.Nearest != "" {
			return "yes, with the feature " + p.Nearest, false
		}
		subject := ""
		for _, a := range bootcmd.Areas() {
			if slices.Contains(a.Names, name) || slices.Contains(a.Names, strings.ReplaceAll(name, "-", "_")) || slices.Contains(a.Names, stand(name)) {
				subject = a.Subject
			}
		}
		return "reported: " + because(name+"="+kind, text, name, stand(name), subject), true
	}
	if s := stand(name); s != name {
		return "yes, as `" + s + "`", false
	}
	folded := strings.ReplaceAll(name, "_", "-")
	known := slices.ContainsFunc(bootcmd.Names(), func(n string) bool { return strings.ReplaceAll(n, "_", "-") == folded })
	module, _, dotted := strings.Cut(name, ".")
	switch {
	case known:
		return "yes", false
	case bootcmd.Elsewhere(name), strings.HasPrefix(name, "rd.systemd."), module == "systemd":
		first := module
		if first == "rd" && strings.HasPrefix(name, "rd.systemd.") {
			first = "systemd"
		}
		return "nothing to do: " + because(text, name, first), true
	case dotted:
		return "yes, as a parameter of the module " + module, false
	}
	return "unknown", true
}

// stand is the name that another spelling stands for, with the value that it has
// then.
func stand(name string) string {
	for _, a := range bootcmd.Spellings() {
		if strings.ReplaceAll(a.Old, "_", "-") == strings.ReplaceAll(name, "_", "-") {
			return stands(a)
		}
	}
	return name
}

// Parameters returns docs/parameters.md.
func Parameters() string {
	var b strings.Builder
	b.WriteString(`# The parameters of other systems

<!-- Made from internal/bootdoc by go test ./internal/bootdoc -update. -->

What becomes here of the parameters that the makers of other initramfs images
document for local storage: the root, checks, hibernation, encryption, volumes,
live media, waiting, shells. What is said of those with yes is in
[command-line.md](command-line.md); what is about the network is in
[network.md](network.md). "reported" is said at each boot that has the parameter;
the boot goes on without it. Each row is tested: that it has an effect, that it is
reported, or that there is a reason why nothing is to be done.
`)
	subject := ""
	for _, p := range peers {
		if p.subject != subject {
			subject = p.subject
			fmt.Fprintf(&b, "\n## %s\n\n| parameter | of | here |\n|---|---|---|\n", subject)
		}
		for _, text := range strings.Fields(p.params) {
			verdict, _ := here(text)
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(text, "|", `\|`), p.system, verdict)
		}
	}
	return b.String()
}
