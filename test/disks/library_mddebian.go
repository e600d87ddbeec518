package disks

// askArrays says what mdadm and the kernel say of every array.
const askArrays = `/bin/sh -c 'for a in /dev/md[0-9]*; do echo "array $a"; mdadm --detail --export $a; done; cat /proc/mdstat; sed "s/^/map /" /run/mdadm/map'`

// DebianIMSM is a Debian of a suite on a mirror with Intel's metadata.
func DebianIMSM(suite string) Layout {
	name := suite + "-imsm"
	return Layout{Name: name, Disks: two(1200), Steps: []Step{
		Container{Name: "container", Metadata: "imsm", On: []string{"d0", "d1"}},
		MD{Name: "array", Level: "1", In: "container", Members: 2},
		FS{On: "array", Type: "ext4", Content: Content{Tree: suite, Files: append([]File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "array") + " / ext4 errors=remount-ro 0 1\n"},
		}, askUnit("What mdadm says of the arrays", askArrays, "systemd-udev-settle.service", "systemd-udev-settle.service")...)}},
	}}
}
