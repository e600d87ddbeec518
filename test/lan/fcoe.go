package lan

import (
	"firstlight/test/disks"
	"firstlight/test/guest/serverplan"
)

// Names of the ports of Fibre Channel that the kernel makes of the hardware addresses of
// the server's first card and of the machine's.
const (
	fcServer  = "20:00:52:54:00:07:00:01"
	fcMachine = "20:00:52:54:00:07:01:01"
)

// FCoE is the kernel's target of Fibre Channel over Ethernet, without a switch (VN2VN),
// with the first disk of a layout for the machine's first card.
func FCoE(l disks.Layout) Server {
	s := Server{NoNFS: true, Exports: []disks.Layout{l}, Memory: 768, Modules: []string{"fcoe", "tcm_fc", "target_core_mod", "target_core_iblock", "crc32c_generic", "crct10dif_generic"}}
	do := func(argv ...string) { s.Other = append(s.Other, serverplan.Command{Argv: argv}) }
	const config = "/sys/kernel/config"
	const core, group = config + "/target/core/iblock_0/root", config + "/target/fc/" + fcServer + "/tpgt_1"
	do("@mount", "configfs", config, "configfs")
	do("@mkdir", core)
	do("@write", core+"/control", "udev_path=/dev/vda")
	do("@write", core+"/enable", "1")
	do("@write", "/sys/module/libfcoe/parameters/create_vn2vn", "eth0")
	do("@mkdir", group+"/lun/lun_0")
	do("@link", core, group+"/lun/lun_0/root")
	do("@mkdir", group+"/acls/"+fcMachine+"/lun_0")
	do("@link", group+"/lun/lun_0", group+"/acls/"+fcMachine+"/lun_0/root")
	return s
}
