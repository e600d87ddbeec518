// Package ibfttest has a firmware's iSCSI table as the kernel shows it, for the tests
// of who reads it.
package ibfttest

import (
	"io/fs"
	"path"
	"slices"
)

// Shown is what the kernel shows, by path. It implements ibft.Dir.
type Shown map[string]string

// Read is a file's text.
func (s Shown) Read(p string) (string, error) {
	if v, ok := s[p]; ok {
		return v, nil
	}
	return "", fs.ErrNotExist
}

// List is what there is at the top: directories.
func (s Shown) List(string) (list []string, err error) {
	for p := range s {
		if d := path.Dir(p); !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	slices.Sort(list)
	return list, nil
}

// Usual is the table of a machine that was booted from a target, with an address of
// a DHCP server and a VLAN, as drivers/firmware/iscsi_ibft.c and
// drivers/scsi/iscsi_boot_sysfs.c show it.
func Usual() Shown {
	return Shown{
		"initiator/initiator-name": "iqn.2010-04.org.ipxe:me", "initiator/flags": "3",
		"ethernet0/index": "0", "ethernet0/flags": "7", "ethernet0/ip-addr": "192.168.50.101", "ethernet0/subnet-mask": "255.255.255.0", "ethernet0/origin": "3",
		"ethernet0/gateway": "192.168.50.1", "ethernet0/primary-dns": "192.168.50.2", "ethernet0/dhcp": "192.168.50.3", "ethernet0/vlan": "5",
		"ethernet0/mac": "52:54:00:12:34:56", "ethernet0/hostname": "node7",
		"target0/index": "0", "target0/flags": "3", "target0/ip-addr": "192.168.50.10", "target0/port": "3260", "target0/lun": "01000000", "target0/nic-assoc": "0",
		"target0/target-name": "iqn.2009-06.org.example:disk", "target0/chap-name": "user", "target0/chap-secret": "secret",
		"target0/rev-chap-name": "inuser", "target0/rev-chap-name-secret": "insecret", "acpi_header/signature": "iBFT",
	}
}
