package bootcmd

import (
	"strings"

	"firstlight/internal/spell"
)

// areas are the parameters that are known and not supported yet, by what
// they are about, separated by blanks and with '_' for '-'. Using one is
// reported; a later part of Firstlight that takes one up moves it to the
// table. What follows an '@' is the feature of an image that has it: without
// the feature that is reported, and with it a handler reads the parameter.
var areas = [...]struct{ area, names string }{
	{"the network", "netconsole"},
	{"NFS", "rd.nfs.domain"},
	{"downloaded images", "rd.systemd.pull"},
	{"live images", "rd.live.debug rd.live.overlay.cowfs" +
		" updates live.updates live_locale rdlivedebug"},
	{"the changes that an overlay keeps", "overlay"},
	{"integrity without encryption", "rd.integrityd integritytab"},
	{"image pipelines", "pipeline getimage mountfs mountfs_opts overlayfs waitdev ping pipe_retry" +
		" pipe_verify_sign ksfile noksfile"},
	{"virtual machine tools", "guestfs_verbose guestfs_network guestfs_channel guestfs_rescue guestfs_noreboot"},
	{"UBI", "ubi.mtd"},
	{"alternative roots@root-fallback", "rootfallback"},
	{"external journals@external-journal", "root.journaldev"},
	{"FIPS mode", "rd.fips rd.fips.skipkernel"},
	{"key files by GPG and smart cards", "rd.luks.smartcard rd.luks.keydev.uuid rd.luks.keypath" +
		" rd_LUKS_KEYDEV_UUID rd_LUKS_KEYPATH luks_key_format crypto"},
	{"LVM snapshots", "rd.lvm.snapshot rd.lvm.snapsize rd.lvm.mergetags rd_LVM_SNAPSHOT rd_LVM_SNAPSIZE"},
	{"firmware RAID", "rd.dm rd.dm.uuid"},
	{"s390", "rd.dasd rd.zfcp rd.zfcp.conf rd.znet rd.znet_ifname rd.zipl rd.cio_accept rd.dcssblk rd.lunmask"},
	{"parameters typed at boot", "rd.cmdline"},
	{"modules kept for the real system", "rd.driver.export"},
	{"merging /usr", "rd.convertfs"},
	{"capabilities", "rd.caps rd.caps.initdrop rd.caps.disablemodules rd.caps.disablekexec drop_capabilities"},
	{"remote logs", "syslogserver sysloglevel syslogtype syslog"},
	{"memory tracing", "rd.memdebug"},
	{"the shutdown", "rd.shutdown.timeout.umount"},
	{"a keyboard or font other than the image's", "rd.vconsole.keymap rd.vconsole.keymap.ext rd.vconsole.keymap.toggle" +
		" rd.vconsole.unicode rd.vconsole.font rd.vconsole.font.map rd.vconsole.font.unimap rd.locale.LANG" +
		" rd.locale.LC_ALL KEYMAP KEYTABLE SYSFONT CONTRANS UNIMAP UNICODE EXT_KEYMAP"},
	{"kernel keys", "masterkey masterkeytype evmkey evmx509 ecryptfskey"},
	{"hooks", "disablehooks stop rescue_modules"},
	{"waiting before the resume", "sleeptime sleepdevice"},
}

// elsewhere are parameters that need nothing done here: they are for the
// kernel or the real system, or ask for what Firstlight has no use for. A name
// that ends in '.' stands for all that begin with it.
const elsewhere = " rd.plymouth plymouth. splash nosplash vga vconsole. locale. root. modprobe." +
	" net. sysctl. systemd_unit udev. initramfs. booster. live. selinux enforcing SYSTEMD_SULOGIN_FORCE biosdevname" +
	" hostname LANG BOOT_IMAGE initrd rdinit loglevel resumewait resumedelay all_generic_ide nolkrg noearlylkrg" +
	" lkrg. rd_depmod rd_preload_modules rduevent_timeout rdacct rdcopystate rd.splash" +
	" rd.udev.children_max rd.udev.exec_delay rd.udev.event_timeout rd.udev.timeout_signal" +
	" rd.udev.blockdev_read_only rd.bcache rd.bcache.degraded rd.multipath nompath multipath" +
	" rd.zfs rd.zfs.degraded zfs_force zfs.force zfsforce spl_hostid bootfs rpool rollback bootfs." + ofHandlers + ofNetwork + " "

