package gen

import (
	"strconv"
	"strings"
)

// cmdline writes the command line, in one of the dialects or in several.
func (b *builder) cmdline() {
	m := b.m
	var root, swap *Node
	for i := range m.Nodes {
		n := &m.Nodes[i]
		if root == nil && (n.Kind == Ext4 || n.Kind == Btrfs) && (n.Files["/sbin/init"] != "" || n.Files["/etc/fstab"] != "") {
			root = n
		}
	}
	if root.Files["/etc/fstab"] == "" {
		// The first with an init may be another system's: ours was made first.
		root = m.firstRoot()
	}
	for i := range m.Nodes {
		if m.Nodes[i].Kind == Swap && swap == nil {
			swap = &m.Nodes[i]
		}
	}
	needed := m.Below(root.ID)
	wanted := []*Node{root}
	for i := range m.Nodes {
		if n := &m.Nodes[i]; root.Files["/etc/fstab"] != "" && strings.Contains(root.Files["/etc/fstab"], n.UUID) && n.UUID != "" && n != root {
			wanted = append(wanted, n)
		} else if n.Label != "" && strings.Contains(root.Files["/etc/fstab"], "LABEL="+n.Label+" ") {
			wanted = append(wanted, n)
		}
	}
	resume := swap != nil && b.chance(85)
	if resume {
		wanted = append(wanted, swap)
	}
	for _, w := range wanted[1:] {
		for _, n := range m.Below(w.ID) {
			known := false
			for _, o := range needed {
				known = known || o == n
			}
			if !known {
				needed = append(needed, n)
			}
		}
	}
	for _, n := range needed {
		if n.Kind == LUKS {
			b.unlock(n)
		}
	}
	text, by := b.spell(root)
	b.param(Param{Text: b.quoted("root=", text), Subject: Root, Node: root.ID, By: by})
	if resume {
		text, by := b.spell(swap)
		b.param(Param{Text: "resume=" + text, Subject: Resume, Node: swap.ID, By: by})
		if b.chance(5) {
			b.param(Param{Text: b.choose("noresume", "hibernate=noresume"), Subject: NoResume})
		}
	}
	b.restrict(needed)
	b.times()
	b.ending()
	b.check()
	b.noise()
	b.Shuffle(len(m.Params), func(i, j int) { m.Params[i], m.Params[j] = m.Params[j], m.Params[i] })
}

// firstRoot is the filesystem with an init that was made first, and has
// fewer layers than none.
func (m *Machine) firstRoot() *Node {
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Files["/sbin/init"] == "-> /lib/systemd/systemd" || n.Files["/etc/fstab"] != "" {
			return n
		}
	}
	return nil
}

func (b *builder) param(p Param) { b.m.Params = append(b.m.Params, p) }

func (b *builder) quoted(name, value string) string {
	switch b.IntN(12) {
	case 0:
		return name + `"` + value + `"`
	case 1:
		return `"` + name + value + `"`
	}
	return name + value
}

// spell names what a filesystem or a swap is on, in one of the ways that
// there are for it.
func (b *builder) spell(n *Node) (text, by string) {
	ways := []string{"uuid", "uuid", "uuid", "UUID", "by-uuid", "label", "by-label"}
	on := b.m.Node(n.On[0])
	switch on.Kind {
	case Part:
		ways = append(ways, "partuuid", "by-partuuid", "partlabel", "path")
	case Disk:
		ways = append(ways, "path")
	case LV:
		ways = append(ways, "path", "path", "mapper")
	case LUKS:
		ways = append(ways, "mapper", "mapper")
	case Array:
		ways = append(ways, "path")
	}
	if n.Kind == Btrfs && len(n.On) > 1 {
		ways = ways[:7]
	}
	by = ways[b.IntN(len(ways))]
	switch by {
	case "uuid":
		return "UUID=" + n.UUID, by
	case "UUID":
		return b.choose("UUID=", "uuid=", "Uuid=") + strings.ToUpper(n.UUID), "uuid"
	case "by-uuid":
		return "/dev/disk/by-uuid/" + n.UUID, "uuid"
	case "label":
		return b.choose("LABEL=", "Label=") + n.Label, "label"
	case "by-label":
		return "/dev/disk/by-label/" + n.Label, "label"
	case "partuuid":
		return "PARTUUID=" + on.UUID, "partuuid"
	case "by-partuuid":
		return "/dev/disk/by-partuuid/" + on.UUID, "partuuid"
	case "partlabel":
		return "PARTLABEL=" + on.Name, "partlabel"
	case "mapper":
		if on.Kind == LV {
			return "/dev/mapper/" + b.m.Node(on.On[0]).Name + "-" + on.Name, "path"
		}
		return "/dev/mapper/" + b.m.MappingName(on), "path"
	}
	return b.m.Path(on), "path"
}

