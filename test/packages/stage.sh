#!/bin/sh
# A stage of the life of a Debian that gets Firstlight in place of
# initramfs-tools and gives it back; one boot each. The last word of a stage is
# what the next one begins with, in /var/lib/stage.
exec >/dev/ttyS1 2>&1
tools=/run/tools
n=$(cat /var/lib/stage 2>/dev/null || echo 0)
loader=$(cat $tools/loader)
running=$(uname -r)

fail() {
	echo "stage $n: FAILED: $*"
	sync
	poweroff -f
	exit 1
}
say() { echo "stage $n: $*"; }
# go on with the next boot, by reboot or poweroff
next() {
	echo $((n + 1)) >/var/lib/stage
	sync
	say "done"
	systemctl --no-block "$1"
	exit 0
}
run() { # a command that must succeed; what it says is in the report
	say "$*"
	"$@" </dev/null || fail "$*: $?"
}
installed() { test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed; }
ours() { firstlight cat "$1" etc/firstlight/image >/dev/null 2>&1; }
booted_by_us() { test -s /run/firstlight/summary; }
id_of() { firstlight cat "$1" etc/firstlight/id; }
no_failed_units() {
	failed=$(systemctl --failed --no-legend --plain | grep -v '^stage')
	test -z "$failed" || fail "units have failed: $failed"
}
other_kernel() { ls /boot/vmlinuz-*cloud* 2>/dev/null | sed 's,.*/vmlinuz-,,'; }
# the kernel that the next boots are of
choose() {
	case $loader in
	grub)
		uuid=$(findmnt -n -o UUID /)
		run grub-set-default "gnulinux-advanced-$uuid>gnulinux-$1-advanced-$uuid"
		;;
	systemd-boot) run bootctl set-default "$(basename "$(entry_file "$1")")" ;;
	esac
}
entry_file() { ls /boot/efi/loader/entries/*-"$1".conf 2>/dev/null; }
# what the boot loader's menu has of a kernel
entry_of() {
	case $loader in
	grub) grep -q "vmlinuz-$1" /boot/grub/grub.cfg ;;
	systemd-boot) test -n "$(entry_file "$1")" ;;
	esac
}
# what the boot loader starts a kernel with is the image in /boot, and that alone
loads_image() {
	entry_of "$1" || fail "the boot loader does not know $1"
	test "$loader" = systemd-boot || return 0
	images=$(sed -n 's/^initrd *//p' "$(entry_file "$1")")
	say "the entry of $1 has: $images"
	test -f "/boot/efi$images" || fail "the entry of $1 has no image, or several"
	cmp "/boot/initrd.img-$1" "/boot/efi$images" || fail "the entry of $1 has another image than /boot"
}
# the menu has an entry for another image of a kernel, and that is FILE (for
# systemd-boot a copy of it)
other_entry() { # before|fallback KERNEL FILE
	test -s "$3" || fail "there is no image $3"
	case $loader in
	grub)
		sed -n "/'firstlight-$1-$2'/,/}/p" /boot/grub/grub.cfg | grep -q "initrd .*$3\$" || fail "GRUB's menu has no entry for $3"
		;;
	systemd-boot)
		entry=$(echo /boot/efi/loader/entries/*-"$2"-firstlight-"$1".conf)
		test -s "$entry" || fail "systemd-boot has no entry for $3"
		cmp "$3" "/boot/efi$(sed -n 's/^initrd *//p' "$entry")" || fail "the entry $entry has another image than $3"
		;;
	esac
}
# the next boot, and that alone, is by such an entry
choose_once() { # before|fallback
	case $loader in
	grub) run grub-reboot "firstlight-$1>firstlight-$1-$running" ;;
	systemd-boot) run bootctl set-oneshot "$(basename /boot/efi/loader/entries/*-"$running"-firstlight-"$1".conf)" ;;
	esac
}
booted_with() { # ID WHAT
	booted_by_us || fail "it was not started by Firstlight"
	grep -q "^image=$1\$" /run/firstlight/summary || fail "it was not started with $2, $1: $(grep ^image= /run/firstlight/summary)"
}
of_initramfs_tools() { lsinitramfs "$1" | grep -q scripts/init-top; }

