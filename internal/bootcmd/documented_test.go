package bootcmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documented are the parameters of dracut.cmdline(7), of systemd's initrd,
// of initramfs-tools(7), mkinitcpio(8), make-initrd and booster, each with a
// value that its documentation allows.
var documented = [...]string{
	// dracut: standard, root.
	"init=/sbin/init", "root=LABEL=Root", "root=UUID=19e9dda3-5a38-484d-a9b0-fa6b067d0331", "root=/dev/vda1",
	"root=PARTUUID=3f5ad593-4546-4a94-a374-bcfb68aa11f7", "root=PARTLABEL=root", "rootfstype=ext3",
	"rootflags=rw,noload", "ro", "rw", "rootfallback=/dev/sdb1", "root.journaldev=/dev/sdc1", "rd.auto=1",
	"rd.hostonly=0", "rd.cmdline=ask", "rd.fstab=0", "rd.skipfsck", "forcefsck", "fastboot",
	"resume=UUID=19e9dda3-5a38-484d-a9b0-fa6b067d0331", "resume=/dev/dm-1", "noresume", "splash=silent", "iso-scan/filename=/a.iso",
	// dracut: misc and debug.
	"rd.emergency=poweroff", "rd.driver.blacklist=a,b", "rd.driver.pre=a", "rd.driver.post=a",
	"rd.driver.export=force", "rd.retry=180", "rd.timeout=0", "rd.noverifyssl", "proxy=http://h:3128", "rd.ctty=tty1",
	"rd.shutdown.timeout.umount=90", "rd.info", "rd.debug", "rd.shell=0", "rd.memdebug=4", "rd.break",
	"rd.break=cmdline", "rd.break=pre-udev", "rd.break=pre-trigger", "rd.break=initqueue", "rd.break=pre-mount",
	"rd.break=mount", "rd.break=pre-pivot", "rd.break=cleanup", "rd.break=pre-shutdown", "rd.udev.log_level=err",
	"SYSTEMD_SULOGIN_FORCE=1", "rd.convertfs", "rd.caps", "rd.caps.initdrop=x", "rd.caps.disablemodules=1",
	"rd.caps.disablekexec=1", "syslogserver=1.2.3.4", "sysloglevel=1", "syslogtype=x", "selinux=0", "enforcing=0",
	// dracut: i18n.
	"rd.vconsole.keymap=de", "rd.vconsole.keymap.ext=x", "rd.vconsole.unicode=1", "rd.vconsole.font=eurlatgr",
	"rd.vconsole.font.map=x", "rd.vconsole.font.unimap=x", "rd.locale.LANG=pl_PL.UTF-8", "rd.locale.LC_ALL=C",
	// dracut: storage.
	"rd.lvm=0", "rd.lvm.degraded=10,ro", "rd.lvm.vg=vg0", "rd.lvm.lv=vg0/root", "rd.lvm.conf=0", "rd.lvm.mergetags=a",
	"rd.luks=0", "rd.luks.uuid=luks-0a1b2c3d", "rd.luks.uuid=keysource:0a1b2c3d", "rd.luks.partuuid=1234abcd-01",
	"rd.luks.serial=QM1", "rd.luks.name=0a1b2c3d-0001-4002-8003-aabbccddeeff=root", "rd.luks.allow-discards",
	"rd.luks.allow-discards=0a1b2c3d", "rd.luks.crypttab=0", "rd.luks.timeout=10", "rd.luks.key=/foo/bar.key",
	"rd.luks.key=/foo/bar.key:/dev/sdb1", "rd.luks.key=/foo/bar.key:LABEL=keys:/dev/sda2", "rd.luks.key.tout=5",
	"rd.luks.smartcard=1", "rd.md=0", "rd.md.imsm=0", "rd.md.ddf=0", "rd.md.conf=0", "rd.md.waitclean=1",
	"rd.md.uuid=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f", "rd.dm=0", "rd.dm.uuid=isw_abc", "rd.multipath=default",
	"rd.fips", "rd.fips.skipkernel", "boot=UUID=44EF-C1A0",
	// dracut: network.
	"ip=dhcp", "ip=eth0:dhcp:1500", "ifname=bond0:52:54:00:12:34:56", "rd.route=10.0.0.0/8:10.0.0.1", "bootdev=eth0",
	"BOOTIF=01-52-54-00-12-34-56", "rd.bootif=1", "nameserver=1.1.1.1", "rd.peerdns=1", "rd.neednet=1", "vlan=v1:eth0",
	"bond=bond0:eth0,eth1", "team=t:eth0", "bridge=br0:eth0", "biosdevname=0", "rd.net.dhcp.retry=3",
	"rd.net.timeout.dhcp=3", "rd.net.timeout.iflink=3", "rd.net.timeout.ifup=3", "rd.net.timeout.route=3",
	"rd.net.timeout.ipv6dad=3", "rd.net.timeout.ipv6auto=3", "rd.net.timeout.carrier=3", "ksdevice=eth0",
	"hostname=a", "gateway=1.2.3.4", "netmask=255.0.0.0", "mtu=1500", "root=nfs:1.2.3.4:/srv", "root=nfs4:h:/srv",
	"root=dhcp6", "root=/dev/nfs", "nfsroot=1.2.3.4:/srv", "rd.nfs.domain=x", "root=cifs://u:p@h:/d", "cifsuser=u",
	"cifspass=p", "root=iscsi:1.2.3.4::::iqn.a", "netroot=iscsi:1.2.3.4::::iqn.a", "rd.iscsi.initiator=i",
	"rd.iscsi.target.name=n", "rd.iscsi.target.ip=1.2.3.4", "rd.iscsi.target.port=3260", "rd.iscsi.target.group=1",
	"rd.iscsi.username=u", "rd.iscsi.password=p", "rd.iscsi.in.username=u", "rd.iscsi.in.password=p",
	"rd.iscsi.firmware=1", "rd.iscsi.ibft=1", "rd.iscsi.mp=1", "rd.iscsi.login_retry_max=3", "rd.iscsi.param=a",
	"rd.iscsi.waitnet=1", "rd.iscsi.testroute=1", "rd.iscsi.transport=qedi", "rd.fcoe=1", "rd.nofcoe",
	"fcoe=edd:dcb", "rd.nonvmf", "rd.nvmf.nonbft", "rd.nvmf.nostatic", "rd.nvmf.hostnqn=n", "rd.nvmf.hostid=i",
	"rd.nvmf.discover=fc,auto", "root=nbd:h:1", "root=virtiofs:tag", "root=live:/dev/sda1", "root=http://h/a.img",
	"rd.systemd.pull=tar,verify=no:a:b", "updates=u", "live.updates=u",
	// dracut: live and overlay.
	"rd.overlay", "rd.overlay=tmpfs:size=1g", "rd.overlay.readonly", "rd.overlay.reset=1", "rd.overlay.crypt=/dev/sda1",
	"rd.live.image", "rd.live.dir=/LiveOS", "rd.live.squashimg=a", "rd.live.ram=1", "rd.live.debug", "rd.live.check",
	"rd.live.overlay.cowfs=ext4", "rd.live.overlay.size=1024", "rd.live.overlay.thin=1", "rd.live.overlay.readonly=1",
	"rd.live.overlay.nouserconfirmprompt", "rd.writable.fsimg=1", "rd.minmem=1024",
	// dracut: s390, splash, keys.
	"rd.dasd=0.0.0200", "rd.zfcp=0.0.1", "rd.zfcp.conf=1", "rd.znet=qeth", "rd.znet_ifname=a", "rd.zipl=LABEL=z",
	"rd.cio_accept=1", "rd.dcssblk=x", "rd.lunmask=x", "plymouth.enable=0", "rd.plymouth=0", "masterkey=/k",
	"masterkeytype=trusted", "evmkey=/k", "evmx509=/k", "ecryptfskey=/k",
	// dracut: deprecated.
	"rd_NO_DM", "rd_NO_MD", "rd_NO_MDADMCONF", "rd_NO_MDIMSM", "rd_NO_MDDDF",
	"rd_MD_UUID=bc480eb5:7cf60b42:5f35ae0d:1f6f1e9f", "iscsi_initiator=i", "iscsi_target_name=n", "iscsi_target_ip=1",
	"iscsi_target_port=1", "iscsi_target_group=1", "iscsi_username=u", "iscsi_password=p", "iscsi_in_username=u",
	"iscsi_in_password=p", "iscsi_firmware", "rdudevdebug", "rdudevinfo", "rdnetdebug", "rd.udev.debug",
	"rd.udev.info", "rd.udev.log-priority=debug", "KEYMAP=de", "KEYTABLE=de", "SYSFONT=x", "CONTRANS=x", "UNIMAP=x",
	"UNICODE=1", "EXT_KEYMAP=x", "rd.live.overlay=/dev/sda1", "rd.live.overlay.overlayfs", "rd.live.overlay.reset",
	"nvmf.hostnqn=x", "nvmf.hostid=x", "nvmf.discover=x", "nvmf.nonbft", "rd_NO_LUKS", "rd_LUKS_UUID=0a1b2c3d",
	"rd_NO_LVM", "rd_NO_LVMCONF", "rd_LVM_VG=a", "rd_LVM_LV=a/b", "rd_DM_UUID=x", "rd_NO_FSTAB", "rd_NO_CRYPTTAB",
	"rd_LUKS_KEYDEV_UUID=x", "rd_LUKS_KEYPATH=/k", "rd_LVM_SNAPSHOT=x", "rd_LVM_SNAPSIZE=x", "rd_NO_MULTIPATH",
	"rd_NO_PLYMOUTH", "rd_NO_SPLASH", "rd_NO_ZFCPCONF", "rd_DASD=x", "rd_DASD_MOD=x", "rd_ZFCP=x", "rd_ZNET=x",
	"rd_CCW=x", "rd_NFS_DOMAIN=x", "rd_retry=3", "rdshell", "rdbreak=mount", "rdinfo", "rdinitdebug", "rdblacklist=a",
	"rdloaddriver=a", "rdinsmodpost=a", "rdcopystate",
	// initramfs-tools and Debian's packages.
	"root=8:1", "root=0801", "rootdelay=180", "boot=local", "boot=nfs", "nfsroot=auto", "resume_offset=4096",
	"break", "break=top", "break=modules", "break=premount", "break=mount", "break=mountroot", "break=bottom",
	"break=init", "panic=0", "debug=vc", "netconsole=@/eth0,@1.2.3.4/", "quiet", "initramfs.clear",
	"initramfs.runsize=20%", "blacklist=a,b", "all_generic_ide", "fsckfix", "fsck.mode=skip", "fsck.repair=no",
	"drop_capabilities=x", "ubi.mtd=3", "cryptopts=target=r,source=/dev/sda2", "cryptopts=", "iscsi_auto",
	// mkinitcpio.
	"rootfstype=ext4", "break=postmount", "break=y", "disablehooks=a", "earlymodules=a,b", "rd.log=kmsg|console",
	"cryptdevice=/dev/sda2:root:allow-discards", "cryptkey=rootfs:/k", "crypto=a:b:c:d:e", "sleeptime=5",
	"sleepdevice=/dev/sda",
	// systemd in the initrd.
	"rd.systemd.unit=x", "rd.luks.options=0a1b2c3d-0001-4002-8003-aabbccddeeff=discard",
	"rd.luks.data=0a1b2c3d-0001-4002-8003-aabbccddeeff=/dev/sdb", "luks=yes", "luks.uuid=0a1b2c3d",
	"luks.name=0a1b2c3d=x", "luks.options=discard", "luks.key=/k", "luks.crypttab=no", "root=gpt-auto", "root=tmpfs",
	"root=bind:/x", "root=dissect", "root=fstab", "root=off", "mount.usr=/dev/sda2", "mount.usrfstype=ext4",
	"mount.usrflags=ro", "roothash=" + strings.Repeat("0a", 32), "usrhash=" + strings.Repeat("0b", 32), "systemd.verity=0", "rd.systemd.verity=0",
	"systemd.verity_root_data=/dev/sda2", "systemd.verity_root_hash=/dev/sda3", "systemd.verity_root_options=panic-on-corruption",
	"systemd.verity_usr_data=/dev/sda2", "systemd.verity_usr_hash=/dev/sda3", "systemd.verity_usr_options=superblock=no", "rd.systemd.gpt_auto=1",
	"systemd.volatile=overlay", "resumeflags=x-systemd.device-timeout=20", "rd.modules_load=a", "modules-load=a", "rd.udev.children_max=3",
	"rd.udev.exec_delay=3", "rd.udev.event_timeout=3", "rd.udev.timeout_signal=SIGKILL",
	"rd.udev.blockdev_read_only", "udev.log_level=info", "vconsole.keymap=de", "systemd.debug_shell",
	"systemd.mask=x", "rd.emergency", "rd.rescue", "systemd.machine_id=x", "systemd.hostname=x",
	"systemd.default_timeout_start_sec=3", "locale.LANG=C",
	// make-initrd.
	"root=pipeline", "root=ZFS=a/b", "root=/dev/sshfs", "root=SOURCE=x", "rootonly", "readonly=1", "resume-offset=1",
	"rescue-modules=a", "stop=all", "rdlog=console", "rd-debug-udev", "rd-depmod", "rd-preload-modules=0",
	"iptimeout=30", "rduevent-timeout=1", "no-fsck", "no-luks", "luks-key=/k:UUID=44EF-C1A0",
	"luks-key=pkcs11:id=1", "luks-key-format=raw", "luks-dev=/dev/sda2", "luks-ignore=/dev/sda2",
	"luks-discard=/dev/sda2", "luks-crypttab=0", "raid-member-delay=10", "nodmraid", "noiswmd",
	"btrfs-member-delay=10", "route=1", "nfsopts=x", "sshfsroot=x", "sshfsopts=x", "iscsi-target-name=x",
	"iscsi-password=x", "nvmf-hostnqn=x", "nvmf-hostid=x", "nvmf-nonvmf", "nvmf-nostatic", "nvmf-nonbft",
	"nvmf-connect=x", "nvmf-discover=x", "rd.nvmf.connect=x", "pipeline=a,b", "getimage=x", "mountfs=x",
	"mountfs-opts=x", "overlayfs=x", "waitdev=x", "ping=x", "pipe-retry=3", "pipe-verify-sign=x", "ksfile=x",
	"noksfile", "guestfs-verbose", "guestfs-network", "guestfs-channel=x", "guestfs-rescue", "guestfs-noreboot",
	"zfs-force", "spl-hostid=1", "nolkrg", "noearlylkrg", "nosplash", "vga=1", "rdacct=1",
	// booster.
	"zfs=a/b", "rd.luks.header=0a1b2c3d=/h:UUID=44EF-C1A0", "rd.modules_force_load=a", "booster.log=debug,console",
	"booster.debug", "root=HWPATH=pci-0000:00:03.0", "root=WWID=nvme-eui.1",
	// tinyramfs and our own.
	"rddebug", "rdpanic", "rootwait", "rd.firstlight.degraded=15", "rd.firstlight.explain=10",
	"rd.firstlight.progress=5", "console=ttyS0,115200n8", "modprobe.blacklist=a", "i915.enable_psr=0",
}

