package detect

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/feature"
)

// machine makes a copy of a machine from lines of "path: text" and
// "path -> target"; "\n" in a text is a line's end.
func machine(t *testing.T, desc string) System {
	t.Helper()
	dir := t.TempDir()
	for line := range strings.Lines(desc) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, target, isLink := strings.Cut(line, " -> ")
		text := ""
		if !isLink {
			name, text, _ = strings.Cut(line, ": ")
			name = strings.TrimSuffix(name, ":")
		}
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if isLink {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(strings.ReplaceAll(text, `\n`, "\n")+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Snapshot(dir)
}

// disk describes a virtio disk with a partition.
func disk(name, number string) string {
	pci := "sys/devices/pci0000:00/0000:00:0" + number + ".0"
	return strings.NewReplacer("PCI", pci, "NAME", name, "N", number).Replace(`
		PCI/modalias: pci:v00001AF4d00001042
		PCI/driver/module -> ../../../../module/virtio_pci
		PCI/virtioN/modalias: virtio:d00000002v00001AF4
		PCI/virtioN/block/NAME/uevent: DEVNAME=NAME
		PCI/virtioN/block/NAME/NAME1/partition: 1
		sys/class/block/NAME -> ../../devices/pci0000:00/0000:00:0N.0/virtioN/block/NAME
		sys/class/block/NAME1 -> ../../devices/pci0000:00/0000:00:0N.0/virtioN/block/NAME/NAME1
		sys/dev/block/254:N1 -> ../../devices/pci0000:00/0000:00:0N.0/virtioN/block/NAME/NAME1
	`)
}

// stack is LUKS on LVM on RAID1 of two disks.
var stack = disk("vda", "1") + disk("vdb", "2") + `
	sys/devices/virtual/block/md0/md/level: raid1
	sys/devices/virtual/block/md0/slaves/vda1 -> ../../../../pci0000:00/0000:00:01.0/virtio1/block/vda/vda1
	sys/devices/virtual/block/md0/slaves/vdb1 -> ../../../../pci0000:00/0000:00:02.0/virtio2/block/vdb/vdb1
	sys/devices/virtual/block/dm-0/dm/uuid: LVM-abcdef
	sys/devices/virtual/block/dm-0/dm/name: vg-root
	sys/devices/virtual/block/dm-0/slaves/md0 -> ../../md0
	sys/devices/virtual/block/dm-1/dm/uuid: CRYPT-LUKS2-0123-root
	sys/devices/virtual/block/dm-1/dm/name: root
	sys/devices/virtual/block/dm-1/slaves/dm-0 -> ../../dm-0
	sys/class/block/dm-0 -> ../../devices/virtual/block/dm-0
	sys/class/block/dm-1 -> ../../devices/virtual/block/dm-1
	sys/class/block/md0 -> ../../devices/virtual/block/md0
	sys/dev/block/253:1 -> ../../devices/virtual/block/dm-1
	proc/self/mountinfo: 22 1 253:1 / / rw,relatime - ext4 /dev/mapper/root rw
	etc/crypttab: other /dev/x none\nroot UUID=0123 /etc/root.key luks
	etc/mdadm/mdadm.conf: ARRAY /dev/md0
	etc/mdadm/mdadm.conf.d/local.conf: HOMEHOST <ignore>
	etc/mdadm/mdadm.conf.d/README: not this
	proc/crypto: name : xts(aes)\nmodule : aesni_intel\nrefcnt : 3\n\nname : sha1\nmodule : sha1_generic\nrefcnt : 1\n\nname : md5\nmodule : kernel\nrefcnt : 4
	sys/class/input/input3 -> ../../devices/usb1/input/input3
	sys/class/input/input4 -> ../../devices/power/input/input4
	sys/devices/usb1/modalias: usb:v1234
	sys/devices/usb1/driver/module -> ../../../module/usbhid
	sys/devices/usb1/input/input3/capabilities/key: 1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe
	sys/devices/usb1/input/input3/name: Keys
	sys/devices/power/modalias: acpi:PNP0C0C
	sys/devices/power/input/input4/capabilities/key: 10000000000000 0
`

func facts(n *Need) string {
	var out []string
	for _, f := range n.Facts {
		out = append(out, f.Name)
	}
	return strings.Join(out, " ")
}

func modules(n *Need) string {
	var out []string
	for _, m := range n.Modules {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func needs(t *testing.T, desc string) *Need {
	t.Helper()
	n, err := Needs(machine(t, desc))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNestedStack(t *testing.T) {
	n := needs(t, stack)
	if got := facts(n); got != "fstype:ext4 layer:dm layer:luks layer:lvm layer:md-raid1 need:keyboard" {
		t.Error(got)
	}
	if got := modules(n); got != "virtio:d00000002v00001AF4 pci:v00001AF4d00001042 virtio_pci aesni_intel usb:v1234 usbhid" {
		t.Error(got)
	}
	for _, f := range []string{"/etc/crypttab", "/etc/mdadm/mdadm.conf", "/etc/mdadm/mdadm.conf.d/local.conf"} {
		if n.Files[f] == "" {
			t.Errorf("%s is missing", f)
		}
	}
	if len(n.Notes) != 1 || !strings.Contains(n.Notes[0], "/etc/root.key") {
		t.Error(n.Notes)
	}
	if w := n.Modules[0].Why; w != "driver of virtio1, on the way to vda for /" {
		t.Error(w)
	}
}

func TestPlain(t *testing.T) {
	n := needs(t, disk("vda", "1")+"proc/self/mountinfo: 1 0 0:1 / / rw - rootfs none rw\\n22 1 254:11 / / rw shared:1 - ext4 /dev/vda1 rw\n")
	if got := facts(n); got != "fstype:ext4" {
		t.Error(got)
	}
}

// A separate /usr counts, also one that is only in fstab.
func TestUsr(t *testing.T) {
	n := needs(t, disk("vda", "1")+disk("vdb", "2")+`
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw\n23 22 254:21 / /usr ro - squashfs /dev/vdb1 ro`)
	if got := facts(n); got != "fstype:ext4 need:usr fstype:squashfs" {
		t.Error(got)
	}
	n = needs(t, disk("vda", "1")+`
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw
		etc/fstab: #UUID=0 /usr jfs\nUUID=1 /usr xfs defaults 0 2`)
	if got := facts(n); got != "fstype:ext4 need:usr fstype:xfs" || len(n.Notes) != 1 {
		t.Error(got, n.Notes)
	}
}

// All devices of a btrfs are found, by one of them.
func TestBtrfs(t *testing.T) {
	n := needs(t, disk("vda", "1")+strings.ReplaceAll(disk("vdb", "2"), "00001042", "00009999")+`
		sys/fs/btrfs/1234/devices/vda1 -> ../../../../devices/pci0000:00/0000:00:01.0/virtio1/block/vda/vda1
		sys/fs/btrfs/1234/devices/vdb1 -> ../../../../devices/pci0000:00/0000:00:02.0/virtio2/block/vdb/vdb1
		proc/self/mountinfo: 22 1 0:33 /@root / rw - btrfs /dev/vda1 rw,subvol=/@root`)
	if got := modules(n); facts(n) != "fstype:btrfs layer:btrfs-devices" || !strings.Contains(got, "00009999") {
		t.Error(facts(n), got)
	}
}

func TestLayers(t *testing.T) {
	for _, c := range []struct{ uuid, want string }{
		{"LVM-xyz-tpool", "layer:dm layer:lvm"},
		{"mpath-360", "layer:dm layer:multipath"},
		{"CRYPT-VERITY-ab-root", "layer:dm layer:verity"},
		{"CRYPT-PLAIN-root", "layer:dm layer:plain layer:luks need:keyboard"},
		{"CRYPT-TCRYPT-root", "layer:dm layer:tcrypt layer:luks need:keyboard"},
		{"CRYPT-SUBDEV-ab-root_dif", "layer:dm layer:integrity"},
		{"CRYPT-INTEGRITY-root", "layer:dm layer:dm-integrity"},
		{"part1-mpath-360", "layer:dm"},
		{"", "layer:dm"},
	} {
		n := needs(t, disk("vda", "1")+`
			sys/devices/virtual/block/dm-0/dm/uuid: `+c.uuid+`
			sys/devices/virtual/block/dm-0/dm/name: x
			sys/devices/virtual/block/dm-0/slaves/vda1 -> ../../../../pci0000:00/0000:00:01.0/virtio1/block/vda/vda1
			sys/dev/block/253:0 -> ../../devices/virtual/block/dm-0
			proc/self/mountinfo: 22 1 253:0 / / rw - xfs /dev/mapper/x rw`)
		if got := facts(n); got != "fstype:xfs "+c.want {
			t.Errorf("%q: %s", c.uuid, got)
		}
		if (c.uuid == "") != (len(n.Notes) == 1) {
			t.Errorf("%q: %v", c.uuid, n.Notes)
		}
	}
}

func TestResume(t *testing.T) {
	base := disk("vda", "1") + strings.ReplaceAll(disk("vdb", "2"), "00001042", "00009999") + `
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw
		sys/devices/none: x
		dev/disk/by-uuid/77 -> ../../vdb1
		dev/vdb1: x
	`
	for name, c := range map[string]struct {
		files string
		need  bool
		disk  bool
	}{
		"nothing":      {"", false, false},
		"command line": {"proc/cmdline: ro resume=UUID=77 quiet", true, true},
		"noresume":     {"proc/cmdline: resume=UUID=77 noresume", false, false},
		"gone":         {"proc/cmdline: resume=UUID=78", true, false},
		"conf":         {`etc/initramfs-tools/conf.d/resume: RESUME="/dev/vdb1"`, true, true},
		"conf none":    {"etc/initramfs-tools/conf.d/resume: RESUME=none", false, false},
		"kernel":       {"sys/power/resume: 254:21", true, true},
		"kernel none":  {"sys/power/resume: 0:0", false, false},
		"swap":         {`proc/swaps: Filename Type\n/dev/zram0 partition 1\n/swapfile file 1\n/dev/vdb1 partition 99 0 -2`, true, true},
	} {
		n := needs(t, base+c.files)
		if got := slices.ContainsFunc(n.Facts, func(f feature.Fact) bool { return f.Name == "need:resume" }); got != c.need {
			t.Errorf("%s: %s", name, facts(n))
		}
		if got := strings.Contains(modules(n), "00009999"); got != c.disk {
			t.Errorf("%s: %s", name, modules(n))
		}
	}
}

// Devices that a driver waits for come along.
func TestSuppliers(t *testing.T) {
	n := needs(t, disk("vda", "1")+`
		sys/devices/pci0000:00/0000:00:01.0/supplier:platform:clk/supplier -> ../../../platform/clk
		sys/devices/platform/clk/modalias: of:Nclock
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw`)
	if got := modules(n); !strings.Contains(got, "of:Nclock") {
		t.Error(got)
	}
}

// card describes a network card, and state whether it is in use.
func card(name, number, state string) string {
	return strings.NewReplacer("PCI", "sys/devices/pci0000:00/0000:00:0"+number+".0", "NAME", name, "N", number, "STATE", state).Replace(`
		PCI/modalias: pci:v00001AF4d00001041
		PCI/virtioN/modalias: virtio:d00000001v00001AF4
		PCI/virtioN/driver/module -> ../../../../../module/virtio_net_N
		PCI/virtioN/net/NAME/operstate: STATE
		PCI/virtioN/net/NAME/device -> ../../../virtioN
		sys/class/net/NAME -> ../../devices/pci0000:00/0000:00:0N.0/virtioN/net/NAME
	`)
}

func TestRootOnAServerNeedsTheCardsInUse(t *testing.T) {
	n, err := Needs(machine(t, card("eth0", "2", "up")+card("eth1", "3", "down")+`
		sys/class/net/lo/operstate: unknown
		proc/self/mountinfo: 22 1 0:30 / / rw - nfs4 server:/srv rw,addr=10.0.0.1
	`))
	if err != nil {
		t.Fatal(err)
	}
	var facts, modules []string
	for _, f := range n.Facts {
		facts = append(facts, f.Name)
	}
	for _, m := range n.Modules {
		modules = append(modules, m.Name)
	}
	if !slices.Equal(facts, []string{"fstype:nfs4", "need:network"}) || !slices.Contains(modules, "virtio_net_2") || slices.Contains(modules, "virtio_net_3") {
		t.Errorf("facts %q, modules %q", facts, modules)
	}
}

// Disks of servers need the cards too, and what connects them.
func TestDisksOfServers(t *testing.T) {
	for name, tt := range map[string]struct{ desc, facts, module string }{
		"aoe": {`
			sys/devices/virtual/block/etherd!e0.0/size: 1
			sys/dev/block/152:0 -> ../../devices/virtual/block/etherd!e0.0
			proc/self/mountinfo: 22 1 152:0 / / rw - ext4 /dev/etherd/e0.0 rw`, "fstype:ext4 need:aoe need:network", "virtio_net_2"},
		"file of a web server": {`
			sys/devices/virtual/block/nbd0/pid: 7
			sys/devices/virtual/block/nbd0/backend: https://server/root.img
			sys/dev/block/43:0 -> ../../devices/virtual/block/nbd0
			proc/self/mountinfo: 22 1 43:0 / / rw - squashfs /dev/nbd0 ro`, "fstype:squashfs need:http-disk need:network", "virtio_net_2"},
		"nbd": {`
			sys/devices/virtual/block/nbd0/pid: 7
			sys/devices/virtual/block/nbd0/nbd0p1/partition: 1
			sys/dev/block/43:1 -> ../../devices/virtual/block/nbd0/nbd0p1
			proc/self/mountinfo: 22 1 43:1 / / rw - ext4 /dev/nbd0p1 rw`, "fstype:ext4 need:nbd need:network", "virtio_net_2"},
		"iSCSI": {`
			sys/devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sda/size: 8
			sys/class/iscsi_session/session1/targetname: iqn.2026-01.example:disk
			sys/dev/block/8:0 -> ../../devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sda
			proc/self/mountinfo: 22 1 8:0 / / rw - ext4 /dev/sda rw`, "fstype:ext4 need:iscsi need:network", "virtio_net_2"},
		"FCoE": {`
			sys/devices/pci0000:00/0000:00:02.0/virtio2/net/eth0/ctlr_0/host0/rport-0:0-1/target0:0:1/0:0:1:0/block/sda/size: 8
			sys/dev/block/8:0 -> ../../devices/pci0000:00/0000:00:02.0/virtio2/net/eth0/ctlr_0/host0/rport-0:0-1/target0:0:1/0:0:1:0/block/sda
			proc/self/mountinfo: 22 1 8:0 / / rw - ext4 /dev/sda rw`, "fstype:ext4 need:fcoe need:network", "virtio_net_2"},
		"nvme over TCP, one way": {`
			sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport: tcp
			sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1/size: 8
			sys/dev/block/259:1 -> ../../devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1
			proc/self/mountinfo: 22 1 259:1 / / rw - ext4 /dev/nvme0n1 rw`, "fstype:ext4 need:nvmf need:network", "nvme-tcp"},
		"nvme over TCP, several ways": {`
			sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport: tcp
			sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0 -> ../../nvme-fabrics/ctl/nvme0
			sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/size: 8
			sys/dev/block/259:1 -> ../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1
			proc/self/mountinfo: 22 1 259:1 / / rw - ext4 /dev/nvme0n1 rw`, "fstype:ext4 need:nvmf need:network", "nvme-tcp"},
		"nvme over Fibre Channel": {`
			sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport: fc
			sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1/size: 8
			sys/dev/block/259:1 -> ../../devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1
			proc/self/mountinfo: 22 1 259:1 / / rw - ext4 /dev/nvme0n1 rw`, "fstype:ext4 need:nvmf", "nvme-fc"},
		"nvme on the bus": {`
			sys/devices/pci0/nvme/nvme0/transport: pcie
			sys/devices/pci0/modalias: pci:nvme
			sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0 -> ../../../pci0/nvme/nvme0
			sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/size: 8
			sys/dev/block/259:1 -> ../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1
			proc/self/mountinfo: 22 1 259:1 / / rw - ext4 /dev/nvme0n1 rw`, "fstype:ext4", "pci:nvme"},
	} {
		n, err := Needs(machine(t, card("eth0", "2", "up")+tt.desc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var facts, modules []string
		for _, f := range n.Facts {
			facts = append(facts, f.Name)
		}
		for _, m := range n.Modules {
			modules = append(modules, m.Name)
		}
		if strings.Join(facts, " ") != tt.facts || !slices.Contains(modules, tt.module) {
			t.Errorf("%s: facts %q, modules %q", name, facts, modules)
		}
	}
}

// A root by SSH needs sshfs, and keys that a person has to name.
func TestRootBySSHNeedsSSHFS(t *testing.T) {
	n, err := Needs(machine(t, card("eth0", "2", "up")+"proc/self/mountinfo: 22 1 0:30 / / rw - fuse.sshfs root@nas:/srv/root rw,user_id=0,group_id=0,default_permissions,allow_other\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fstype:sshfs", "need:network"} {
		if !slices.ContainsFunc(n.Facts, func(f feature.Fact) bool { return f.Name == want }) {
			t.Errorf("no %s in %v", want, n.Facts)
		}
	}
	if len(n.Notes) != 1 || !strings.Contains(n.Notes[0], "[sshfs]") {
		t.Errorf("%q", n.Notes)
	}
	if _, err := Needs(machine(t, "proc/self/mountinfo: 22 1 0:30 / / rw - fuse.sshfs root@nas:/srv/root rw\n")); !errors.Is(err, ErrUndecided) {
		t.Errorf("without a card: %v", err)
	}
}

// A root that is had with tickets needs what gets them.
func TestRootWithTicketsNeedsKerberos(t *testing.T) {
	for options, want := range map[string]bool{"rw,vers=4.2,sec=krb5p,addr=10.0.0.1": true, "rw,vers=4.2,sec=sys,addr=10.0.0.1": false} {
		n, err := Needs(machine(t, card("eth0", "2", "up")+"proc/self/mountinfo: 22 1 0:30 / / rw - nfs4 server:/srv "+options+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(n.Facts, func(f feature.Fact) bool { return f.Name == "need:nfs-krb5" }); got != want {
			t.Errorf("%s: %t", options, got)
		}
	}
	n, err := Needs(machine(t, card("eth0", "2", "up")+`
		sys/devices/pci0000:00/0000:00:02.0/card.rdma.0/modalias: auxiliary:card.rdma
		sys/devices/pci0000:00/0000:00:02.0/card.rdma.0/driver/module -> ../../../../../module/card_ib
		sys/devices/pci0000:00/0000:00:02.0/card.eth.0/driver/module -> ../../../../../module/card_en
		sys/bus/auxiliary/devices/card.rdma.0 -> ../../../devices/pci0000:00/0000:00:02.0/card.rdma.0
		sys/bus/auxiliary/devices/card.eth.0 -> ../../../devices/pci0000:00/0000:00:02.0/card.eth.0
		proc/self/mountinfo: 22 1 0:30 / / rw - nfs4 server:/srv rw,proto=rdma,addr=10.0.0.1
	`))
	var modules []string
	if err == nil {
		for _, m := range n.Modules {
			modules = append(modules, m.Name)
		}
	}
	if err != nil || !slices.ContainsFunc(n.Facts, func(f feature.Fact) bool { return f.Name == "need:nfs-rdma" }) || !slices.Contains(modules, "card_ib") || slices.Contains(modules, "card_en") {
		t.Errorf("by RDMA: %+v, %v, modules %q", n, err, modules)
	}
}

// What the root's way is made of is in the image too, where it is in use.
func TestRootOnAServerNeedsItsLinks(t *testing.T) {
	n, err := Needs(machine(t, card("eth0", "2", "up")+`
		sys/class/net/bond0/operstate: up
		sys/class/net/bond0/uevent: DEVTYPE=bond
		sys/class/net/bond0.5/operstate: up
		sys/class/net/bond0.5/uevent: DEVTYPE=vlan
		sys/class/net/docker0/operstate: down
		sys/class/net/docker0/uevent: DEVTYPE=bridge
		sys/class/net/wg0/operstate: unknown
		sys/class/net/wg0/uevent: DEVTYPE=wireguard
		proc/self/mountinfo: 22 1 0:30 / / rw - nfs4 server:/srv rw,addr=10.0.0.1
	`))
	if err != nil {
		t.Fatal(err)
	}
	var facts []string
	for _, f := range n.Facts {
		facts = append(facts, f.Name)
	}
	if !slices.Equal(facts, []string{"fstype:nfs4", "need:network", "need:bond", "need:vlan", "need:wireguard"}) {
		t.Errorf("facts %q", facts)
	}
}

func TestUndecided(t *testing.T) {
	for _, desc := range []string{
		"proc/self/mountinfo: 22 1 0:30 / / rw - overlay overlay rw",
		"proc/self/mountinfo: 22 1 0:30 / / rw - nfs4 server:/ rw",
		"proc/self/mountinfo: 22 1 0:30 / /mnt rw - ext4 /dev/sda rw",
		"proc/self/mountinfo: 22 1 8:1 / / rw - ext4 /dev/sda1 rw\nsys/x: y",
		"proc/self/mountinfo: 22 1 0:3 / / rw - btrfs /dev/sda1 rw\nsys/x: y",
	} {
		if _, err := Needs(machine(t, desc)); !errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", desc, err)
		}
	}
	if _, err := Needs(machine(t, "proc/self/mountinfo: what is this")); err == nil {
		t.Error("nonsense read as mounts")
	}
	loop := machine(t, `
		sys/devices/virtual/block/dm-0/slaves/dm-1 -> ../../dm-1
		sys/devices/virtual/block/dm-1/slaves/dm-0 -> ../../dm-0
		sys/dev/block/253:0 -> ../../devices/virtual/block/dm-0
		proc/self/mountinfo: 22 1 253:0 / / rw - ext4 /dev/dm-0 rw`)
	if _, err := Needs(loop); err != nil {
		t.Errorf("devices that go round in a circle: %v", err)
	}
}

func TestWhatTheRootIsMadeOf(t *testing.T) {
	base := disk("vda", "1")
	facts := func(desc string) string {
		n, err := Needs(machine(t, base+desc))
		if err != nil {
			return err.Error()
		}
		var list []string
		for _, f := range n.Facts {
			list = append(list, f.Name)
		}
		return strings.Join(list, " ")
	}
	const plain = "proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw\n"
	for name, tt := range map[string]struct{ desc, want string }{
		"an overlay": {`
			proc/self/mountinfo: 22 1 254:11 / /run/rootfsbase ro - ext4 /dev/vda1 ro\n23 1 0:30 / / rw - overlay LiveOS_rootfs rw,lowerdir=/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork`,
			"layer:overlay fstype:ext4"},
		"a file": {`
			sys/devices/virtual/block/loop0/loop/backing_file: /run/initramfs/host/images/root.img
			sys/dev/block/7:0 -> ../../devices/virtual/block/loop0
			proc/self/mountinfo: 22 1 254:11 / /run/initramfs/host rw - xfs /dev/vda1 rw\n23 1 7:0 / / rw - ext4 /dev/loop0 rw`,
			"fstype:ext4 bus:loop layer:loop fstype:xfs"},
		"the command line": {plain + "proc/cmdline: root=gpt-auto overlayroot=tmpfs loop=/a.img", "layer:overlay layer:loop need:gpt-auto fstype:ext4"},
		"switched off":     {plain + "proc/cmdline: root=/dev/vda1 overlayroot=disabled loop.max_part=8 systemd.volatile=no", "fstype:ext4"},
		"a live medium":    {plain + "proc/cmdline: root=live:LABEL=a rd.live.image", "layer:live fstype:ext4"},
		"overlayroot":      {plain + "etc/overlayroot.local.conf: overlayroot=\"crypt:dev=vdb\"", "layer:overlay layer:overlay-crypt layer:overlayroot-conf fstype:ext4"},
		"fstab.sys":        {plain + "etc/fstab.sys: LABEL=x /srv xfs ro 0 0\n", "need:fstab-sys fstype:xfs fstype:ext4"},
		"no overlayroot":   {plain + "etc/overlayroot.conf: overlayroot=\"\"", "fstype:ext4"},
		"encrypted":        {plain + "proc/cmdline: root=/dev/x rd.overlay.crypt=/dev/vdb", "layer:overlay-crypt fstype:ext4"},
		"live-boot, kept":  {plain + "proc/cmdline: boot=live persistence", "layer:live layer:live-persistence fstype:ext4"},
		"no live-boot":     {plain + "proc/cmdline: root=/dev/x persistence", "fstype:ext4"},
		"live-boot":        {plain + "proc/cmdline: boot=live root=/dev/x", "layer:live fstype:ext4"},
		"a ramdisk":        {plain + "proc/cmdline: root=/dev/zram0 boot=local", "layer:ramdisk fstype:ext4"},
		"no root= and EFI": {plain + "proc/cmdline: quiet\nsys/firmware/efi/x: 1", "need:gpt-auto fstype:ext4"},
		"the journal of an xfs on another disk": {disk("vdb", "2") + `
			proc/self/mountinfo: 22 1 254:11 / / rw - xfs /dev/vda1 rw,attr2,logdev=/dev/vdb,noquota`, "fstype:xfs layer:external-journal"},
		"the journal of an ext4 on another disk": {disk("vdb", "2") + plain + "sys/fs/ext4/vda1/journal_task: 77\nproc/77/comm: jbd2/vdb", "fstype:ext4 layer:external-journal"},
		"the journal of an ext4 in it":           {disk("vdb", "2") + plain + "sys/fs/ext4/vda1/journal_task: 77\nproc/77/comm: jbd2/vda1-8", "fstype:ext4"},
		"roots besides":                          {plain + "proc/cmdline: root=/dev/x rootfallback=/dev/y root.journaldev=/dev/z", "need:root-fallback layer:external-journal fstype:ext4"},
		"no root=, BIOS":                         {plain + "proc/cmdline: quiet", "fstype:ext4"},
	} {
		if got := facts(tt.desc); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// The machine that runs the test has a root, of whatever kind.
func TestThisMachine(t *testing.T) {
	n, err := Needs(Host())
	if err != nil && !errors.Is(err, ErrUndecided) {
		t.Fatal(err)
	}
	if err == nil && len(n.Facts) == 0 {
		t.Error("nothing found")
	}
}

// An array of firmware RAID needs mdadm and mdmon in the image.
func TestFirmwareRAIDIsFound(t *testing.T) {
	n := needs(t, strings.ReplaceAll(stack, "md0/md/level: raid1", "md0/md/level: raid1\n\tsys/devices/virtual/block/md0/md/metadata_version: external:/md127/0"))
	if got := facts(n); !strings.Contains(got, "layer:md-external") || !strings.Contains(got, "layer:md-raid1") {
		t.Error(got)
	}
}