say "kernel $running, $(test -s /run/firstlight/summary && echo Firstlight || echo initramfs-tools)"
case $n in
0) # started without a boot loader: put one on the disk
	run mountpoint /boot/efi
	# The time stamp counter of a machine that is interpreted is good enough, and
	# to ask another clock takes as long as a hundred system calls. QEMU keeps what
	# it has translated by the addresses of the guest's programs, so these shall
	# not change. Deadlines are for such a machine on a busy one.
	sed -i 's/console=ttyS0/& tsc=reliable mitigations=off norandmaps/' /etc/default/grub /etc/kernel/cmdline
	mkdir -p /etc/systemd/system.conf.d
	printf '[Manager]\nDefaultDeviceTimeoutSec=30min\nDefaultTimeoutStartSec=30min\nDefaultTimeoutStopSec=10min\n' >/etc/systemd/system.conf.d/test.conf
	# What dpkg and apt say goes to a serial port; and nobody pulls the plug.
	echo 'Dpkg::Use-Pty "false"; quiet "1";' >/etc/apt/apt.conf.d/test
	echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/test
	case $loader in
	grub)
		run grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
		run update-grub
		;;
	systemd-boot)
		run apt-get -y purge grub-efi-amd64 grub-efi-amd64-bin grub2-common grub-common
		run apt-get -y --no-install-recommends install /root/debs/systemd-boot*.deb
		run bootctl is-installed
		run bootctl status
		;;
	esac
	loads_image "$running"
	test "$loader" = systemd-boot || choose "$running" # which is for those that it has started
	next poweroff
	;;
1) # the boot loader and initramfs-tools
	booted_by_us && fail "it was started by Firstlight"
	no_failed_units
	before=$(sha256sum <"/boot/initrd.img-$running")
	run apt-get -y --no-install-recommends install $tools/debs/firstlight_*.deb
	installed firstlight || fail "firstlight is not installed"
	installed initramfs-tools && fail "initramfs-tools is still installed"
	ours "/boot/initrd.img-$running" || fail "the image is not Firstlight's"
	test "$before" = "$(sha256sum <"/boot/initrd.img-$running.old")" || fail "the image before is not what initramfs-tools made"
	dpkg --audit | grep . && fail "packages are half configured"
	test "$loader" != grub || run update-grub
	loads_image "$running"
	next reboot
	;;
2) # the boot loader and Firstlight
	booted_by_us || fail "it was not started by Firstlight"
	no_failed_units
	run firstlight trace show
	run firstlight check "/boot/initrd.img-$running"
	mkdir -p /etc/firstlight.d
	echo 'install.fallback = "/boot/initrd.img-%v-generic"' >/etc/firstlight.d/fallback.toml
	run apt-get -y --no-install-recommends install /root/debs/linux-image-*.deb
	other=$(other_kernel)
	ours "/boot/initrd.img-$other" || fail "the kernel $other has no image of Firstlight"
	loads_image "$other"
	ours "/boot/initrd.img-$other-generic" || fail "the kernel $other has no image of Firstlight for any machine"
	other_entry fallback "$other" "/boot/initrd.img-$other-generic"
	choose "$other"
	next reboot
	;;
3) # another kernel
	case $running in *cloud*) ;; *) fail "another kernel was to be started" ;; esac
	booted_by_us || fail "it was not started by Firstlight"
	no_failed_units
	sum=$(sha256sum <"/boot/initrd.img-$running")
	run update-initramfs -u -k "$running"
	test "$sum" = "$(sha256sum <"/boot/initrd.img-$running")" || fail "the same image again is another one"
	choose "$(ls /boot/vmlinuz-* | grep -v cloud | sed 's,.*/vmlinuz-,,')"
	next reboot
	;;
4) # the first kernel again: the other one goes
	booted_by_us || fail "it was not started by Firstlight"
	other=$(other_kernel)
	run apt-get -y purge "linux-image-$other"
	ls /boot | grep -- "$other" && fail "files of $other are left"
	entry_of "$other" && fail "the boot loader still knows $other"
	grep -r -e "$other" /boot/grub/grub.cfg /boot/efi/loader/entries 2>/dev/null && fail "the menu still has $other"
	# The image that has booted stays, now that another one takes its place.
	run systemctl start firstlight-keep.service
	id=$(id_of "/boot/initrd.img-$running")
	grep -q "^image=$id\$" /run/firstlight/summary || fail "the summary of the boot has another image than $id"
	echo 'cmdline = ["rd.firstlight.test=1"]' >/etc/firstlight.d/test.toml
	run update-initramfs -u
	test "$(id_of "/boot/initrd.img-$running")" != "$id" || fail "the image is the same"
	test "$(id_of "/boot/initrd.img-$running.old")" = "$id" || fail "the image before is not the one that has booted"
	echo "$id" >/var/lib/stage.id
	test "$loader" != grub || run update-grub
	loads_image "$running"
	other_entry before "$running" "/boot/initrd.img-$running.old"
	other_entry fallback "$running" "/boot/initrd.img-$running-generic"
	choose_once fallback
	next reboot
	;;
