package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/sysfs"
)

// scene is a device with its surroundings and a sequence of events.
type scene struct {
	name        string
	devpath     string
	parentProps string // what the database has of the parent
	files       map[string]string
	events      []event
	less, more  []string // where we differ from Debian on purpose
}

type event struct {
	action  string
	props   string            // of the event, beyond the uevent file
	content map[string]string // what builtins find
	want    []string
}

// sysfs makes the files of the scene; a name that ends in '=' followed by a
// subsystem is a link "subsystem".
func (m *scene) sysfs(t testing.TB) sysfs.Dir {
	t.Helper()
	root := t.TempDir()
	put := func(p, content string) {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "→"); ok {
			rel, e := filepath.Rel(filepath.Dir(full), filepath.Join(root, target))
			if e != nil {
				t.Fatal(e)
			}
			err = os.Symlink(rel, full)
		} else {
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for p, content := range m.files {
		put(p, content)
	}
	return sysfs.Dir(root)
}

// dev gives the files of a device: its uevent file, its subsystem, and
// attributes as "name=value".
func dev(path, subsystem, uevent string, attrs ...string) map[string]string {
	f := map[string]string{path + "/uevent": strings.ReplaceAll(uevent, " ", "\n") + "\n"}
	if subsystem != "" {
		f[path+"/subsystem"] = "→/class/" + subsystem
	}
	for _, a := range attrs {
		k, v, _ := strings.Cut(a, "=")
		f[path+"/"+k] = v + "\n"
	}
	return f
}

func all(sets ...map[string]string) map[string]string {
	f := map[string]string{}
	for _, s := range sets {
		for k, v := range s {
			f[k] = v
		}
	}
	return f
}

const (
	ahci = "/devices/pci0000:00/0000:00:1f.2"
	sata = ahci + "/ata3/host2/target2:0:0/2:0:0:0"
	sda  = sata + "/block/sda"
	vda  = "/devices/pci0000:00/0000:00:04.0/virtio1/block/vda"
	nvme = "/devices/pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0"
	nvms = "/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1"
	dm0  = "/devices/virtual/block/dm-0"
	md   = "/devices/virtual/block/md127"
	usbd = "/devices/pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
	vscs = "/devices/pci0000:00/0000:00:05.0/virtio2/host3/target3:0:1/3:0:1:0/block/sdc"
	mmc  = "/devices/platform/soc/3f202000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0"
)

var ext4 = "ID_FS_TYPE=ext4 ID_FS_USAGE=filesystem ID_FS_UUID=1111-2222 ID_FS_UUID_ENC=1111-2222 ID_FS_LABEL=root ID_FS_LABEL_ENC=ro\\x20ot ID_PART_ENTRY_SCHEME=gpt ID_PART_ENTRY_UUID=aaaa-bbbb ID_PART_ENTRY_NAME=sys\\x20tem"

var sataTree = all(
	dev(ahci, "pci", "DRIVER=ahci"),
	dev(ahci+"/ata3", "", "X=1"),
	map[string]string{"/class/ata_port/ata3": "→" + ahci + "/ata3/ata_port/ata3"},
	dev(ahci+"/ata3/ata_port/ata3", "ata_port", "X=1", "port_no=3"),
	dev(ahci+"/ata3/host2", "scsi", "DEVTYPE=scsi_host"),
	dev(ahci+"/ata3/host2/target2:0:0", "scsi", "DEVTYPE=scsi_target"),
	dev(sata, "scsi", "DEVTYPE=scsi_device", "vendor=ATA     ", "model=DISK", "type=0", "scsi_level=6"),
	dev(sda, "block", "MAJOR=8 MINOR=0 DEVNAME=sda DEVTYPE=disk DISKSEQ=9", "removable=0"),
	dev(sda+"/sda2", "block", "MAJOR=8 MINOR=2 DEVNAME=sda2 DEVTYPE=partition PARTN=2 DISKSEQ=9"))

var dmTree = dev(dm0, "block", "MAJOR=254 MINOR=0 DEVNAME=dm-0 DEVTYPE=disk DISKSEQ=20",
	"dm/name=vg--a-lv--b", "dm/uuid=LVM-abcdef", "dm/suspended=0")

func dmTreeWith(name, uuid, suspended string) map[string]string {
	return dev(dm0, "block", "MAJOR=254 MINOR=0 DEVNAME=dm-0 DEVTYPE=disk DISKSEQ=20",
		"dm/name="+name, "dm/uuid="+uuid, "dm/suspended="+suspended)
}

var scenes = []scene{
	{name: "SATA disk", devpath: sda, files: sataTree, events: []event{
		{action: "add", content: map[string]string{"ata_id": "ID_ATA=1 ID_BUS=ata ID_SERIAL=DISK_123 ID_WWN_WITH_EXTENSION=0x5000c500", "blkid": "ID_PART_TABLE_TYPE=gpt ID_PART_TABLE_UUID=x"},
			want: []string{"link disk/by-id/ata-DISK_123@0", "link disk/by-id/wwn-0x5000c500@0", "link disk/by-path/pci-0000:00:1f.2-ata-3.0@0", "link disk/by-path/pci-0000:00:1f.2-ata-3@0", "link disk/by-diskseq/9@0", "tag systemd"}},
		{action: "change", content: map[string]string{"ata_id": "ID_BUS=ata ID_SERIAL=DISK_123", "blkid": ext4}},
		{action: "remove"},
	}},
	{name: "partition of it", devpath: sda + "/sda2", files: sataTree,
		parentProps: "ID_BUS=ata ID_SERIAL=DISK_123 ID_WWN_WITH_EXTENSION=0x5000c500 ID_PATH=pci-0000:00:1f.2-ata-3.0 ID_PATH_ATA_COMPAT=pci-0000:00:1f.2-ata-3 ID_FS_TYPE=iso9660 ID_FS_UUID=no",
		events: []event{{action: "add", content: map[string]string{"blkid": ext4},
			want: []string{"link disk/by-uuid/1111-2222@0", `link disk/by-label/ro\x20ot@0`, "link disk/by-partuuid/aaaa-bbbb@0", `link disk/by-partlabel/sys\x20tem@0`,
				"link disk/by-id/ata-DISK_123-part2@0", "link disk/by-id/wwn-0x5000c500-part2@0", "link disk/by-path/pci-0000:00:1f.2-ata-3.0-part2@0"}}}},
	{name: "partition that is the whole disk", devpath: sda + "/sda2", files: all(sataTree, map[string]string{sda + "/sda2/whole_disk": ""}),
		events: []event{{action: "add", content: map[string]string{"blkid": ext4}}}},
	{name: "virtio disk", devpath: vda, files: all(dev("/devices/pci0000:00/0000:00:04.0", "pci", "X=1"), dev("/devices/pci0000:00/0000:00:04.0/virtio1", "virtio", "X=1"),
		dev(vda, "block", "MAJOR=252 MINOR=0 DEVNAME=vda DEVTYPE=disk DISKSEQ=2", "serial=my disk/1")), events: []event{
		{action: "add", content: map[string]string{"blkid": "ID_FS_USAGE=crypto ID_FS_TYPE=crypto_LUKS ID_FS_UUID_ENC=77 ID_FS_LABEL_ENC=lab"},
			want: []string{"link disk/by-path/virtio-pci-0000:00:04.0@0", "link disk/by-path/pci-0000:00:04.0@0", "link disk/by-id/virtio-my_disk/1@0", "link disk/by-uuid/77@0", "link disk/by-label/lab@0"}}}},
	{name: "NVMe namespace", devpath: nvme + "/nvme0n1", files: all(dev("/devices/pci0000:00/0000:00:1d.0", "pci", "X=1"), dev("/devices/pci0000:00/0000:00:1d.0/0000:3d:00.0", "pci", "X=1"),
		dev(nvme, "nvme", "X=1", "model=SAM SUNG <x>   ", "serial=S1 ", "firmware_rev=F1", "nsid=bad"),
		dev(nvme+"/nvme0n1", "block", "MAJOR=259 MINOR=0 DEVNAME=nvme0n1 DEVTYPE=disk DISKSEQ=3", "wwid=eui.0025", "nsid=1")), events: []event{
		{action: "add", content: map[string]string{"blkid": "ID_PART_TABLE_TYPE=gpt"},
			want: []string{"link disk/by-id/nvme-eui.0025@0", "link disk/by-id/nvme-SAM_SUNG__x__S1@0", "link disk/by-id/nvme-SAM_SUNG__x__S1_1@0", "link disk/by-path/pci-0000:3d:00.0-nvme-1@0"}}}},
	{name: "NVMe partition", devpath: nvme + "/nvme0n1/nvme0n1p3", files: all(dev("/devices/pci0000:00/0000:00:1d.0", "pci", "X=1"),
		dev(nvme, "nvme", "X=1", "model=M", "serial=S1", "firmware_rev=F1"),
		dev(nvme+"/nvme0n1", "block", "MAJOR=259 MINOR=0 DEVNAME=nvme0n1 DEVTYPE=disk", "wwid=eui.0025", "nsid=1"),
		dev(nvme+"/nvme0n1/nvme0n1p3", "block", "MAJOR=259 MINOR=3 DEVNAME=nvme0n1p3 DEVTYPE=partition")),
		parentProps: "ID_SERIAL=M_S1_1 ID_SERIAL_SHORT=S1 ID_WWN=eui.0025 ID_PATH=pci-0000:3d:00.0-nvme-1",
		events:      []event{{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"link disk/by-id/nvme-M_S1-part3@0", "link disk/by-id/nvme-eui.0025-part3@0"}}}},
	{name: "NVMe namespace of a subsystem", devpath: nvms, files: all(
		dev("/devices/pci0000:00/0000:00:1e.0", "pci", "X=1"), dev("/devices/pci0000:00/0000:00:1e.0/nvme/nvme1", "nvme", "X=1"),
		map[string]string{"/class/nvme/nvme1": "→/devices/pci0000:00/0000:00:1e.0/nvme/nvme1"},
		dev("/devices/virtual/nvme-subsystem/nvme-subsys1", "nvme-subsystem", "X=1", "serial=S2", "model=M2"),
		dev(nvms, "block", "MAJOR=259 MINOR=8 DEVNAME=nvme1n1 DEVTYPE=disk", "nsid=2", "wwid=uuid.1")),
		events: []event{{action: "add", want: []string{"link disk/by-path/pci-0000:00:1e.0-nvme-2@0", "link disk/by-id/nvme-M2_S2_2@0"}}}},
	{name: "USB disk that answers as ATA", devpath: usbd, files: usbTree("0"), events: []event{
		{action: "add", content: map[string]string{"ata_id": "ID_BUS=ata ID_SERIAL=WD_1", "blkid": ext4}, want: []string{"link disk/by-id/ata-WD_1@0", "link disk/by-id/usb-WD_My_Book_ABC-0:0@0", "link disk/by-path/pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0@0"}}},
		more: []string{}},
	{name: "USB stick", devpath: usbd, files: usbTree("1"), events: []event{
		{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"link disk/by-id/usb-WD_My_Book_ABC-0:0@0", "ID_BUS=usb"}}}},
	{name: "virtio-scsi disk", devpath: vscs, files: all(
		dev("/devices/pci0000:00/0000:00:05.0", "pci", "X=1"), dev("/devices/pci0000:00/0000:00:05.0/virtio2", "virtio", "X=1"),
		dev("/devices/pci0000:00/0000:00:05.0/virtio2/host3", "scsi", "DEVTYPE=scsi_host"),
		dev("/devices/pci0000:00/0000:00:05.0/virtio2/host3/target3:0:1", "scsi", "DEVTYPE=scsi_target"),
		dev("/devices/pci0000:00/0000:00:05.0/virtio2/host3/target3:0:1/3:0:1:0", "scsi", "DEVTYPE=scsi_device", "vendor=QEMU    ", "model=QEMU HARDDISK   ", "rev=2.5+", "type=0",
			"vpd_pg83=\x00\x83\x00\x0a\x02\x00\x00\x06drive1", "vpd_pg80=\x00\x80\x00\x02xy"),
		dev(vscs, "block", "MAJOR=8 MINOR=32 DEVNAME=sdc DEVTYPE=disk", "removable=0")),
		events: []event{{action: "add", want: []string{"link disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive1@0", "link disk/by-path/pci-0000:00:05.0-scsi-0:0:1:0@0", "ID_SCSI_SERIAL=xy"}}}},
	{name: "optical drive", devpath: sata + "/block/sr0", files: all(sataTree, dev(sata, "scsi", "DEVTYPE=scsi_device", "vendor=QEMU    ", "model=DVD", "type=5", "scsi_level=6"),
		dev(sata+"/block/sr0", "block", "MAJOR=11 MINOR=0 DEVNAME=sr0 DEVTYPE=disk", "removable=1")),
		events: []event{{action: "add", content: map[string]string{"ata_id": "ID_BUS=ata ID_SERIAL=DVD_1 ID_TYPE=cd", "blkid": "ID_FS_TYPE=iso9660 ID_FS_USAGE=filesystem ID_FS_UUID_ENC=2026 ID_FS_LABEL_ENC=LIVE"}}},
		// Debian looks at the medium only after cdrom_id has found tracks.
		more: []string{"link disk/by-uuid/2026@-100", "link disk/by-label/LIVE@-100", "ID_FS_TYPE=iso9660", "ID_FS_USAGE=filesystem", "ID_FS_UUID_ENC=2026", "ID_FS_LABEL_ENC=LIVE"},
		less: []string{"SYSTEMD_MOUNT_DEVICE_BOUND=1"}},
	{name: "loop device", devpath: "/devices/virtual/block/loop0", files: dev("/devices/virtual/block/loop0", "block", "MAJOR=7 MINOR=0 DEVNAME=loop0 DEVTYPE=disk DISKSEQ=5", "loop/backing_file=/x"),
		events: []event{{action: "change", content: map[string]string{"blkid": ext4}, want: []string{"link disk/by-uuid/1111-2222@0"}}}},
	{name: "loop device without a file", devpath: "/devices/virtual/block/loop0", files: dev("/devices/virtual/block/loop0", "block", "MAJOR=7 MINOR=0 DEVNAME=loop0 DEVTYPE=disk DISKSEQ=5"),
		events: []event{{action: "add", want: []string{"SYSTEMD_READY=0"}}}},
	{name: "MMC card", devpath: mmc, files: mmcTree, events: []event{{action: "add", want: []string{"link disk/by-id/mmc-SD32G_0x1234@0", "link disk/by-path/platform-3f202000.mmc@0"}}}},
	{name: "MMC partition", devpath: mmc + "/mmcblk0p1", files: mmcTree, parentProps: "ID_NAME=SD32G ID_SERIAL=0x1234 ID_PATH=platform-3f202000.mmc",
		events: []event{{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"link disk/by-id/mmc-SD32G_0x1234-part1@0"}}}},
	{name: "MMC boot area", devpath: mmc + "/mmcblk0boot1", files: mmcTree,
		events: []event{{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"link disk/by-path/platform-3f202000.mmc-boot1@0"}}}},
	{name: "device-mapper: add, activation, watch, coldplug", devpath: dm0, files: dmTree, events: []event{
		{action: "add", want: []string{"SYSTEMD_READY=0", "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1"}},
		{action: "change", props: "DM_COOKIE=4194305", content: map[string]string{"blkid": ext4},
			want: []string{"link mapper/vg--a-lv--b@0", "link vg-a/lv-b@0", "link disk/by-id/dm-name-vg--a-lv--b@0", "link disk/by-id/dm-uuid-LVM-abcdef@0", "link disk/by-uuid/1111-2222@0",
				"SYSTEMD_READY=1", "DM_ACTIVATION=1", "DM_UDEV_PRIMARY_SOURCE_FLAG=1", "DM_UDEV_RULES_VSN=2", "DM_SUSPENDED=0", "DM_VG_NAME=vg-a", "group 0 watch 1"}},
		{action: "change", content: map[string]string{"blkid": ext4}, want: []string{"link vg-a/lv-b@0", "DM_UDEV_PRIMARY_SOURCE_FLAG=1"}},
		{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"link vg-a/lv-b@0", "DM_ACTIVATION=1", "SYSTEMD_READY=1"}},
		{action: "change", props: "DISK_RO=1", want: []string{"DM_UDEV_PRIMARY_SOURCE_FLAG=1"}},
		{action: "remove", props: "DM_COOKIE=4194305"},
		// Debian 12 forgets here that the device was active; 13 does not.
	}, more: []string{"DM_UDEV_PRIMARY_SOURCE_FLAG=1", "DM_UDEV_RULES=1", "DM_UDEV_RULES_VSN=2", "DM_ACTIVATION=1"}},
	{name: "device-mapper: flags", devpath: dm0, files: dmTree, events: []event{
		{action: "change", props: "DM_COOKIE=0x1500001", content: map[string]string{"blkid": ext4}, want: []string{"DM_NOSCAN=1", "DM_SUBSYSTEM_UDEV_FLAG0=1", "DM_UDEV_LOW_PRIORITY_FLAG=1", "DM_UDEV_DISABLE_OTHER_RULES_FLAG=1"}},
		{action: "change", props: "DM_COOKIE=0x400001", content: map[string]string{"blkid": ext4}, want: []string{"link vg-a/lv-b@0", "link disk/by-uuid/1111-2222@0"}},
		{action: "change", props: "DM_COOKIE=0x4f0001", content: map[string]string{"blkid": ext4}},
	}, more: []string{"DM_COOKIE_DISABLE_OTHER_RULES_FLAG=1"}},
	{name: "device-mapper: suspended", devpath: dm0, files: dmTreeWith("r", "CRYPT-LUKS2-1-r", "1"), events: []event{
		{action: "change", props: "DM_COOKIE=0x400001", content: map[string]string{"blkid": ext4}, want: []string{"DM_SUSPENDED=1"}},
		{action: "change", content: map[string]string{"blkid": ext4}},
	}},
	{name: "device-mapper: an open LUKS device", devpath: dm0, files: dmTreeWith("root", "CRYPT-LUKS2-1-root", "0"), events: []event{
		{action: "add"},
		{action: "change", props: "DM_COOKIE=0x400001", want: []string{"SYSTEMD_READY=0"}},
		{action: "change", props: "DM_COOKIE=0x400001", content: map[string]string{"blkid": ext4}, want: []string{"SYSTEMD_READY=1", "link mapper/root@0"}},
	}, less: []string{"link gpt-auto-root@0"}},
	{name: "device-mapper: LVM's own layers", devpath: dm0, files: dmTreeWith("vg-lv-real", "LVM-x-real", "0"), events: []event{
		{action: "change", props: "DM_COOKIE=0x400001", content: map[string]string{"blkid": ext4}, want: []string{"DM_UDEV_DISABLE_DISK_RULES_FLAG=1", "DM_LV_LAYER=real"}}}},
	{name: "device-mapper: no UUID", devpath: dm0, files: dmTreeWith("plain", "", "0"), events: []event{
		{action: "change", props: "DM_COOKIE=0x400001", content: map[string]string{"blkid": "ID_FS_TYPE=LVM2_member ID_FS_USAGE=raid ID_FS_UUID_ENC=pv1"}, want: []string{"link disk/by-id/lvm-pv-uuid-pv1@0"}}},
		less: []string{"SYSTEMD_READY=1"}},
	{name: "array", devpath: md, files: dev(md, "block", "MAJOR=9 MINOR=127 DEVNAME=md127 DEVTYPE=disk DISKSEQ=7", "md/array_state=clean", "md/metadata_version=1.2"), events: []event{
		{action: "change", content: map[string]string{"md_export": "MD_LEVEL=raid1 MD_UUID=a:b MD_NAME=host:root MD_DEVNAME=root", "blkid": ext4},
			want: []string{"link md/root@100", "link disk/by-id/md-uuid-a:b@100", "link disk/by-id/md-name-host:root@100", "link disk/by-uuid/1111-2222@100", "SYSTEMD_WANTS=mdmonitor.service"}},
		{action: "change", content: map[string]string{"md_export": "MD_LEVEL=linear MD_UUID=a:b", "blkid": "ID_FS_TYPE=LVM2_member ID_FS_USAGE=raid ID_FS_UUID_ENC=pv"}, want: []string{"LVM_MD_PV_ACTIVATED=1"}},
		{action: "add", content: map[string]string{"md_export": "MD_LEVEL=linear MD_UUID=a:b", "blkid": "ID_FS_TYPE=LVM2_member ID_FS_USAGE=raid ID_FS_UUID_ENC=pv"}, want: []string{"LVM_MD_PV_ACTIVATED=1"}},
	}, less: []string{"SYSTEMD_READY=1"}},
	{name: "array that is not running", devpath: md, files: dev(md, "block", "MAJOR=9 MINOR=127 DEVNAME=md127 DEVTYPE=disk", "md/array_state=inactive", "md/metadata_version=1.2"), events: []event{
		{action: "add", content: map[string]string{"blkid": ext4}, want: []string{"SYSTEMD_READY=0"}}}},
	{name: "container", devpath: md, files: dev(md, "block", "MAJOR=9 MINOR=127 DEVNAME=md127 DEVTYPE=disk", "md/array_state=inactive", "md/metadata_version=external:imsm"), events: []event{
		{action: "add", content: map[string]string{"md_export": "MD_LEVEL=container MD_UUID=c"}}}},
	{name: "partition of an array", devpath: md + "/md127p1", files: all(dev(md, "block", "MAJOR=9 MINOR=127 DEVNAME=md127 DEVTYPE=disk", "md/array_state=clean"),
		dev(md+"/md127p1", "block", "MAJOR=259 MINOR=1 DEVNAME=md127p1 DEVTYPE=partition")), events: []event{
		{action: "add", content: map[string]string{"md_export": "MD_LEVEL=raid1 MD_UUID=a:b MD_NAME=h:0 MD_DEVNAME=0", "blkid": ext4}, want: []string{"link md/0p1@100", "link disk/by-id/md-name-h:0-part1@100"}},
		{action: "change", content: map[string]string{"md_export": "MD_DEVNAME=root"}, want: []string{"link md/root1@100"}}}},
	{name: "btrfs that waits for another device", devpath: sda + "/sda2", files: sataTree, events: []event{
		{action: "add", content: map[string]string{"blkid": "ID_FS_TYPE=btrfs ID_FS_USAGE=filesystem ID_FS_UUID_ENC=b", "btrfs": "ID_BTRFS_READY=0"}, want: []string{"SYSTEMD_READY=0"}},
		{action: "change", content: map[string]string{"blkid": "ID_FS_TYPE=btrfs ID_FS_USAGE=filesystem ID_FS_UUID_ENC=b", "btrfs": "ID_BTRFS_READY=1"}}}},
}

