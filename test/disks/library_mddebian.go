package disks

// askArrays is a unit that says, in the journal and where the test's report
// looks, what mdadm and the kernel say of every array.
const askArrays = `[Unit]
Description=What mdadm says of the arrays
DefaultDependencies=no
After=systemd-udev-settle.service
Wants=systemd-udev-settle.service
Before=fltest-report.service
[Service]
Type=oneshot
SyslogIdentifier=asked
SyslogLevel=warning
ExecStart=/bin/sh -c 'for a in /dev/md[0-9]*; do echo "array $a"; mdadm --detail --export $a; done; cat /proc/mdstat; sed "s/^/map /" /run/mdadm/map'
[Install]
WantedBy=multi-user.target
`

// DebianIMSM is a Debian of a suite on a mirror with Intel's metadata.
func DebianIMSM(suite string) Layout {
	name := suite + "-imsm"
	return Layout{Name: name, Disks: two(1200), Steps: []Step{
		Container{Name: "container", Metadata: "imsm", On: []string{"d0", "d1"}},
		MD{Name: "array", Level: "1", In: "container", Members: 2},
		FS{On: "array", Type: "ext4", Content: Content{Tree: suite, Files: []File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "array") + " / ext4 errors=remount-ro 0 1\n"},
			{Path: "etc/systemd/system/fltest-asked.service", Data: askArrays},
			{Path: "etc/systemd/system/multi-user.target.wants/fltest-asked.service", Link: "../fltest-asked.service"},
		}}},
	}}
}