5) # by the boot loader's entry for the image for any machine
	booted_with "$(id_of "/boot/initrd.img-$running-generic")" "the image for any machine"
	no_failed_units
	test "$(id_of "/boot/initrd.img-$running")" != "$(id_of "/boot/initrd.img-$running-generic")" || fail "both images are one"
	choose_once before
	next reboot
	;;
6) # by its entry for the image before: initramfs-tools takes its place again
	booted_with "$(cat /var/lib/stage.id)" "the image before"
	no_failed_units
	rm /etc/firstlight.d/test.toml
	conffiles=$(dpkg-query -W -f '${Conffiles}' firstlight | awk '{ print $1 }')
	test -n "$conffiles" || fail "the package has no conffiles"
	for file in $(dpkg -L firstlight); do
		test -d "$file" || echo "$file"
	done >/var/lib/stage.files
	# Images of this machine alone, and few minutes for each when interpreted.
	printf 'MODULES=list\nCOMPRESSLEVEL=1\n' >/etc/initramfs-tools/conf.d/test
	printf 'virtio_pci\nvirtio_blk\next4\n' >/usr/share/initramfs-tools/modules.d/test
	run apt-get -y --no-install-recommends install /root/debs/initramfs-tools_*.deb
	installed firstlight && fail "firstlight is still installed"
	installed initramfs-tools || fail "initramfs-tools is not installed"
	dpkg --audit | grep . && fail "packages are half configured"
	for file in $conffiles; do
		test -f "$file" || fail "the conffile $file was not kept"
	done
	for file in $(cat /var/lib/stage.files); do
		echo "$conffiles" | grep -qxF "$file" || ! dpkg -S "$file" 2>/dev/null | grep -q "^firstlight:" || fail "$file is still the package's"
	done
	test ! -e /usr/bin/firstlight || fail "the program is still there"
	rm -r /etc/firstlight.d # of the administrator, who wrote it
	ls /boot/efi/loader/entries 2>/dev/null | grep firstlight && fail "systemd-boot has entries that nothing takes away any more"
	test "$(dpkg -S /usr/sbin/update-initramfs)" = "initramfs-tools: /usr/sbin/update-initramfs" || fail "update-initramfs is not of initramfs-tools"
	dpkg-divert --list | grep -i -e firstlight -e initramfs && fail "something is diverted"
	dpkg --verify initramfs-tools | grep -v '^missing .*/man' | grep . && fail "files of initramfs-tools are not its own"
	test -s "/boot/initrd.img-$running" || fail "there is no image"
	run update-initramfs -c -k "$running"
	of_initramfs_tools "/boot/initrd.img-$running" || fail "the image is not of initramfs-tools"
	# The hooks are conffiles and still there.
	run apt-get -y --no-install-recommends install /root/debs/linux-image-*.deb
	other=$(other_kernel)
	of_initramfs_tools "/boot/initrd.img-$other" || fail "the kernel $other has no image of initramfs-tools"
	loads_image "$other"
	run apt-get -y purge "linux-image-$other"
	ls /boot | grep -- "$other" && fail "files of $other are left"
	entry_of "$other" && fail "the boot loader still knows $other"
	loads_image "$running"
	choose "$running"
	next reboot
	;;
7) # initramfs-tools again, and nothing else
	booted_by_us && fail "it was started by Firstlight"
	no_failed_units
	run apt-get -y purge firstlight
	dpkg-query -W firstlight && fail "dpkg still knows firstlight"
	for file in $(grep -vxF /usr/sbin/update-initramfs /var/lib/stage.files | grep -v /update-initramfs.8.gz); do
		test ! -e "$file" || fail "$file is left"
	done
	left=$(find / -xdev -name '*firstlight*')
	test -z "$left" || fail "left: $left"
	ls -A /boot | grep -e '\.old$' -e '\.new$' -e generic && fail "images before or for any machine are left"
	of_initramfs_tools "/boot/initrd.img-$running" || fail "the image is not of initramfs-tools"
	run update-initramfs -u
	loads_image "$running"
	say "ALL DONE"
	sync
	poweroff
	;;
esac
