#!/bin/sh
# Runs in a Debian without a kernel of its own, with an unpacked one: what
# kernel-install makes of the plugins.
esp=/efi
token=token
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
kernel=$(cat "/media/$release/release")
export BOOT_ROOT=$esp

fail() {
	echo "== FAILED: $*"
	test ! -s /tmp/said || { echo "-- it said:" && cat /tmp/said; }
	find $esp /boot -type f | sort
	exit 1
}
say() { echo "== $*"; }
run() { "$@" >/tmp/said 2>&1 || fail "$*: $?"; }
add() { run kernel-install -v add "$kernel" "/boot/vmlinuz-$kernel" "$@"; }
remove() { run kernel-install -v remove "$kernel"; }
conf() { # lines of install.conf, and an empty EFI system partition
	rm -rf $esp
	mkdir -p $esp/EFI/Linux $esp/loader
	test "$1" != layout=bls || mkdir -p $esp/$token
	printf '%s\n' "$@" >/etc/kernel/install.conf
}
entry=$esp/loader/entries/$token-$kernel.conf
uki=$esp/EFI/Linux/$token-$kernel.efi
# the entry has one image, and it is this kernel's, of Firstlight; its file's
# name in $image
entry_is_whole() {
	test -s "$entry" || fail "there is no entry $entry"
	test "$(grep -c '^initrd' "$entry")" = 1 || fail "the entry has not one image: $(cat "$entry")"
	grep -q '^options *root=LABEL=root ro' "$entry" || fail "the entry has another command line: $(cat "$entry")"
	image=$esp$(sed -n 's/^initrd *//p' "$entry" | sed "s,^$esp,,")
	of_firstlight "$image"
	cmp "/boot/vmlinuz-$kernel" "$esp/$token/$kernel/linux" || fail "the entry has another kernel"
}
of_firstlight() {
	firstlight cat "$1" etc/firstlight/image 2>/tmp/said | grep -qxF "kernel=$kernel" || fail "$1 is not Firstlight's for $kernel"
}
nothing_left() {
	left=$(find $esp -name "*$kernel*")
	test -z "$left" || fail "left: $left"
}
entry_for() { echo "$esp/loader/entries/$token-$kernel-firstlight-$1.conf"; }
# there is an entry of a kind, the kernel's own but for title, key and image
other_entry() {
	e=$(entry_for "$1")
	test -s "$e" || fail "there is no entry $e"
	for key in version machine-id options linux; do
		test "$(grep "^$key " "$e")" = "$(grep "^$key " "$entry")" || fail "the entry has another $key: $(cat "$e")"
	done
	test "$(grep '^sort-key' "$e")" = "$(grep '^sort-key' "$entry")-firstlight-$1" || fail "the entry is not behind the others: $(cat "$e")"
	test "$(grep '^title' "$e")" != "$(grep '^title' "$entry")" || fail "the entry has the title of the kernel's"
	test "$(grep -c '^initrd' "$e")" = 1 || fail "the entry has not one image: $(cat "$e")"
	other=$esp$(sed -n 's/^initrd *//p' "$e" | sed "s,^$esp,,")
	test "$other" != "$image" || fail "the entry has the image of the kernel's own"
	if test $# -gt 1; then
		cmp "$other" "$2" || fail "the entry has another image than $2"
	else
		of_firstlight "$other"
	fi
}
uki_is_whole() {
	test -s "$1" || fail "there is no unified image $1"
	of_firstlight "$1"
	run firstlight uki show "$1"
	grep -q '^ *root=LABEL=root ro' /tmp/said || fail "$1 has another command line"
	firstlight uki show --json "$1" | grep -qF "$(sha256sum <"/boot/vmlinuz-$kernel" | cut -d' ' -f1)" || fail "$1 has another kernel"
	features=$(firstlight cat "$1" etc/firstlight/image | sed -n 's/^features=//p')
}

# the image in it is made for that
for_unified() {
	case " $features " in *[\ ,]uki[\ ,]*) ;; *) fail "the image has the features $features and not uki" ;; esac
}

