#!/bin/sh
# Runs in a Debian that has the tools of other distributions: what they say of
# the packages, which they install and remove.
kernel=$(cat /media/bookworm/release)
later=$(cat /media/trixie/release)
rpm=$(echo /mnt/firstlight-*.rpm)
arch=$(echo /mnt/firstlight-*.pkg.tar.zst)
apk=$(echo /mnt/firstlight_*.apk)

fail() {
	echo "== FAILED: $*"
	test ! -s /tmp/said || { echo "-- it said:" && cat /tmp/said; }
	exit 1
}
say() { echo "== $*"; }
run() { "$@" >/tmp/said 2>&1 || fail "$*: $?"; }
has() { # FILE WORD…
	for word; do
		test "$word" = "$1" || grep -qF -- "$word" "$1" || { cp "$1" /tmp/said && fail "there is no $word"; }
	done
}
# what a root has that gets the files of a package
whole() { # ROOT FILE…
	root=$1
	shift
	for file in usr/bin/firstlight usr/lib/firstlight/init usr/lib/firstlight/init-full usr/lib/systemd/system/firstlight-keep.service etc/firstlight.toml \
		usr/share/bash-completion/completions/firstlight usr/share/zsh/site-functions/_firstlight usr/share/fish/vendor_completions.d/firstlight.fish \
		usr/share/man/man8/firstlight.8.gz "$@"; do
		test -s "$root/$file" || fail "$root has no $file"
	done
	for program in "$root"/usr/bin/firstlight "$root"/usr/lib/firstlight/*; do
		test -x "$program" || fail "$program cannot be run"
	done
	test "$(stat -c %U:%G:%a "$root/etc/firstlight.toml")" = root:root:644 || fail "etc/firstlight.toml has another mode"
	run chroot "$root" /usr/bin/firstlight version
}
gone() { # ROOT
	left=$(find "$1" -name '*firstlight*' ! -type d ! -path '*/var/log/*' | grep -v 'firstlight.toml.\(rpmsave\|pacsave\|pacnew\)$')
	test -z "$left" || fail "left in $1: $left"
}

configure() { # images of a quick kind
	cat >/etc/firstlight.toml <<CONF
cmdline = ["root=/dev/vda1"]
compression = "zstd:1"
[root]
bus = "virtio_blk"
fstype = "ext4"
CONF
}

# rpm
rpm -qp --scripts --triggers "$rpm" >/tmp/scripts
test ! -s /tmp/scripts || fail "it has scripts: $(cat /tmp/scripts)"
test "$(rpm -qpc "$rpm")" = /etc/firstlight.toml || fail "its configuration files are $(rpm -qpc "$rpm")"
rpm -qp --qf '%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{LICENSE}\n' "$rpm" | grep -q '^firstlight .*-1 x86_64 Apache-2.0$' || fail "it is another package"
run rpm -K --nosignature "$rpm"
mkdir /tmp/rpm
run rpm --root /tmp/rpm --initdb
run rpm --root /tmp/rpm --nodeps -i "$rpm"
whole /tmp/rpm usr/lib/kernel/install.d/50-firstlight.install usr/lib/kernel/install.d/60-firstlight-uki.install usr/lib/kernel/install.conf.d/50-firstlight.conf
run rpm --root /tmp/rpm -V --nodeps firstlight
test ! -s /tmp/said || fail "not as it was packed"
run rpm --root /tmp/rpm -e firstlight
gone /tmp/rpm
# Programs are static on purpose; what else rpmlint calls an error is one.
rpmlint "$rpm" >/tmp/lint 2>&1
grep ': E: ' /tmp/lint | grep -v -e 'statically-linked-binary' -e 'no-changelogname-tag' -e 'position-independent-executable' -e 'missing-PT_GNU_STACK-section' -e 'no-signature' -e 'spelling-error' -e 'bad-manual-page-folder.*expected folder: mantoml' >/tmp/said && fail "rpmlint"
grep -q 'packages and .* specfiles checked' /tmp/lint || { cp /tmp/lint /tmp/said && fail "rpmlint has checked nothing"; }
say "rpm: no scripts, one configuration file, installed, verified, removed; rpmlint"

# pacman, in an empty root at first
bsdtar -xOf "$arch" .PKGINFO >/tmp/info
has /tmp/info 'pkgname = firstlight' 'arch = x86_64' 'license = Apache-2.0' 'provides = initramfs' 'depend = zstd' 'backup = etc/firstlight.toml'
version=$(sed -n 's/^pkgver = //p' /tmp/info)
case "$arch" in *firstlight-"$version"-x86_64.*) ;; *) fail "the version in it is $version" ;; esac
bsdtar -tf "$arch" >/tmp/list
has /tmp/list .MTREE usr/share/libalpm/hooks/90-firstlight-install.hook usr/share/libalpm/hooks/95-firstlight-remove.hook usr/share/libalpm/scripts/firstlight
grep -q '^.INSTALL' /tmp/list && fail "it has a script"
mkdir -p /tmp/empty /etc/pacman.d
printf '[options]\nArchitecture = auto\nLocalFileSigLevel = Never\n' >/tmp/pacman.conf
empty() { run pacman --config /tmp/pacman.conf --root /tmp/empty --dbpath /tmp/empty/var/lib/pacman --hookdir /tmp/none --noconfirm "$@"; }
mkdir -p /tmp/empty/var/lib/pacman
empty -Udd "$arch"
whole /tmp/empty usr/share/libalpm/hooks/90-firstlight-install.hook
empty -Qkk firstlight
has /tmp/said '0 altered files'
empty -R firstlight
gone /tmp/empty
say "pacman: installed into an empty root, checked, removed"

# pacman in a system with kernels, whose packages come and go
for suite in bookworm trixie; do
	release=$(cat /media/$suite/release)
	mkdir -p "/usr/lib/modules/$release/kernel"
	cp "/media/$suite/lib/modules/$release"/modules.* "/usr/lib/modules/$release/"
	mount --bind "/media/$suite/lib/modules/$release/kernel" "/usr/lib/modules/$release/kernel"
done
rm -f /boot/*
echo 'ID=arch' >/etc/os-release
configure
mkdir -p /var/lib/pacman
live() { run pacman --config /tmp/pacman.conf --noconfirm "$@"; }
# a package with a kernel: VERSION RELEASE SUITE
kernel_package() {
	rm -rf /tmp/package
	mkdir -p "/tmp/package/usr/lib/modules/$2"
	cp "/media/$3/boot/vmlinuz-$2" "/tmp/package/usr/lib/modules/$2/vmlinuz"
	echo linux >"/tmp/package/usr/lib/modules/$2/pkgbase"
	printf 'pkgname = linux\npkgbase = linux\npkgver = %s-1\npkgdesc = a kernel\nurl = none\nbuilddate = 1\npackager = nobody\nsize = 1\narch = any\nlicense = none\n' "$1" >/tmp/package/.PKGINFO
	(cd /tmp/package && bsdtar --zstd -cf "/tmp/linux-$1-1-any.pkg.tar.zst" .PKGINFO usr)
}
# the kernel and the image in /boot are of this: RELEASE SUITE
boots() {
	release=$(firstlight cat /boot/initramfs-linux.img etc/firstlight/image | sed -n 's/^kernel=//p')
	test "$release" = "$1" || fail "the image in /boot is of ${release:-nothing}, not of $1"
	cmp "/media/$2/boot/vmlinuz-$1" /boot/vmlinuz-linux || fail "the kernel in /boot is another one"
}
live -Udd "$arch" --overwrite '*'
test -z "$(ls /boot)" || fail "there is no kernel, and /boot has $(ls /boot)"
kernel_package 1 "$kernel" bookworm
kernel_package 2 "$later" trixie
live -U /tmp/linux-1-1-any.pkg.tar.zst
has /tmp/said 'Making images of the initramfs'
boots "$kernel" bookworm
say "pacman: a kernel is installed, and its image"
# The image of the new one cannot be made: what is there stays, and together.
mv "/usr/lib/modules/$later/modules.dep" /tmp/
live -U /tmp/linux-2-1-any.pkg.tar.zst
has /tmp/said 'command failed to execute correctly'
boots "$kernel" bookworm
mv /tmp/modules.dep "/usr/lib/modules/$later/"
say "pacman: the kernel is upgraded without an image, the kernel and the image before stay"
live -U /tmp/linux-1-1-any.pkg.tar.zst
live -U /tmp/linux-2-1-any.pkg.tar.zst
boots "$later" trixie
say "pacman: the kernel is upgraded, and its image"
rm /boot/initramfs-linux.img
live -Udd "$arch"
boots "$later" trixie
say "pacman: Firstlight is upgraded, and all images"
live -R linux
test -z "$(ls /boot)" || fail "the kernel is removed, and /boot has $(ls /boot)"
say "pacman: the kernel is removed, and its image"
live -R firstlight
gone /usr
gone /etc

# apk: Debian has no apk. A package is three archives, one behind the other.
mkdir /tmp/apk
run tar --ignore-zeros -C /tmp/apk --warning=no-unknown-keyword -xzf "$apk"
has /tmp/apk/.PKGINFO 'pkgname = firstlight' 'arch = x86_64' 'provides = initramfs-generator' 'depend = zstd'
ls -A /tmp/apk | grep -e '^\.pre' -e '^\.post' -e '^\.trigger' && fail "it has scripts"
sum=$(sed -n 's/^datahash = //p' /tmp/apk/.PKGINFO)
python3 - "$apk" "$sum" <<'PYTHON' >/tmp/said 2>&1 || fail "the sum of the data"
import hashlib, sys, zlib
rest = open(sys.argv[1], "rb").read()
while rest:
    last, d = rest, zlib.decompressobj(31)
    d.decompress(rest)
    rest = d.unused_data
assert hashlib.sha256(last).hexdigest() == sys.argv[2], "datahash is of something else"
PYTHON
whole /tmp/apk usr/share/kernel-hooks.d/firstlight.hook etc/init.d/firstlight-keep
test "$(readlink /tmp/apk/etc/kernel-hooks.d/50-firstlight.hook)" = /usr/share/kernel-hooks.d/firstlight.hook || fail "kernel-hooks would not find the hook"
run sh -n /tmp/apk/etc/init.d/firstlight-keep
# As kernel-hooks calls it: the flavour, the new release without it, the one before.
cp -r /tmp/apk/usr/bin/firstlight /usr/bin/
cp -r /tmp/apk/usr/lib/firstlight /usr/lib/
echo 'ID=alpine' >/etc/os-release
configure
flavour=${kernel##*-}
cp "/media/bookworm/boot/vmlinuz-$kernel" /boot/
run sh /tmp/apk/usr/share/kernel-hooks.d/firstlight.hook "$flavour" "${kernel%-*}" 1.0-0
firstlight cat "/boot/initramfs-$flavour" etc/firstlight/image | grep -qxF "kernel=$kernel" || fail "no image was made"
run sh /tmp/apk/usr/share/kernel-hooks.d/firstlight.hook "$flavour" "" "${kernel%-*}"
test ! -e "/boot/initramfs-$flavour" || fail "the image is left"
say "apk: content and hook"

# Completions and manual pages
run bash -n /tmp/apk/usr/share/bash-completion/completions/firstlight
run zsh -n /tmp/apk/usr/share/zsh/site-functions/_firstlight
run fish -n /tmp/apk/usr/share/fish/vendor_completions.d/firstlight.fish
complete=$(bash -c '. /usr/share/bash-completion/bash_completion; . /tmp/apk/usr/share/bash-completion/completions/firstlight
COMP_WORDS=(firstlight inst) COMP_CWORD=1 COMP_LINE="firstlight inst" COMP_POINT=15
__start_firstlight firstlight; printf "%s\n" "${COMPREPLY[@]}"' 2>/tmp/said)
case "$complete" in install*) ;; *) fail "bash completes inst to ${complete:-nothing}" ;; esac
complete=$(cd /tmp/apk/usr/share/fish/vendor_completions.d && fish -c 'source firstlight.fish; complete -C "firstlight inst"' 2>/tmp/said)
case "$complete" in install*) ;; *) fail "fish completes inst to ${complete:-nothing}" ;; esac
complete=$(zsh -fc 'autoload -Uz compinit; fpath=(/tmp/apk/usr/share/zsh/site-functions $fpath); compinit -D -u; print ${_comps[firstlight]}' 2>/tmp/said)
test "$complete" = _firstlight || fail "zsh completes firstlight with ${complete:-nothing}"
say "completions: bash, zsh, fish"
pages=0
for page in /tmp/apk/usr/share/man/man*/*.gz; do
	pages=$((pages + 1))
	name=${page##*/}
	gunzip <"$page" >"/tmp/${name%.gz}"
	# They have no date, so that the same sources give the same pages.
	(cd /tmp && mandoc -T lint -W warning "${name%.gz}" | grep -v 'WARNING: missing date') >>/tmp/warnings 2>&1
done
cp /tmp/warnings /tmp/said
test ! -s /tmp/said || fail "manual pages"
test $pages -gt 20 || fail "there are only $pages manual pages"
say "manual pages: $pages"
echo "ALL DONE"