// Path is the name of a device that says where it is and not what is on it.
func (m *Machine) Path(n *Node) string {
	switch n.Kind {
	case LV:
		return "/dev/" + m.Node(n.On[0]).Name + "/" + n.Name
	case Array:
		return "/dev/md/" + n.Name
	case LUKS:
		return "/dev/mapper/" + m.MappingName(n)
	case Part:
		return "/dev/" + m.PartName(n)
	}
	return "/dev/" + n.Name
}

// PartNumber is a partition's place in its table, from 1.
func (m *Machine) PartNumber(n *Node) int {
	nth := 0
	for _, o := range m.Nodes {
		if o.Kind == Part && o.On[0] == n.On[0] {
			nth++
			if o.ID == n.ID {
				break
			}
		}
	}
	return nth
}

// PartName is the kernel's name of a partition.
func (m *Machine) PartName(n *Node) string {
	disk := m.Node(n.On[0]).Name
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		disk += "p"
	}
	return disk + strconv.Itoa(m.PartNumber(n))
}

// MappingName is the name that an encrypted device has when it is unlocked.
func (m *Machine) MappingName(n *Node) string {
	if n.Name != "" {
		return n.Name
	}
	return "luks-" + n.UUID
}

// unlock asks for an encrypted device in one of the dialects.
func (b *builder) unlock(n *Node) {
	p := Param{Subject: Unlock, Node: n.ID}
	part := b.m.Node(n.On[0])
	switch b.IntN(13) {
	case 0:
		n.Name = "cr" + b.word()
		p.Text = "rd.luks.name=" + n.UUID + "=" + n.Name
	case 1:
		n.Name = "cr" + b.word()
		p.Text = "luks.name=luks-" + n.UUID + "=" + n.Name
	case 2:
		n.Name = "cr" + b.word()
		p.Text = "cryptdevice=UUID=" + n.UUID + ":" + n.Name
	case 3:
		p.Text = "rd.luks.uuid=luks-" + n.UUID
	case 4:
		p.Text = "rd_LUKS_UUID=" + n.UUID
	case 5:
		p.Text = "luks-dev=" + n.UUID
	case 6:
		p.Text = "rd.luks.uuid=" + n.UUID[:13]
	case 7:
		p.Text = "luks.uuid=" + strings.ToUpper(n.UUID)
	case 8:
		n.Name = "cr" + b.word()
		p.Text = "cryptdevice=/dev/disk/by-uuid/" + n.UUID + ":" + n.Name + b.choose("", ":allow-discards")
	case 9:
		n.Name = "cr" + b.word()
		p.Text = b.quoted("cryptopts=", "target="+n.Name+",source=UUID="+n.UUID+b.choose("", ",lvm=any", ",tries=3"))
	case 10:
		if part.Kind == Part {
			p.Text = "rd.luks.partuuid=" + part.UUID
			break
		}
		p.Text = "rd.luks.uuid=" + n.UUID
	case 11:
		n.Name = "cr" + b.word()
		if part.Kind == Part {
			p.Text = "cryptdevice=PARTUUID=" + part.UUID + ":" + n.Name
			break
		}
		p.Text = "rd.luks.name=" + n.UUID + "=" + n.Name
	default:
		p.Text = "rd.luks.uuid=" + n.UUID
	}
	b.param(p)
}

