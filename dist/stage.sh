#!/bin/sh
# Puts what the packages hold below a directory: common for all of them, and
# what one format alone has. It is run in the root of the repository, after
# make build.
set -e
root=$1
version=$2
common=$root/common
umask 022

put() { # MODE SOURCE DESTINATION
	install -D -m "$1" "$2" "$3"
}

put 755 bin/firstlight "$common/usr/bin/firstlight"
for program in init init-full network nbd nbd-tls nvmf iscsi fetch imagecache oci httpdisk ssh sshfs tang tang-tls; do
	put 755 bin/$program "$common/usr/lib/firstlight/$program"
done
for file in bin/packed/*; do
	put 644 "$file" "$common/usr/lib/firstlight/packed/${file##*/}"
done
put 644 dist/systemd/firstlight-keep.service "$common/usr/lib/systemd/system/firstlight-keep.service"
put 644 dist/config/firstlight.toml "$common/etc/firstlight.toml"
put 755 dist/kernel-install/50-firstlight.install "$common/usr/lib/kernel/install.d/50-firstlight.install"
put 755 dist/kernel-install/60-firstlight-uki.install "$common/usr/lib/kernel/install.d/60-firstlight-uki.install"
put 755 dist/kernel-install/90-firstlight-uki-copy.install "$common/usr/lib/kernel/install.d/90-firstlight-uki-copy.install"
put 755 dist/kernel-install/91-firstlight-entries.install "$common/usr/lib/kernel/install.d/91-firstlight-entries.install"
for shell in bash zsh fish; do
	case $shell in
	bash) file=usr/share/bash-completion/completions/firstlight ;;
	zsh) file=usr/share/zsh/site-functions/_firstlight ;;
	fish) file=usr/share/fish/vendor_completions.d/firstlight.fish ;;
	esac
	mkdir -p "$common/${file%/*}"
	bin/firstlight completion $shell >"$common/$file"
done
bin/firstlight man "$common/usr/share/man"
find "$common/usr/share/man" -type f -exec gzip -9n {} +

# Debian
deb=$root/deb
put 755 dist/debian/update-initramfs "$deb/usr/sbin/update-initramfs"
put 755 dist/kernel/postinst.d-firstlight "$deb/etc/kernel/postinst.d/firstlight"
put 755 dist/kernel/postrm.d-firstlight "$deb/etc/kernel/postrm.d/firstlight"
put 755 dist/grub/15_firstlight "$deb/etc/grub.d/15_firstlight"
put 644 dist/debian/copyright "$deb/usr/share/doc/firstlight/copyright"
put 644 dist/debian/lintian-overrides "$deb/usr/share/lintian/overrides/firstlight"
mkdir -p "$deb/usr/share/man/man8"
gzip -9n <dist/debian/update-initramfs.8 >"$deb/usr/share/man/man8/update-initramfs.8.gz"
sed "s/@VERSION@/$(echo "$version" | sed s,-,~,)-1/; s/@DATE@/$(date -u -R -d @"$SOURCE_DATE_EPOCH")/" dist/debian/changelog |
	gzip -9n >"$deb/usr/share/doc/firstlight/changelog.Debian.gz"

# Fedora, openSUSE
put 644 dist/kernel-install/50-firstlight.conf "$root/rpm/usr/lib/kernel/install.conf.d/50-firstlight.conf"

# Arch
for hook in dist/pacman/*.hook; do
	put 644 "$hook" "$root/archlinux/usr/share/libalpm/hooks/${hook##*/}"
done
put 755 dist/pacman/firstlight "$root/archlinux/usr/share/libalpm/scripts/firstlight"

# Alpine
put 755 dist/kernel/alpine.hook "$root/apk/usr/share/kernel-hooks.d/firstlight.hook"
# kernel-hooks runs what it finds here.
mkdir -p "$root/apk/etc/kernel-hooks.d"
ln -s /usr/share/kernel-hooks.d/firstlight.hook "$root/apk/etc/kernel-hooks.d/50-firstlight.hook"
put 755 dist/openrc/firstlight-keep "$root/apk/etc/init.d/firstlight-keep"
