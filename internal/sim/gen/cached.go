package gen

import (
	"math/rand/v2"
	"slices"
	"strconv"
)

// cached is a disk with a cache in front of it.
func (b *builder) cached(left int, inGroup bool) int {
	on := b.device(left, inGroup)
	if b.m.Node(on).Kind == Cached {
		return on // the kernel does not do it twice
	}
	cache := b.apart()
	if left > 1 && b.chance(12) {
		cache = b.locked(left - 1)
	}
	return b.add(Node{Kind: Cached, On: []int{on, cache}, UUID: b.uuid()})
}

// onCache says whether a node lies on a disk with a cache.
func (m *Machine) onCache(n *Node) bool {
	return slices.ContainsFunc(m.Below(n.ID), func(b *Node) bool { return b.Kind == Cached })
}

// settled is when it is known that nothing is resumed.
func (j judge) settled() standing {
	m := j.m
	p := m.Param(Resume)
	if p == nil || m.Param(NoResume) != nil {
		return standing{state: yes}
	}
	swap := m.Node(p.Node)
	if swap == nil {
		return standing{state: maybe}
	}
	if q, _ := j.questions(nil); q != no {
		return standing{state: maybe, asks: q == yes}
	}
	if m.onCache(swap) {
		return standing{state: yes, by: m.patience()}
	}
	s := j.device(swap.On[0])
	if s.state != yes || j.copied(swap.On[0]) || m.has(swap.On[0], Signature) || s.by+m.Margin() >= m.patience() {
		return standing{state: yes, by: m.patience()}
	}
	return standing{state: yes, by: s.by}
}

// cached is a disk with a cache: neither is touched before it is known that
// nothing is resumed.
func (j judge) cached(n *Node) standing {
	m := j.m
	out, cache, settled := j.device(n.On[0]), j.device(n.On[1]), j.settled()
	if out.state == no {
		return out
	}
	out.names = append(slices.Clone(out.names), n.UUID)
	out.asks = out.asks || settled.asks
	for i, s := range [...]*standing{&out, &cache} {
		if m.has(n.On[i], Signature) {
			s.state = min(s.state, maybe)
		}
		if s.state == no || !j.copied(n.On[i]) {
			continue
		}
		if !j.together(n.On[i]) {
			s.state = min(s.state, maybe)
			continue
		}
		s.state, s.seen = no, true
		s.names = append(s.names, n.UUID)
	}
	if out.state == yes {
		out.by = max(out.by, settled.by)
		out.state = min(out.state, settled.state)
	}
	if out.state != yes {
		return out
	}
	wait, how := m.DegradedCaches()
	late := wait + j.patience() - m.Degraded()
	switch {
	case cache.state == yes:
		before := out.by
		out.by = max(out.by, cache.by)
		if !m.has(n.ID, Dirty) && how != Never {
			out.by = min(out.by, before+late)
		}
		if cache.asks {
			out.asks = true
			out.state = maybe
		}
	case m.has(n.ID, Dirty) || how == Never:
		out.state, out.asks = min(cache.state, maybe), out.asks || cache.asks
		out.names = append(out.names, cache.names...)
	case cache.state == maybe:
		out.state, out.asks = maybe, out.asks || cache.asks
		out.by += late
	case cache.asks:
		// It may come out of the question that stands: it is waited for.
		out.state, out.asks = no, true
		if cache.by+m.Margin() >= wait {
			out.state = maybe
		}
	default:
		out.by += late
		out = j.without(n, out)
	}
	return out
}

// Uncachings are the bad days of a disk with a cache, one for each policy of
// docs/policies.md.
var Uncachings = [...]Bad{CacheMissing, CacheLate, CacheDirty, CacheTwice, DiskTwice}

// Bad days of disks with caches.
const (
	CacheMissing Bad = "the cache is missing"
	CacheLate    Bad = "the cache comes late"
	CacheDirty   Bad = "the cache is missing and has what the disk lacks"
	CacheTwice   Bad = "the cache is there twice"
	DiskTwice    Bad = "the disk is there twice"
)

// Caches makes a machine whose root is on a disk with a cache that has a bad
// day, with a policy on the command line.
func Caches(bad Bad, seed uint64) *Machine {
	b := &builder{Rand: rand.New(rand.NewPCG(seed, 0xcac4e)), m: &Machine{Seed: seed}}
	b.m.Latency = b.pick(0, 1, 20)
	b.pass = b.word() + secret
	disk, cache := b.apart(), b.apart()
	node := b.add(Node{Kind: Cached, On: []int{disk, cache}, UUID: b.uuid()})
	on := node
	if b.chance(25) {
		on = b.volume(b.groupOf(node))
	}
	root := b.filesystem(Ext4, system(), on)
	if b.chance(40) {
		b.add(Node{Kind: Swap, On: []int{b.apart()}, UUID: b.uuid(), Label: b.word()})
	}
	for range b.IntN(3) {
		b.distractor()
	}
	b.m.Gap = b.pick(0, 0, 5, 200)
	b.m.Drivers = b.chance(25)
	for _, d := range b.m.Disks() {
		b.m.Order = append(b.m.Order, d.ID)
	}
	b.Shuffle(len(b.m.Order), func(i, j int) { b.m.Order[i], b.m.Order[j] = b.m.Order[j], b.m.Order[i] })
	b.param(Param{Text: "root=UUID=" + b.m.Node(root).UUID, Subject: Root, Node: root, By: "uuid"})
	b.param(Param{Text: "rd.shell=0", Subject: NoShell})
	for _, n := range b.m.Nodes {
		if n.Kind == Swap && n.Label != "" && b.chance(50) {
			b.param(Param{Text: "resume=UUID=" + n.UUID, Subject: Resume, Node: n.ID, By: "uuid"})
			break
		}
	}
	b.uncached()
	victim := cache
	if bad == DiskTwice {
		victim = disk
	}
	if p := b.m.Node(victim); p.Kind == Part {
		victim = p.On[0]
	}
	if bad == CacheDirty || bad == CacheLate && b.chance(50) {
		b.m.Faults = append(b.m.Faults, Fault{Trouble: Dirty, Node: node})
	}
	switch bad {
	case CacheMissing, CacheDirty:
		b.m.Faults = append(b.m.Faults, Fault{Trouble: Missing, Node: victim})
	case CacheLate:
		b.m.Faults = append(b.m.Faults, Fault{Trouble: Late, Node: victim, At: b.pick(500, 3000, 12000, 16000, 29000)})
	default:
		if b.chance(75) {
			b.m.Gap, b.m.Drivers = 0, false
		}
		b.m.Faults = append(b.m.Faults, Fault{Trouble: Copy, Node: victim, At: b.pick(0, 0, 0, 0, 0, 30, 2000)})
	}
	return b.m
}

// uncached says what is to become of a disk without its cache.
func (b *builder) uncached() {
	if b.chance(30) {
		s := b.pick(40, 120)
		b.param(Param{Text: "rd.timeout=" + strconv.Itoa(s), Subject: Timeout, Seconds: s})
	}
	if b.chance(25) {
		return
	}
	const text = "rd.bcache.degraded="
	s := b.pick(1, 4, 20)
	p := Param{Subject: Uncached, How: Policy(b.choose("rw", "rw", "ro", "ro", "never"))}
	switch {
	case p.How == Never:
		p.Text = text + "never"
	case b.chance(40):
		p.Text = text + string(p.How)
	default:
		p.Text, p.Seconds = text+strconv.Itoa(s)+","+string(p.How), s
	}
	b.param(p)
}
