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
	systemd-boot) run bootctl set-default "$(ls /boot/efi/loader/entries | grep -- "-$1.conf" | head -1)" ;;
	esac
}
# what the boot loader's menu has of a kernel
entry_of() {
	case $loader in
	grub) grep -q "vmlinuz-$1" /boot/grub/grub.cfg ;;
	systemd-boot) ls /boot/efi/loader/entries | grep -q -- "-$1.conf" ;;
	esac
}

say "kernel $running, $(test -s /run/firstlight/summary && echo Firstlight || echo initramfs-tools)"
case $n in
0) # started without a boot loader: put one on the disk
	run mountpoint /boot/efi
	case $loader in
	grub)
		run grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
		run update-grub
		;;
	systemd-boot)
		run apt-get -y --no-install-recommends install $tools/debs/systemd-boot_*.deb $tools/debs/systemd-boot-efi_*.deb
		run bootctl --no-variables install
		run kernel-install add "$running" "/boot/vmlinuz-$running" "/boot/initrd.img-$running"
		;;
	esac
	choose "$running"
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
	next reboot
	;;
2) # the boot loader and Firstlight
	booted_by_us || fail "it was not started by Firstlight"
	no_failed_units
	run firstlight trace show
	run firstlight check "/boot/initrd.img-$running"
	run apt-get -y --no-install-recommends install /root/debs/linux-image-*.deb
	other=$(other_kernel)
	ours "/boot/initrd.img-$other" || fail "the kernel $other has no image of Firstlight"
	entry_of "$other" || fail "the boot loader does not know $other"
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
	# The image that has booted stays, now that another one takes its place.
	run systemctl start firstlight-keep.service
	id=$(id_of "/boot/initrd.img-$running")
	grep -q "^image=$id\$" /run/firstlight/summary || fail "the summary of the boot has another image than $id"
	mkdir -p /etc/firstlight.d
	echo 'cmdline = ["rd.firstlight.test=1"]' >/etc/firstlight.d/test.toml
	run update-initramfs -u
	test "$(id_of "/boot/initrd.img-$running")" != "$id" || fail "the image is the same"
	test "$(id_of "/boot/initrd.img-$running.old")" = "$id" || fail "the image before is not the one that has booted"
	echo "$id" >/var/lib/stage.id
	if test "$loader" = grub; then
		run update-grub
		run grub-reboot "firstlight-before>firstlight-before-$running"
	fi
	next reboot
	;;
5) # by GRUB's entry for the image before
	booted_by_us || fail "it was not started by Firstlight"
	if test "$loader" = grub; then
		grep -q "^image=$(cat /var/lib/stage.id)\$" /run/firstlight/summary || fail "it was not started by the image before"
	fi
	run apt-get -y --no-install-recommends install /root/debs/initramfs-tools_*.deb
	installed firstlight && fail "firstlight is still installed"
	installed initramfs-tools || fail "initramfs-tools is not installed"
	test -s "/boot/initrd.img-$running" || fail "there is no image"
	run update-initramfs -c -k "$running"
	lsinitramfs "/boot/initrd.img-$running" | grep -q scripts/init-top || fail "the image is not of initramfs-tools"
	choose "$running"
	next reboot
	;;
6) # initramfs-tools again
	booted_by_us && fail "it was started by Firstlight"
	no_failed_units
	say "ALL DONE"
	sync
	poweroff
	;;
esac
