package gen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// MaxDepth is the most layers that a stack has, and MaxDisks the most disks
// that are made; partitions and what lies on them come to that.
const (
	MaxDepth = 6
	MaxDisks = 120
)

// builder makes a machine out of random numbers.
type builder struct {
	*rand.Rand
	m     *Machine
	shops []int // disks with partitions that have room for one more
	pass  string
}

// From makes the machine of a seed: the same seed gives the same machine.
func From(seed uint64) *Machine {
	b := &builder{Rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), m: &Machine{Seed: seed, Nodes: make([]Node, 0, 16), Params: make([]Param, 0, 16)}}
	b.m.Latency = b.pick(0, 1, 5, 20, 20, 20)
	b.pass = b.word() + " " + b.word() + secret
	b.storage()
	b.cmdline()
	b.person()
	b.trouble()
	return b.m
}

// secret ends every passphrase: five letters alone may be part of a word that
// the core says ("crypto"), or of a number that is written in hexadecimal.
const secret = "~1!"

func (b *builder) chance(percent int) bool { return b.IntN(100) < percent }

func (b *builder) pick(of ...int) int { return of[b.IntN(len(of))] }

func (b *builder) choose(of ...string) string { return of[b.IntN(len(of))] }

func (b *builder) word() string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	w := make([]byte, 5+b.IntN(4))
	for i := range w {
		w[i] = letters[b.IntN(len(letters))]
	}
	return string(w)
}

func (b *builder) uuid() string {
	x, y := b.Uint64(), b.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", x>>32, x>>16&0xffff, x&0xfff, y>>52, y&0xffffffffffff)
}

// add puts a node into the machine.
func (b *builder) add(n Node) int {
	n.ID = len(b.m.Nodes) + 1
	b.m.Nodes = append(b.m.Nodes, n)
	return n.ID
}

// buses are where disks hang, with the names that their drivers give.
var buses = [...]string{"virtio", "scsi", "nvme"}

func (b *builder) disk() int {
	bus := buses[b.IntN(len(buses))]
	nth := 0
	for _, n := range b.m.Nodes {
		if n.Kind == Disk && n.Bus == bus {
			nth++
		}
	}
	return b.add(Node{Kind: Disk, Bus: bus, Name: diskName(bus, nth)})
}

func diskName(bus string, nth int) string {
	switch bus {
	case "nvme":
		return fmt.Sprintf("nvme%dn1", nth)
	case "scsi":
		return "sd" + letters(nth)
	}
	return "vd" + letters(nth)
}

// letters counts as the kernel does: a … z, aa, ab …
func letters(n int) string {
	s := ""
	for n++; n > 0; n = (n - 1) / 26 {
		s = string(rune('a'+(n-1)%26)) + s
	}
	return s
}

// leaf is a whole disk or a partition.
func (b *builder) leaf() int {
	if b.chance(35) {
		return b.disk()
	}
	var disk int
	if len(b.shops) > 0 && b.chance(50) {
		disk = b.shops[b.IntN(len(b.shops))]
	} else {
		disk = b.disk()
		b.shops = append(b.shops, disk)
	}
	n := 0
	for _, x := range b.m.Nodes {
		if x.Kind == Part && x.On[0] == disk {
			n++
		}
	}
	if n == 2 {
		b.shops = slices.DeleteFunc(b.shops, func(d int) bool { return d == disk })
	}
	return b.add(Node{Kind: Part, On: []int{disk}, UUID: b.uuid(), Name: b.word()})
}

// apart is a leaf on a disk of its own, as a member of an array is.
func (b *builder) apart() int {
	d := b.disk()
	if b.chance(50) {
		return d
	}
	return b.add(Node{Kind: Part, On: []int{d}, UUID: b.uuid(), Name: b.word()})
}

// device is something that content can be put on, with at most left layers
// below it; inGroup says that a volume group lies above.
func (b *builder) device(left int, inGroup bool) int {
	if left <= 1 || b.chance(30) {
		return b.leaf()
	}
	switch r := b.IntN(100); {
	case r < 31:
		return b.array(left - 1)
	case r < 60 && !inGroup:
		return b.volume(b.group(left - 2))
	case r >= 60 && r < 67:
		return b.cached(left-1, inGroup)
	default:
		return b.locked(left - 1)
	}
}

// locked is an encrypted device. Volume groups may lie on both sides of it.
func (b *builder) locked(left int) int {
	pass := b.pass
	if b.chance(15) {
		pass = b.word() + secret
	}
	return b.add(Node{Kind: LUKS, On: []int{b.device(left, false)}, UUID: b.uuid(), Pass: pass})
}

func (b *builder) array(left int) int {
	level, slots := 1, 2
	switch b.IntN(8) {
	case 0:
		level = 0
	case 1, 2:
		level, slots = 5, 3+b.IntN(2)
	case 3:
		level, slots = 6, 4
	case 4:
		level, slots = 10, 4
	case 5:
		slots = 3
	}
	n := Node{Kind: Array, UUID: b.uuid(), Name: b.word(), Level: level}
	for range slots {
		if left > 1 && b.chance(12) {
			n.On = append(n.On, b.locked(left-1))
		} else {
			n.On = append(n.On, b.apart())
		}
	}
	return b.add(n)
}

