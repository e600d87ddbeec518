// Package rules holds Firstlight's own udev rules, as files of the udev rules
// language. They are compiled into the image; nothing reads them there.
//
// They give block devices the links and properties that systemd-udevd with
// Debian's rules gives them, so that names written in fstab, crypttab or the
// kernel command line work before the real system runs, and so that the
// database which is handed over is one that its udevd would have made. What
// only a running system needs (input, sound, network names, hardware
// databases) is left to it.
//
// Besides those of udev (blkid, btrfs, kmod, path_id, usb_id) the rules use
// builtins of ours, where the field calls a program:
//
//	ata_id                the identity of an ATA disk       ID_SERIAL, ID_WWN, ID_ATA_…
//	scsi_id               the identity of a SCSI disk       ID_SERIAL, ID_SCSI_SERIAL, ID_WWN …
//	md_export             what the kernel says of an array  MD_LEVEL, MD_UUID, MD_NAME, MD_DEVNAME …
//	dm_flags COOKIE       the flags in a uevent's cookie    DM_UDEV_…_FLAG, DM_SUBSYSTEM_UDEV_FLAG…
//	dm_split NAME         the parts of a volume's name      DM_VG_NAME, DM_LV_NAME, DM_LV_LAYER
//	dm_complete COOKIE    RUN: tell who waits for the cookie
package rules

import (
	"embed"
	"strings"
)

// FS has the rules files. They apply in the order of their names.
//
//go:embed *.rules
var FS embed.FS

// Builtin says whether a builtin is one that the rules may use: one of ours,
// or one of those of udev that make sense before the real system runs.
func Builtin(name string) bool {
	switch name {
	case "blkid", "btrfs", "kmod", "path_id", "usb_id",
		"ata_id", "scsi_id", "md_export", "dm_flags", "dm_split", "dm_complete":
		return true
	}
	return false
}

// ProgramBuiltin gives the builtin that stands in for a program which rules
// of the host call, by its name or path: "" if none does.
func ProgramBuiltin(program string) string {
	switch program[strings.LastIndexByte(program, '/')+1:] {
	case "ata_id":
		return "ata_id"
	case "scsi_id":
		return "scsi_id"
	}
	return ""
}
