package disks

import (
	"context"

	"firstlight/test/debian"
)

// ISCSIInitiator is the name that the Debian of DebianISCSI has for iSCSI.
const ISCSIInitiator = "iqn.2026-01.example.firstlight:machine"

// askSession fails unless the system's own iscsid has taken over the session that
// the root is on, and the root can be written to.
const askSession = `#!/bin/sh
set -e
iscsiadm -m session -P 1
test "$(iscsiadm -m session -P 1 | grep -c 'iSCSI Session State: LOGGED_IN')" = 1
iscsiadm -m session -P 1 | grep -q 'Internal iscsid Session State: NO CHANGE'
iscsiadm -m session -P 1 | grep -q 'Iface Initiatorname: ` + ISCSIInitiator + `'
# The server is killed meanwhile, and started again; what is written waits for it.
for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/var/tmp/fltest bs=64k count=4 conv=fsync 2>/dev/null; sleep 1; done
iscsiadm -m session -P 1 | grep -q 'iSCSI Session State: LOGGED_IN'
`

// DebianISCSI is a Debian of bookworm with open-iscsi on a disk that a server gives.
func DebianISCSI() Layout {
	const name = "bookworm-iscsi"
	return Layout{Name: name, Disks: one(1200), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: Content{Tree: name, Files: append([]File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "root") + " / ext4 errors=remount-ro,_netdev 0 1\n"},
			{Path: "etc/iscsi/initiatorname.iscsi", Data: "InitiatorName=" + ISCSIInitiator + "\n", Perm: 0o600},
			{Path: "etc/systemd/system/multi-user.target.wants/systemd-networkd.service", Link: "/lib/systemd/system/systemd-networkd.service"},
			{Path: "etc/systemd/system/sockets.target.wants/systemd-networkd.socket", Link: "/lib/systemd/system/systemd-networkd.socket"},
			{Path: "usr/lib/fltest/asksession", Data: askSession},
		}, askUnit("What open-iscsi says of the session", "/bin/sh /usr/lib/fltest/asksession", "open-iscsi.service iscsid.service sysinit.target", "open-iscsi.service")...)}},
	}}
}

// iscsiTree is a Debian of bookworm with open-iscsi.
func iscsiTree(ctx context.Context) ([]string, error) {
	base, err := debianTree(ctx, "bookworm")
	if err != nil {
		return nil, err
	}
	base[0], err = debian.Root(ctx, "bookworm", "open-iscsi")
	return base, err
}