mkdir -p /boot /etc/kernel /etc/firstlight.d
mkdir -p /usr/lib/modules
mount --bind "/media/$release/lib/modules" /usr/lib/modules
run sh -c 'dpkg --force-depends -i /mnt/firstlight_*.deb'
cp "/media/$release/boot/vmlinuz-$kernel" "/media/$release/boot/config-$kernel" /boot/
echo $token >/etc/kernel/entry-token
echo 'root=LABEL=root ro' >/etc/kernel/cmdline
echo '9d6e20fda3db44668ca6b4c9bf93bd56' >/etc/machine-id
cat >/etc/firstlight.toml <<CONF
cmdline = ["root=/dev/vda1"]
compression = "zstd:1"
[root]
bus = "virtio_blk"
fstype = "ext4"
CONF
say "$release: $(kernel-install --version | head -1)"

# Debian: the image of /boot, which the kernel's hook has made, is in the entry.
conf layout=bls
run env DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/firstlight "$kernel" "/boot/vmlinuz-$kernel"
of_firstlight "/boot/initrd.img-$kernel"
add
entry_is_whole
cmp "$image" "/boot/initrd.img-$kernel" || fail "the entry has another image than /boot"
say "bls, Debian's hooks: one image in the entry, that of /boot"
# Another one, with the one before kept: still one image, the new one.
echo 'cmdline = ["rd.firstlight.test=1"]' >/etc/firstlight.d/test.toml
run firstlight install --kernel "$kernel"
test -s "/boot/initrd.img-$kernel.old" || fail "the image before is not kept"
add
entry_is_whole
cmp "$image" "/boot/initrd.img-$kernel" || fail "the entry has another image than /boot"
cmp -s "$image" "/boot/initrd.img-$kernel.old" && fail "the entry has the image before"
say "bls, Debian's hooks: with an image before, the entry has the new one"
# An entry of its own for the one before, behind all others.
other_entry before "/boot/initrd.img-$kernel.old"
test ! -e "$(entry_for fallback)" || fail "an image for any machine has an entry, and there is none"
say "bls, Debian's hooks: an entry for the image before"
# As the hook of systemd-boot calls it after an image has changed.
echo 'install.fallback = "/boot/initrd.img-%v-generic"' >/etc/firstlight.d/fallback.toml
run firstlight install --kernel "$kernel"
add "/boot/initrd.img-$kernel"
entry_is_whole
other_entry before "/boot/initrd.img-$kernel.old"
other_entry fallback "/boot/initrd.img-$kernel-generic"
run firstlight cat "/boot/initrd.img-$kernel-generic" etc/firstlight/image
grep -q '^mode=generic$' /tmp/said || fail "the image for any machine is not that"
say "bls, Debian's hooks: an entry for the image for any machine"
rm "/boot/initrd.img-$kernel.old" /etc/firstlight.d/fallback.toml "/boot/initrd.img-$kernel-generic"
add
test ! -e "$(entry_for before)" && test ! -e "$(entry_for fallback)" || fail "there are entries for images that are gone"
test "$(ls $esp/$token/$kernel | grep -c firstlight)" = 0 || fail "images of those are left: $(ls $esp/$token/$kernel)"
run firstlight install --kernel "$kernel" # with what follows, an image before again
echo 'cmdline = ["rd.firstlight.test=2"]' >/etc/firstlight.d/test.toml
run firstlight install --kernel "$kernel"
add
other_entry before "/boot/initrd.img-$kernel.old"
remove
nothing_left
test -s "/boot/initrd.img-$kernel" || fail "the image in /boot is gone"
say "bls, Debian's hooks: removed, the image in /boot stays"
# An entry that is a convenience takes no room that another kernel needs.
conf layout=bls
mount -t tmpfs -o size=30M none $esp
mkdir -p $esp/EFI/Linux $esp/loader $esp/$token
dd if=/dev/zero of=$esp/else bs=1M count=$((30 - 6 - $(stat -c %s "/boot/vmlinuz-$kernel") / 1048576)) 2>/dev/null
add
grep -q 'too few for' /tmp/said || fail "it is not said that there is no room for the image before"
entry_is_whole
test ! -e "$(entry_for before)" || fail "the image before took the room of another kernel"
test "$(ls -A $esp/$token/$kernel | grep -c firstlight)" = 0 || fail "something of it is left: $(ls -A $esp/$token/$kernel)"
rm $esp/else
mount -o remount,size=64M $esp
add
other_entry before "/boot/initrd.img-$kernel.old"
remove
nothing_left
umount $esp
say "bls, Debian's hooks: no room for an entry for the image before"
conf layout=other
add
remove
test -s "/boot/initrd.img-$kernel" || fail "kernel-install remove took the image of a kernel that stays"
say "other, Debian's hooks: kernel-install remove leaves the image in /boot"
conf layout=uki uki_generator=firstlight
run firstlight install --kernel "$kernel" # as the kernel's hook does it
add
uki_is_whole "$uki"
for_unified
remove
nothing_left
say "uki, Debian's hooks: made of the image in /boot"