// restrict names the arrays and groups that are needed, after which no others
// are touched.
func (b *builder) restrict(needed []*Node) {
	md, lvm, whole := b.chance(8), b.chance(12), b.chance(40)
	for _, n := range needed {
		switch {
		case n.Kind == Array && md:
			u := strings.ReplaceAll(n.UUID, "-", "")
			if b.chance(50) {
				u = u[:8] + ":" + u[8:16] + ":" + u[16:24] + ":" + u[24:]
			}
			b.param(Param{Text: b.choose("rd.md.uuid=", "rd_MD_UUID=") + u, Node: n.ID})
		case n.Kind == LV && lvm && whole:
			g := b.m.Node(n.On[0])
			b.param(Param{Text: b.choose("rd.lvm.vg=", "rd_LVM_VG=") + g.Name, Node: g.ID})
		case n.Kind == LV && lvm:
			b.param(Param{Text: b.choose("rd.lvm.lv=", "rd_LVM_LV=") + b.m.Node(n.On[0]).Name + "/" + n.Name, Node: n.ID})
		}
	}
	if b.chance(2) {
		switch b.IntN(3) {
		case 0:
			b.param(Param{Text: b.choose("rd.md=0", "rd_NO_MD"), Subject: Off, Kind: Array})
		case 1:
			b.param(Param{Text: b.choose("rd.lvm=0", "rd_NO_LVM"), Subject: Off, Kind: LV})
		case 2:
			b.param(Param{Text: b.choose("rd.luks=0", "luks=no", "rd_NO_LUKS"), Subject: Off, Kind: LUKS})
		}
	}
}

// times sets deadlines.
func (b *builder) times() {
	if b.chance(25) {
		s := b.pick(20, 40, 60, 120, 300)
		text := strconv.Itoa(s)
		if b.chance(20) {
			text += "s"
		}
		b.param(Param{Text: b.choose("rd.timeout=", "rd.retry=", "rdretry=", "rd_retry=") + text, Subject: Timeout, Seconds: s})
	}
	if b.chance(20) {
		s := b.pick(1, 3, 8, 25)
		b.param(Param{Text: b.choose("rd.firstlight.degraded=", "raid-member-delay=", "btrfs-member-delay=") + strconv.Itoa(s), Subject: Degraded, Seconds: s})
	}
}

// ending says what happens when the boot fails.
func (b *builder) ending() {
	if b.chance(70) {
		b.param(Param{Text: b.choose("rd.shell=0", "rd.shell=no", "rdshell=0", "rd.shell=off"), Subject: NoShell})
	}
	if b.chance(25) {
		s := b.pick(0, 5, 10, 30)
		b.param(Param{Text: b.choose("panic=", "panic=", "rdpanic=") + strconv.Itoa(s), Subject: Panic, Seconds: s})
	}
	if b.chance(10) {
		b.param(Param{Text: "rd.emergency=" + b.choose("reboot", "poweroff", "halt"), Subject: Action})
	}
}

// check says whether filesystems are checked.
func (b *builder) check() {
	if b.chance(12) {
		b.param(Param{Text: b.choose("fsck.mode=skip", "rd.skipfsck", "fastboot", "no-fsck"), Subject: NoCheck})
	} else if b.chance(8) {
		b.param(Param{Text: b.choose("fsck.mode=force", "forcefsck", "fsck.mode=auto")})
	}
}

// noise adds what has no bearing on where the boot ends.
func (b *builder) noise() {
	for _, text := range []string{"quiet", "splash", "ro", "rw", "BOOT_IMAGE=/vmlinuz-6.1.0", "console=ttyS0,115200n8", "console=tty0",
		"rd.info", "debug", "loglevel=3", "mitigations=off", "systemd.unit=multi-user.target", "rootdelay=3", "fsck.repair=yes", "fsck.repair=no", "fsckfix", "rd.luks.crypttab=0", "rd_NO_MDADMCONF", "rd.md.conf=0", "rd_NO_LVMCONF",
		"luks-discard", "rd.multipath=0", "rd_NO_PLYMOUTH", "booster.debug=0", "rootflags=noatime", "rdinfo",
		"rd.driver.blacklist=nouveau", "net.ifnames=0", "rootfstype=auto", "apparmor=1", "nvidia-drm.modeset=1",
		"systemd.log_level=debug", "rd.udev.log_level=err", "unknown.word", "another=one"} {
		if b.chance(6) {
			b.param(Param{Text: text})
		}
	}
}
