package zfslabel

import "slices"

// Member is a device of a pool that is there.
type Member struct {
	Node  string
	Label *Label
}

// Pool is what the devices that are there say of a pool together.
type Pool struct {
	// Label is the newest of them: what it says of the pool counts.
	Label   *Label
	Members []Member
	// Missing are devices that are not there and that nobody has taken out of
	// the pool, with or without which it can be had.
	Missing []*Vdev
	// Lacking are top-level vdevs that cannot be had, since too many of their
	// devices are not there; LacksLog those that hold the intent log.
	Lacking, LacksLog []*Vdev
	// Unknown are the numbers of top-level vdevs of which no device is there.
	Unknown []uint64
	// Twins are two nodes that are the same device.
	Twins [2]string
	// Apart are two nodes with the same data and different histories, which agree
	// up to the transaction group Common.
	Apart  [2]string
	Common uint64
}

// Assemble puts together what members of one pool say.
func Assemble(members []Member) *Pool {
	p := &Pool{Members: members}
	tops := map[uint64]*Label{} // by number; the newest of each
	for i := range members {
		l := members[i].Label
		if l.Tree == nil {
			continue
		}
		if p.Label == nil || l.Txg > p.Label.Txg {
			p.Label = l
		}
		if old := tops[l.Tree.ID]; old == nil || l.Txg > old.Txg {
			tops[l.Tree.ID] = l
		}
		for _, o := range members[:i] {
			if o.Label.GUID == l.GUID && p.Twins[0] == "" {
				p.Twins = [2]string{o.Node, members[i].Node}
			}
		}
	}
	if p.Label == nil {
		return p
	}
	all := p.Label.Tops
	for id := range tops {
		all = max(all, id+1)
	}
	for id := range min(all, maxTops) {
		l := tops[id]
		switch {
		case slices.Contains(p.Label.Holes, id):
		case l == nil:
			p.Unknown = append(p.Unknown, id)
		case p.usable(l.Tree):
		case l.Tree.Log:
			p.LacksLog = append(p.LacksLog, l.Tree)
		default:
			p.Lacking = append(p.Lacking, l.Tree)
		}
	}
	p.compare()
	return p
}

// maxTops bounds what a label may say of the number of top-level vdevs.
const maxTops = 4096

// usable says whether enough of a vdev is there, and notes what is not.
func (p *Pool) usable(v *Vdev) bool {
	if len(v.Children) == 0 {
		switch {
		case p.member(v.GUID) != nil || v.Type == "dspare": // which lies on the others
			return true
		case !v.Offline && !v.Gone:
			p.Missing = append(p.Missing, v)
		}
		return false
	}
	there := 0
	for i := range v.Children {
		if p.usable(&v.Children[i]) {
			there++
		}
	}
	switch v.Type {
	case "mirror", "replacing", "spare":
		return there > 0
	}
	return uint64(there)+v.Parity >= uint64(len(v.Children))
}

func (p *Pool) member(guid uint64) *Member {
	for i := range p.Members {
		if p.Members[i].Label.GUID == guid {
			return &p.Members[i]
		}
	}
	return nil
}

// compare looks for devices of one top-level vdev that were each used without
// the other.
func (p *Pool) compare() {
	for i := range p.Members {
		for j := range p.Members[:i] {
			a, b := &p.Members[j], &p.Members[i]
			if a.Label.Tree == nil || b.Label.Tree == nil || a.Label.TopGUID != b.Label.TopGUID || p.Apart[0] != "" {
				continue
			}
			if last, apart := Apart(a.Label, b.Label); apart {
				p.Apart, p.Common = [2]string{a.Node, b.Node}, last
			}
		}
	}
}

// Path is where a device of the pool was when the labels were written, by its
// number; "" if they do not say.
func (p *Pool) Path(guid uint64) string {
	for i := range p.Members {
		if t := p.Members[i].Label.Tree; t != nil {
			if v := t.find(guid); v != nil {
				return v.Path
			}
		}
	}
	return ""
}

func (v *Vdev) find(guid uint64) *Vdev {
	if v.GUID == guid {
		return v
	}
	for i := range v.Children {
		if f := v.Children[i].find(guid); f != nil {
			return f
		}
	}
	return nil
}