# Without those hooks and Debian's plugin, as elsewhere.
rm -f /etc/kernel/postinst.d/firstlight /etc/kernel/postrm.d/firstlight /boot/initrd.img-*
for plugin in /usr/lib/kernel/install.d/*-initrd.install; do
	mkdir -p /etc/kernel/install.d
	ln -s /dev/null "/etc/kernel/install.d/${plugin##*/}"
done
conf layout=bls
add
entry_is_whole
test "$image" = "$esp/$token/$kernel/initrd" || fail "the entry has $image"
test ! -e "/boot/initrd.img-$kernel" || fail "there is an image in /boot too"
first=$(sha256sum <"$image")
rm /etc/firstlight.d/test.toml
add
entry_is_whole
test "$first" != "$(sha256sum <"$image")" || fail "the image is still the one before"
remove
nothing_left
say "bls: made in the entry, made anew, removed"
echo 'install.fallback = "/boot/initrd.img-%v-generic"' >/etc/firstlight.d/fallback.toml
add
entry_is_whole
other_entry fallback
remove
nothing_left
rm /etc/firstlight.d/fallback.toml
say "bls: an entry for the image for any machine"
echo 3 >/etc/kernel/tries
add
entry=$esp/loader/entries/$token-$kernel+3.conf
entry_is_whole
remove
nothing_left
entry=$esp/loader/entries/$token-$kernel.conf
rm /etc/kernel/tries
say "bls: with boot counting"
conf layout=bls initrd_generator=dracut
add
test "$(grep -c '^initrd' "$entry")" = 0 || fail "an image is made, and another generator was asked for"
remove
say "bls: another generator is asked for, nothing is made"
conf layout=bls
echo one >/tmp/one.img
add /tmp/one.img
test "$(grep '^initrd' "$entry" | sed 's,.*/,,')" = one.img || fail "the image that was given is not the only one: $(cat "$entry")"
remove
say "bls: an image is given, none is made"
conf layout=other
add
of_firstlight "/boot/initrd.img-$kernel"
remove
test ! -e "/boot/initrd.img-$kernel" || fail "the image is left"
say "other: made in /boot, removed"

for generator in ukify firstlight ""; do
	test ! -e /usr/lib/kernel/install.d/60-ukify.install || has_ukify=yes
	if test "$generator" = ukify && test "${has_ukify:-no}" = no; then
		say "uki: ukify is not there"
		continue
	fi
	conf layout=uki ${generator:+uki_generator=$generator}
	add
	uki_is_whole "$uki"
	for_unified
	cp "$uki" /tmp/uki.efi
	add
	cmp "$uki" /tmp/uki.efi || fail "the same again is another one"
	echo 3 >/etc/kernel/tries
	add
	uki_is_whole "${uki%.efi}+3.efi"
	test ! -e "$uki" || fail "the one before is left beside it"
	rm /etc/kernel/tries
	remove
	nothing_left
	test -z "$(ls -A $esp/EFI/Linux)" || fail "left: $(ls -A $esp/EFI/Linux)"
	say "uki, uki_generator=${generator:-(not said)}: made, made anew, counted, removed"
done
if test "${has_ukify:-no}" = yes; then
	rm /usr/lib/kernel/install.d/60-ukify.install
	conf layout=uki
	add
	uki_is_whole "$uki"
	remove
	nothing_left
	say "uki, without ukify: made, removed"
fi
run dpkg --purge firstlight
test ! -e /usr/lib/kernel/install.d/50-firstlight.install || fail "the plugin is left"
echo "ALL DONE"
