package gen

import (
	"math/rand/v2"
	"strconv"
)

// Bad is a bad day of an array.
type Bad string

// The bad days, one for each policy of docs/policies.md that is about arrays.
const (
	MemberMissing Bad = "a member is missing"
	MemberLate    Bad = "a member comes late"
	MemberStale   Bad = "a member has missed writes"
	MembersApart  Bad = "members ran apart"
	MemberTwice   Bad = "a member is there twice"
	MemberDirty   Bad = "a member is missing of an array that was not stopped"
)

// BadDays are all of them.
var BadDays = [...]Bad{MemberMissing, MemberLate, MemberStale, MembersApart, MemberTwice, MemberDirty}

// Members makes a machine whose root is on an array that has a bad day, with a
// policy on the command line: the same seed gives the same machine.
func Members(bad Bad, seed uint64) *Machine {
	b := &builder{Rand: rand.New(rand.NewPCG(seed, 0xa5a5a5a5)), m: &Machine{Seed: seed}}
	b.m.Latency = b.pick(0, 1, 20)
	b.pass = b.word()
	array := b.array(1)
	on := array
	if b.chance(25) {
		on = b.volume(b.groupOf(array))
	}
	root := b.filesystem(Ext4, system(), on)
	for range b.IntN(3) {
		b.distractor()
	}
	b.m.Gap = b.pick(0, 0, 5, 200)
	b.m.Drivers = b.chance(25)
	for _, d := range b.m.Disks() {
		b.m.Order = append(b.m.Order, d.ID)
	}
	b.Shuffle(len(b.m.Order), func(i, j int) { b.m.Order[i], b.m.Order[j] = b.m.Order[j], b.m.Order[i] })
	n := b.m.Node(root)
	b.param(Param{Text: "root=UUID=" + n.UUID, Subject: Root, Node: root, By: "uuid"})
	b.param(Param{Text: "rd.shell=0", Subject: NoShell})
	b.policy()
	b.badDay(bad, array)
	return b.m
}

// groupOf is a volume group on one device.
func (b *builder) groupOf(on int) int {
	return b.add(Node{Kind: Group, UUID: b.uuid(), Name: "vg" + b.word(), On: []int{on}})
}

// policy says what is to become of an array without a member.
func (b *builder) policy() {
	if b.chance(30) {
		s := b.pick(12, 40, 120)
		b.param(Param{Text: b.choose("rd.timeout=", "rd.retry=") + strconv.Itoa(s), Subject: Timeout, Seconds: s})
	}
	s := b.pick(1, 4, 20)
	text := "rd.md.degraded="
	p := Param{Subject: Degraded, How: Policy(b.choose("", "rw", "rw", "ro", "ro", "never"))}
	switch {
	case p.How == "":
		if b.chance(50) {
			return
		}
		p.Text, p.Seconds = b.choose("raid-member-delay=", "rd.firstlight.degraded=")+strconv.Itoa(s), s
	case p.How == Never:
		p.Text = b.choose(text+"never", "raid-member-delay=0")
	case b.chance(50):
		p.Text = text + string(p.How)
	default:
		p.Text, p.Seconds = b.choose(text+strconv.Itoa(s)+","+string(p.How), text+string(p.How)+","+strconv.Itoa(s)+"s"), s
	}
	b.param(p)
}

// badDay is what goes wrong.
func (b *builder) badDay(bad Bad, array int) {
	n := b.m.Node(array)
	slot := b.IntN(len(n.On))
	disk := n.On[slot]
	if p := b.m.Node(disk); p.Kind == Part {
		disk = p.On[0]
	}
	f := Fault{Node: array}
	if bad != MemberMissing && bad != MemberDirty && bad != MemberLate && b.chance(75) {
		// All there at once: then it is certain what is to come of it.
		b.m.Gap, b.m.Drivers = 0, false
	}
	switch bad {
	case MemberDirty:
		b.m.Faults = append(b.m.Faults, Fault{Trouble: Dirty, Node: array})
		f = Fault{Trouble: Missing, Node: disk}
	case MemberMissing:
		f = Fault{Trouble: Missing, Node: disk}
	case MemberLate:
		f = Fault{Trouble: Late, Node: disk, At: b.pick(500, 3000, 12000, 16000, 29000)}
	case MemberStale:
		f.Trouble, f.N = Stale, slot
	case MembersApart:
		f.Trouble = Split
		if n.Level == 0 {
			f = Fault{Trouble: Missing, Node: disk}
		}
	case MemberTwice:
		f = Fault{Trouble: Copy, Node: disk, At: b.pick(0, 0, 0, 0, 0, 30, 2000)}
	}
	b.m.Faults = append(b.m.Faults, f)
}