var mmcTree = all(
	dev("/devices/platform/soc", "platform", "X=1"), dev("/devices/platform/soc/3f202000.mmc", "platform", "X=1"),
	dev("/devices/platform/soc/3f202000.mmc/mmc_host/mmc0", "mmc_host", "X=1"),
	dev("/devices/platform/soc/3f202000.mmc/mmc_host/mmc0/mmc0:aaaa", "mmc", "X=1", "name=SD32G", "serial=0x1234"),
	dev(mmc, "block", "MAJOR=179 MINOR=0 DEVNAME=mmcblk0 DEVTYPE=disk"),
	dev(mmc+"/mmcblk0p1", "block", "MAJOR=179 MINOR=1 DEVNAME=mmcblk0p1 DEVTYPE=partition"),
	dev(mmc+"/mmcblk0boot1", "block", "MAJOR=179 MINOR=9 DEVNAME=mmcblk0boot1 DEVTYPE=disk"))

func usbTree(removable string) map[string]string {
	pci := "/devices/pci0000:00/0000:00:14.0"
	return all(dev(pci, "pci", "X=1"),
		dev(pci+"/usb2", "usb", "DEVTYPE=usb_device", "speed=5000"),
		dev(pci+"/usb2/2-3", "usb", "DEVTYPE=usb_device", "idVendor=1058", "idProduct=25ee", "serial=ABC", "manufacturer=Western Digital", "bcdDevice=4004"),
		dev(pci+"/usb2/2-3/2-3:1.0", "usb", "DEVTYPE=usb_interface", "bInterfaceClass=08", "bInterfaceSubClass=06", "bInterfaceNumber=00"),
		dev(pci+"/usb2/2-3/2-3:1.0/host6", "scsi", "DEVTYPE=scsi_host"),
		dev(pci+"/usb2/2-3/2-3:1.0/host6/target6:0:0", "scsi", "DEVTYPE=scsi_target"),
		dev(pci+"/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0", "scsi", "DEVTYPE=scsi_device", "vendor=WD      ", "model=My Book        ", "rev=1000", "type=0", "scsi_level=7"),
		dev(usbd, "block", "MAJOR=8 MINOR=16 DEVNAME=sdb DEVTYPE=disk", "removable="+removable))
}
