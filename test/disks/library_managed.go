package disks

import (
	"context"

	"firstlight/test/debian"
)

// managedTree is the name of a Debian of bookworm with NetworkManager and ifupdown.
const managedTree = "bookworm-managed"

func debianManaged(ctx context.Context) ([]string, error) {
	base, err := debianTree(ctx, "bookworm")
	if err != nil {
		return nil, err
	}
	base[0], err = debian.Root(ctx, "bookworm", "network-manager", "ifupdown", "isc-dhcp-client", "iproute2")
	return base, err
}

// sameAddress fails unless the link that the root is on has its leased address, that
// without an end, and the root can be written to.
const sameAddress = `#!/bin/sh
set -e
same() {
	ip -o address show dev enp0s1
	test "$(ip -4 -o address show dev enp0s1 | grep -c 'inet 10\.7\.0\.[5-9][0-9]/24 .*valid_lft forever')" = 1
	test "$(ip -4 -o address show dev enp0s1 | wc -l)" = 1
	ip -4 route show default | grep -q 'via 10\.7\.0\.1 dev enp0s1'
	dd if=/dev/zero of=/var/tmp/fltest bs=64k count=4 conv=fsync 2>/dev/null
}
`

// askNetworkManager fails unless NetworkManager leaves the link as it is, with a
// profile that would be for it, when it is started again, and when it is stopped.
const askNetworkManager = sameAddress + `
left() {
	nm-online -s -q -t 90
	nmcli -t -f DEVICE,STATE device
	nmcli -t -f DEVICE,STATE device | grep -q '^enp0s1:connected (externally)$'
	same
}
left
systemctl restart NetworkManager.service
left
systemctl stop NetworkManager.service
same
systemctl start NetworkManager.service
left
`

// askIfupdown fails unless ifupdown takes the link for one that is up, and leaves it as
// it is when all links are taken down and up, as at shutdown.
const askIfupdown = sameAddress + `
left() {
	grep -qx enp0s1=enp0s1 /run/network/ifstate
	same
}
left
systemctl stop networking.service
left
systemctl start networking.service
left
`

// managed is a Debian, for a server to export, whose links a program looks after.
func managed(name, after, ask string, files ...File) Layout {
	files = append(files, File{Path: "etc/fstab", Data: "# the root is on NFS\n"}, File{Path: "usr/lib/fltest/asklink", Data: ask})
	files = append(files, askUnit("What becomes of the link that the root is on", "/bin/sh /usr/lib/fltest/asklink", after+" dbus.socket sysinit.target", after)...)
	return Layout{Name: name, Disks: one(1200), Steps: []Step{FS{On: "d0", Type: "ext4", Content: Content{Tree: managedTree, Files: files}}}}
}

// DebianNetworkManager is a Debian with NetworkManager, which has a profile for the
// link that the root is on.
func DebianNetworkManager() Layout {
	return managed("bookworm-networkmanager", "NetworkManager.service", askNetworkManager,
		File{Path: "etc/network/interfaces", Data: "auto lo\niface lo inet loopback\n"},
		File{Path: "etc/systemd/system/networking.service", Link: "/dev/null"},
		File{Path: "etc/NetworkManager/system-connections/cable.nmconnection", Perm: 0o600,
			Data: "[connection]\nid=cable\nuuid=6f4a1c7e-1111-4111-8111-111111111111\ntype=ethernet\ninterface-name=enp0s1\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\n"})
}

// DebianIfupdown is a Debian with ifupdown, for which the link that the root is on is
// manual, and not one that is taken down with the others.
func DebianIfupdown() Layout {
	return managed("bookworm-ifupdown-left", "networking.service", askIfupdown,
		File{Path: "etc/systemd/system/NetworkManager.service", Link: "/dev/null"},
		File{Path: "etc/network/interfaces", Data: "auto lo enp0s1\nno-auto-down enp0s1\niface lo inet loopback\niface enp0s1 inet manual\n"})
}