// ofHandlers are what a handler of the full /init reads by itself, so that the
// small one does not carry it: internal/handler/live and overlay.
const ofHandlers = " rd.overlay.reset rd.live.image rd.live.dir rd.live.squashimg rd.live.ram rd.live.check rd.writable.fsimg rd.minmem iso_scan/filename" +
	" rd.firstlight.sha256 live_media live_media_path toram findiso liveimg live_dir live_ram" +
	" rd.live.overlay.size rd.live.overlay.thin rd.live.overlay.nouserconfirmprompt fromiso isofrom module layerfs_path live_media_timeout ignore_uuid overlay_size persistence persistence_label persistence_media" +
	" persistence_storage persistence_path persistence_encryption persistence_read_only nopersistence persistent todisk live_media_offset plainroot exposedroot skipunion" +
	" rd.firstlight.unverified rd.firstlight.ondemand rd.firstlight.keep rd.noverifyssl proxy fetch httpfs ftpfs url netboot archiso_http_srv archisobasedir"

// ofNetwork are what internal/handler/network and its program read.
const ofNetwork = " ip nfsaddrs ifname vlan bond team bridge rd.route route bootdev BOOTIF rd.bootif ksdevice nameserver dns domain nodns rd.peerdns peerdns" +
	" rd.neednet rd.net.timeout.dhcp rd.net.timeout.carrier rd.net.dhcp.vendor-class rd.net.dhcp.client-id gateway netmask mtu" +
	" iptimeout nfsroot nfsopts sshfsroot sshfsopts netroot cifsuser cifspass rd.fcoe fcoe nbdroot nbddev nbdport rd.nonvmf rd.nvmf.nonbft rd.nvmf.nostatic rd.nvmf.hostnqn rd.nvmf.hostid" +
	" rd.nvmf.discover rd.nvmf.connect rd.nvmf.nonvmf nvmf.hostnqn nvmf.hostid nvmf.discover nvmf.connect nvmf.nonvmf nvmf.nonbft nvmf.nostatic" +
	" nvmf_hostnqn nvmf_hostid nvmf_nonvmf nvmf_nostatic nvmf_nonbft nvmf_connect nvmf_discover rd.net.timeout.ipv6dad rd.net.timeout.ipv6auto rd.net.timeout.iflink rd.net.timeout.ifup rd.net.timeout.route" +
	" rd.net.dhcp.retry" +
	" rd.iscsi.initiator rd.iscsi.target.name rd.iscsi.target.ip rd.iscsi.target.port rd.iscsi.target.group rd.iscsi.username rd.iscsi.password" +
	" rd.iscsi.in.username rd.iscsi.in.password rd.iscsi.firmware rd.iscsi.ibft rd.iscsi.mp rd.iscsi.login_retry_max rd.iscsi.param" +
	" rd.iscsi.waitnet rd.iscsi.testroute rd.iscsi.transport iscsi_initiator iscsi_target_name iscsi_target_ip iscsi_target_port" +
	" iscsi_target_group iscsi_username iscsi_password iscsi_in_username iscsi_in_password iscsi_firmware iscsi_auto iscsi_iname"

// lookupArea says what a known parameter that is not supported is about.
func lookupArea(name string) (area string, ok bool) {
	name = foldName(name)
	for i := range areas {
		if hasWord(areas[i].names, name) {
			return areas[i].area, true
		}
	}
	return "", false
}

// isElsewhere says whether the parameter is known to be for somebody else.
func isElsewhere(name string) bool {
	name = foldName(name)
	if hasWord(elsewhere, name) {
		return true
	}
	dot := strings.IndexByte(name, '.')
	return dot > 0 && dot+1 < len(name) && hasWord(elsewhere, name[:dot+1])
}

// hasWord says whether the word is one of those of the list, which are
// separated by blanks. It is asked for every parameter at every boot, hence
// it allocates and splits nothing.
func hasWord(list, word string) bool {
	for at := 0; word != ""; at++ {
		i := strings.Index(list[at:], word)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(word)
		if (at == 0 || list[at-1] == ' ') && (end == len(list) || list[end] == ' ') {
			return !strings.Contains(word, " ")
		}
	}
	return false
}

// maxGuesses bounds how many unknown names are compared with all the known
// ones, maxGuessLen their length.
const (
	maxGuesses  = 16
	maxGuessLen = 48
)

// nearest is the known name with the least edit distance, "" if none is
// near: a third of the letters after "rd." may be wrong.
func (p *parser) nearest(name string) string {
	if p.guesses++; p.guesses > maxGuesses || len(name) > maxGuessLen {
		return ""
	}
	best, least := "", (len(name)-len("rd.")+1)/3+1
	try := func(known string) {
		if d := len(known) - len(name); d >= least || -d >= least {
			return
		}
		if d := spell.Distance(foldName(known), foldName(name)); d < least {
			best, least = known, d
		}
	}
	for i := range table {
		try(table[i].name)
	}
	for i := range areas {
		for n := range strings.FieldsSeq(areas[i].names) {
			try(n)
		}
	}
	return best
}
