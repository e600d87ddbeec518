package gen

import "slices"

// person says who sits before the machine.
func (b *builder) person() {
	p := &b.m.Person
	p.After = b.pick(0, 1, 3, 20, 200)
	switch b.IntN(12) {
	case 0:
		p.Wrong = 1 + b.IntN(2)
	case 1:
		p.Wrong = 3
	case 2:
		p.After = -1
	case 3:
		p.Refuses = true
	}
}

// trouble lets things go wrong: mostly nothing or one thing, with what the
// root needs as the likely victim.
func (b *builder) trouble() {
	n := b.pick(0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 5)
	for range n {
		b.m.Faults = append(b.m.Faults, b.fault())
	}
}

// victim is a node of one of the kinds, on the way to the root for the most
// part; nil if there is none.
func (b *builder) victim(kinds ...Kind) *Node {
	var list []*Node
	if root := b.m.root(); root != nil && b.chance(80) {
		for _, n := range b.m.Below(root.ID) {
			if slices.Contains(kinds, n.Kind) {
				list = append(list, n)
			}
		}
	}
	if len(list) == 0 {
		for i := range b.m.Nodes {
			if n := &b.m.Nodes[i]; slices.Contains(kinds, n.Kind) {
				list = append(list, n)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[b.IntN(len(list))]
}

// operations begin with these words; failing, they are to be explained.
var operations = [...]string{"read ", "mount ", "unlock ", "start RAID", "activate logical", "read the LUKS header", "read the LVM metadata",
	"read the RAID superblock", "load ", "tell btrfs", "start the bcache", "start the cache", "read the bcache superblock", "look for init", "read etc/fstab", "write /run/mdadm/map", "switch root", "resume from"}

func (b *builder) fault() Fault {
	for {
		disk := b.victim(Disk)
		f := Fault{Node: disk.ID}
		switch b.IntN(22) {
		case 0, 1, 2:
			f.Trouble = Missing
		case 3, 4, 5:
			f.Trouble, f.At = Late, b.pick(50, 500, 3000, 12000, 16000, 29000, 45000, 100000)
		case 6:
			f.Trouble, f.At = Flaps, b.pick(20, 100, 1000)
			f.Until = f.At + b.pick(10, 100, 2000, 20000)
		case 7, 8:
			f.Trouble, f.At = Copy, b.pick(0, 0, 0, 0, 30, 2000)
		case 9:
			f.Trouble, f.At, f.N = Changes, b.pick(5, 50, 1000), b.pick(1, 5, 50)
		case 10:
			f = Fault{Trouble: Twice, N: b.pick(1, 2, 5)}
			if b.chance(50) {
				f = Fault{Trouble: Shuffle, Until: b.pick(2, 30, 500)}
			}
		case 11, 12:
			f = Fault{Trouble: Overflow, At: b.pick(1, 10, 50, 400)}
			f.Until = f.At + b.pick(5, 100, 3000)
		case 13, 14:
			n := b.victim(Array, Cached)
			if n == nil {
				continue
			}
			if n.Kind == Cached {
				f = Fault{Trouble: Dirty, Node: n.ID}
				break
			}
			switch b.IntN(4) {
			case 0, 1:
				f = Fault{Trouble: Stale, Node: n.ID, N: b.IntN(len(n.On))}
			case 2:
				if n.Level == 0 {
					continue
				}
				f = Fault{Trouble: Split, Node: n.ID}
			case 3:
				f = Fault{Trouble: Dirty, Node: n.ID}
			}
		case 15:
			n := b.victim(Disk, Part, LV, LUKS, Array)
			if n.Kind == Disk && len(b.m.Above(n.ID)) > 0 && b.m.Above(n.ID)[0].Kind == Part {
				continue
			}
			f = Fault{Trouble: Signature, Node: n.ID}
		case 16, 17:
			f = Fault{Trouble: Fails, What: operations[b.IntN(len(operations))], N: b.pick(1, 1, 2, -1),
				Errno: b.choose("", "EIO", "EBUSY", "ENOMEM")}
		case 18:
			f = Fault{Trouble: Slow, What: operations[b.IntN(len(operations))], Until: b.pick(300, 1500, 6000)}
		case 19:
			switch b.IntN(3) {
			case 0:
				f.Trouble = Unread
			case 1:
				f = Fault{Trouble: NoDriver, What: disk.Bus}
			case 2:
				f = Fault{Trouble: Jump, At: b.pick(1, 50, 1000)}
				f.Until = f.At + b.pick(1000, 20000, 200000)
			}
		case 20:
			f = Fault{Trouble: Crash, At: b.pick(0, 10, 100)}
		case 21:
			if !b.m.Check || b.m.Has(Checker) {
				continue // there is one checker, and it does one thing
			}
			f = Fault{Trouble: Checker, What: Checkers[b.IntN(len(Checkers))]}
			if f.What == Takes {
				f.Until = b.pick(2000, 30000, 200000)
			}
		}
		return f
	}
}
