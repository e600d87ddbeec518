package disks

// keptLink is a unit that says, where the test's report looks, what
// systemd-networkd makes of the link that the root is on.
const keptLink = `[Unit]
Description=What networkd says of the links
DefaultDependencies=no
After=systemd-networkd.service systemd-networkd-wait-online.service
Wants=systemd-networkd-wait-online.service
Before=fltest-report.service
[Service]
Type=oneshot
SyslogIdentifier=asked
SyslogLevel=warning
ExecStart=/bin/sh -c 'networkctl --no-pager status -n0 enp0s1'
[Install]
WantedBy=multi-user.target
`

// DebianNFS is a Debian of a suite on an ext4 without partitions, for a server
// to export: its networkd looks after the link.
func DebianNFS(suite string) Layout {
	name := suite + "-nfs"
	return Layout{Name: name, Disks: one(1200), Steps: []Step{
		FS{On: "d0", Type: "ext4", Content: Content{Tree: suite, Files: []File{
			{Path: "etc/fstab", Data: "# the root is on NFS\n"},
			{Path: "etc/systemd/system/fltest-kept.service", Data: keptLink},
			{Path: "etc/systemd/system/multi-user.target.wants/fltest-kept.service", Link: "../fltest-kept.service"},
			{Path: "etc/systemd/system/multi-user.target.wants/systemd-networkd.service", Link: "/lib/systemd/system/systemd-networkd.service"},
			{Path: "etc/systemd/system/sockets.target.wants/systemd-networkd.socket", Link: "/lib/systemd/system/systemd-networkd.socket"},
		}}},
	}}
}