func (b *builder) group(left int) int {
	n := Node{Kind: Group, UUID: b.uuid(), Name: "vg" + b.word()}
	for range b.pick(1, 1, 1, 2, 3) {
		n.On = append(n.On, b.device(max(left, 1), true))
	}
	return b.add(n)
}

// volume is one more volume of a group, on one or all of its devices.
func (b *builder) volume(group int) int {
	vg := b.m.Node(group)
	over := vg.On
	if b.chance(60) {
		i := b.IntN(len(vg.On))
		over = vg.On[i : i+1]
	}
	return b.add(Node{Kind: LV, On: append([]int{group}, over...), UUID: b.uuid(), Name: "lv" + b.word()})
}

// filesystem is one on device.
func (b *builder) filesystem(kind Kind, files map[string]string, on ...int) int {
	n := Node{Kind: kind, On: on, UUID: b.uuid(), Label: b.word(), Files: files}
	if kind == Btrfs && len(on) > 1 {
		n.Profile = b.choose("raid1", "raid1", "raid0")
	}
	return b.add(n)
}

// system are the files of a root.
func system() map[string]string {
	return map[string]string{"/sbin/init": "-> /lib/systemd/systemd", "/lib/systemd/systemd": "#!"}
}

// storage makes the disks and what lies on them. The first filesystem with an
// init is the root.
func (b *builder) storage() {
	depth := b.pick(1, 2, 2, 3, 3, 4, 5, 6)
	var root int
	files := system()
	if b.chance(15) {
		on := []int{b.device(min(depth, 3), false)}
		for range b.IntN(3) {
			on = append(on, b.device(min(depth, 3), false))
		}
		root = b.filesystem(Btrfs, files, on...)
	} else {
		root = b.filesystem(Ext4, files, b.device(depth, false))
	}
	if b.chance(12) {
		b.separateUsr(root)
	}
	if b.chance(25) {
		on := b.beside(root)
		b.add(Node{Kind: Swap, On: []int{on}, UUID: b.uuid(), Label: b.word(), Image: b.chance(35)})
	}
	n := b.pick(0, 0, 0, 1, 1, 2, 3)
	if b.chance(1) {
		n = b.IntN(MaxDisks)
	}
	for range n {
		b.distractor()
	}
	if b.chance(40) {
		b.m.Gap = b.pick(1, 5, 30, 200)
	}
	b.m.Drivers = b.chance(25)
	b.m.Check = b.chance(40)
	b.m.Cards = b.pick(0, 0, 0, 1, 1, 2, 4)
	for _, d := range b.m.Disks() {
		b.m.Order = append(b.m.Order, d.ID)
	}
	b.Shuffle(len(b.m.Order), func(i, j int) { b.m.Order[i], b.m.Order[j] = b.m.Order[j], b.m.Order[i] })
}

// beside is a device near the root: another volume of its group, or any.
func (b *builder) beside(root int) int {
	if b.chance(60) {
		for _, n := range b.m.Below(root) {
			if n.Kind == Group {
				return b.volume(n.ID)
			}
		}
	}
	return b.device(b.pick(1, 1, 2, 3), false)
}

func (b *builder) separateUsr(root int) {
	usr := b.filesystem(Ext4, map[string]string{"/sbin/init": "#!", "/lib/systemd/systemd": "#!"}, b.beside(root))
	u := b.m.Node(usr)
	r := b.m.Node(root)
	spec := "UUID=" + u.UUID
	if b.chance(30) {
		spec = "LABEL=" + u.Label
	}
	r.Files = map[string]string{"/sbin": "-> usr/sbin", "/lib": "-> usr/lib", "/usr/.empty": "",
		"/etc/fstab": "UUID=" + r.UUID + " / " + string(r.Kind) + " defaults 0 1\n" + spec + " /usr ext4 defaults 0 2\n"}
}

// distractor is a disk that the boot has no need of.
func (b *builder) distractor() {
	switch b.IntN(7) {
	case 0:
		b.disk() // empty
	case 1:
		b.filesystem(Ext4, map[string]string{"/srv/x": ""}, b.leaf())
	case 2:
		b.add(Node{Kind: Swap, On: []int{b.leaf()}, UUID: b.uuid(), Label: b.word()})
	case 3:
		b.filesystem(Ext4, map[string]string{"/x": ""}, b.array(1))
	case 4:
		b.filesystem(Ext4, map[string]string{"/x": ""}, b.volume(b.group(1)))
	case 5:
		b.add(Node{Kind: LUKS, On: []int{b.leaf()}, UUID: b.uuid(), Pass: b.word() + secret})
	case 6:
		// Another system: it must not be taken for ours.
		b.filesystem(Ext4, system(), b.leaf())
	}
}

// root is the filesystem that the machine is to start from.
func (m *Machine) root() *Node {
	if p := m.Param(Root); p != nil {
		return m.Node(p.Node)
	}
	return nil
}

// usr is the filesystem that the root's fstab wants on /usr, or nil.
func (m *Machine) usr() *Node {
	r := m.root()
	if r == nil {
		return nil
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		if n.Kind == Ext4 && n.ID != r.ID && (strings.Contains(r.Files["/etc/fstab"], "UUID="+n.UUID) ||
			strings.Contains(r.Files["/etc/fstab"], "LABEL="+n.Label+" ")) {
			return n
		}
	}
	return nil
}