// Whatever another initramfs documents is known here: it changes the
// configuration, or it is said to be not supported yet, or it is in the list
// of what concerns somebody else. And it is never malformed.
func TestEveryDocumentedParameterIsKnown(t *testing.T) {
	plain, _ := Parse()
	// These ask for what is the case anyway.
	same := " boot=local boot=nfs rd.auto=0 luks=yes rd.udev.log_level=err udev.log_level=info rdudevinfo rd.udev.info readonly=1" +
		" rd.firstlight.degraded=15 rd.firstlight.explain=10 rd.firstlight.progress=5 rd_NO_MULTIPATH rd_NO_PLYMOUTH" +
		" rd_NO_SPLASH rd_NO_ZFCPCONF rd.nofcoe rd.dm=0 rd_NO_DM rd.md.imsm=0 rd_NO_MDIMSM rd.md.ddf=0 rd_NO_MDDDF "
	for _, text := range documented {
		c, problems := cmdline(text)
		told := false
		for _, p := range problems {
			switch p.Kind {
			case NotYet:
				told = true
			case Unknown, Malformed, Conflicting:
				if text != "rdpanic" {
					t.Errorf("%s: %v", text, p)
				}
			}
		}
		name, _, _ := strings.Cut(text, "=")
		c.Params = nil
		changed := !cmp.Equal(plain, c)
		switch {
		case told && changed, changed:
		case told:
			t.Errorf("%s is reported, but not in the configuration", text)
		case isElsewhere(name), isElsewhere(meaning(name)), strings.Contains(same, " "+text+" "):
		default:
			t.Errorf("%s has no effect, and nobody is told", text)
		}
	}
}

// meaning is the name that an old one stands for.
func meaning(name string) string {
	for _, a := range aliases {
		if sameName(a.old, name) {
			return a.name
		}
	}
	return name
}

// Every name in the tables is one that a test above uses, or an old spelling
// of one; and no name stands in two places.
func TestTablesAreWhole(t *testing.T) {
	seen := map[string]string{}
	add := func(name, where string) {
		name = foldName(name)
		if was := seen[name]; was != "" {
			t.Errorf("%s is in %s and in %s", name, was, where)
		}
		seen[name] = where
	}
	for i := range table {
		add(table[i].name, "the table")
	}
	for i := range aliases {
		if aliases[i].old != "resume-offset" { // only so that it can be looked for
			add(aliases[i].old, "the aliases")
		}
		name := aliases[i].name
		found := false
		for j := range table {
			found = found || table[j].name == name
		}
		if _, ok := lookupArea(name); !found && !ok && !isElsewhere(name) {
			t.Errorf("the alias %s leads to %s, which nobody knows", aliases[i].old, name)
		}
	}
	for i := range areas {
		for _, n := range strings.Fields(areas[i].names) {
			add(n, areas[i].area)
		}
	}
}
