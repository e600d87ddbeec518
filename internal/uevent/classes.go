package uevent

// classes are the device classes that are walked besides the buses: those
// with members that a boot reacts to. The kernel has many more (tty alone has
// over seventy members), none of which any rule of an initramfs concerns.
var classes = [...]string{"block", "net", "nvme", "nvme-subsystem", "tpm", "tpmrm",
	"input", "hidraw", "drm", "scsi_host", "fc_host", "iscsi_host", "mmc_host"}

// quietBus names buses whose devices have no driver that is ever loaded for
// them by modalias and that no rule concerns.
var quietBus = map[string]bool{
	"clockevents": true, "clocksource": true, "container": true,
	"event_source": true, "machinecheck": true, "memory": true, "memory_tiering": true,
	"node": true, "workqueue": true, "edac": true, "gpio": true, "xen-backend": true,
	"vme": true,
}
