package disks

import (
	"context"

	"firstlight/test/debian"
)

// kerberosTree is the name of a Debian of bookworm with nfs-utils.
const kerberosTree = "bookworm-kerberos"

func debianKerberos(ctx context.Context) ([]string, error) {
	base, err := debianTree(ctx, "bookworm")
	if err != nil {
		return nil, err
	}
	base[0], err = debian.Root(ctx, "bookworm", "nfs-common", "krb5-user", "iproute2")
	return base, err
}

// askTickets fails unless the system's own rpc.gssd has taken over from that of the
// initramfs, which is there again when the other one is not, and neither is read from
// the root: all that the kernel has of the root and of tickets is dropped, which leaves
// who has to be read from it to get tickets for it where it is. A root with other
// tickets than the system's is mounted then, and a user reads it who has tickets, while
// one that has none does not.
const askTickets = `#!/bin/sh
set -ex
first() { grep -lsa '^@rpc\.gssd' /proc/[0-9]*/cmdline; }
soon() {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if "$@"; then
			return 0
		fi
		sleep 1
	done
	echo "not so after 20 s: $*"
	return 1
}
gone() { ! first; }
drop() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
other() {
	drop
	mount -t nfs -o ro,vers=4.2,nosharecache,sec=krb5i server.firstlight.test:/srv/root /mnt
	grep ' /mnt nfs4 .*sec=krb5i' /proc/mounts
	cat /mnt/etc/debian_version
	"$@"
	umount /mnt
}
as() {
	n=$1
	shift
	timeout 20 setpriv --reuid="$n" --regid="$n" --clear-groups "$@"
}
users() {
	echo 'of alice' | as 4711 kinit alice
	as 4711 cat /mnt/etc/hosts >/dev/null
	if as 4712 cat /mnt/etc/hosts; then
		exit 1
	fi
}
own() {
	systemctl is-active rpc-gssd.service
	grep -q ' / /pipes .* rpc_pipefs ' "/proc/$(systemctl show -P MainPID rpc-gssd.service)/mountinfo"
}
soon own
soon gone
other users
systemctl stop rpc-gssd.service
soon first
other true
systemctl start rpc-gssd.service
own
soon gone
other true
drop
as 4712 sha256sum /usr/sbin/rpc.gssd
`

// DebianKerberos is a Debian, for a server to export, that has the machine's keytab and
// a krb5.conf of these texts, and an rpc.gssd of its own.
func DebianKerberos(keytab, conf, hosts, server string) Layout {
	return Layout{Name: "bookworm-kerberos", Disks: one(1200), Steps: []Step{FS{On: "d0", Type: "ext4", Content: Content{Tree: kerberosTree, Files: append([]File{
		{Path: "etc/fstab", Data: "# the root is on NFS\n"},
		{Path: "etc/krb5.keytab", Perm: 0o600, Data: keytab}, {Path: "etc/krb5.conf", Data: conf}, {Path: "etc/hosts", Data: hosts}, {Path: "etc/resolv.conf", Data: "nameserver " + server + "\n"},
		{Path: "usr/lib/fltest/asktickets", Data: askTickets},
	}, askUnit("Who has the tickets", "/bin/sh /usr/lib/fltest/asktickets", "rpc-gssd.service nfs-client.target sysinit.target", "nfs-client.target")...)}}}}
}
